/**
 * Lines over time, drawn by uPlot: cursors of the charts on a page move together, gaps are shaded with their reason, a
 * band lies behind. Behind every chart is its table, above it what it says in words, and below it gaps and notes.
 */
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useApp } from '../app-state.ts'
import type { Gap, Note } from '../lot-chart.ts'
import { dash, dateTime, number } from '../words.ts'
import { dataOf, optionsOf } from './line-drawing.ts'
import { Table } from './table.tsx'
import { TableToggle, useTableToggle } from './table-toggle.tsx'

export interface Line {
  readonly label: string
  /** As long as `times`; null is a gap. */
  readonly values: readonly (number | null)[]
  /** Which dashes, so that lines are told apart without their colours; 0: none. */
  readonly dashes?: number
  /** A custom property of the style. */
  readonly color?: string
  readonly digits?: number
}

export interface LineChartProps {
  readonly title: string
  /** What it says, for who cannot see it. */
  readonly summary: string
  /** Unix milliseconds, ascending. */
  readonly times: readonly number[]
  readonly lines: readonly Line[]
  /** Shaded between, behind the lines. */
  readonly band?: { readonly label: string; readonly low: Line; readonly high: Line }
  readonly gaps?: readonly Gap[]
  /** Marked along the upper edge, and said in the table. */
  readonly notes?: readonly Note[]
  /** What the notes come to, in words. */
  readonly remarks?: readonly string[]
  /** A level, such as the capacity. */
  readonly level?: { readonly value: number; readonly label: string }
  readonly zone: string
  readonly height?: number
}

const listedMax = 12

export function LineChart(props: LineChartProps) {
  const { look } = useApp()
  const [isTable, toggle] = useTableToggle()
  const place = useRef<HTMLDivElement>(null)
  const { title, summary, times, lines, gaps = [], notes = [], remarks = [] } = props

  // What is the same is not drawn anew: whoever points at it would lose their place.
  const drawn = JSON.stringify([props, look])
  useEffect(() => {
    const box = place.current
    if (box === null || isTable) return
    const chart = new uPlot(optionsOf(props, box), dataOf(props), box)
    const resize = new ResizeObserver(() =>
      chart.setSize({ width: box.clientWidth, height: props.height ?? 280 }),
    )
    resize.observe(box)
    return () => {
      resize.disconnect()
      chart.destroy()
    }
  }, [drawn, isTable])

  return (
    <figure class="panel">
      <div class="row spread">
        <figcaption>
          <h2>{title}</h2>
          <p class="small soft">{summary}</p>
        </figcaption>
        <TableToggle isTable={isTable} toggle={toggle} />
      </div>
      {isTable ? (
        <Table
          label={title}
          height="22rem"
          rows={times.map((atMs, i) => ({ atMs, i }))}
          keyOf={({ atMs }) => String(atMs)}
          columns={[
            {
              name: 'time',
              head: 'Time',
              cell: ({ atMs }) => dateTime(atMs, props.zone),
              by: ({ atMs }) => atMs,
            },
            ...lines.map((line) => ({
              name: line.label,
              head: line.label,
              align: 'end' as const,
              cell: ({ i }: { i: number }) => number(line.values[i], line.digits ?? 0),
            })),
            ...(gaps.length === 0
              ? []
              : [
                  {
                    name: 'gap',
                    head: 'Gap',
                    cell: ({ atMs }: { atMs: number }) =>
                      gaps.find(({ fromMs, toMs }) => atMs >= fromMs && atMs < toMs)?.reason ?? dash,
                  },
                ]),
            ...(notes.length === 0
              ? []
              : [
                  {
                    name: 'notes',
                    head: 'Notes',
                    cell: ({ atMs }: { atMs: number }) =>
                      notes.find(({ fromMs }) => fromMs === atMs)?.text ?? dash,
                  },
                ]),
          ]}
        />
      ) : (
        <div class="chart" ref={place} aria-hidden="true" style={{ minHeight: `${props.height ?? 280}px` }} />
      )}
      {gaps.length === 0 && remarks.length > 0 && <p class="small soft">{remarks.join('; ')}</p>}
      {gaps.length > 0 && (
        <details class="small">
          <summary>{[...new Set(gaps.map(({ reason }) => `gap: ${reason}`)), ...remarks].join('; ')}</summary>
          <ul>
            {gaps.slice(-listedMax).map(({ fromMs, toMs, reason }) => (
              <li key={fromMs}>
                <b>{reason}</b>, {dateTime(fromMs, props.zone)} to {dateTime(toMs, props.zone)}
              </li>
            ))}
            {gaps.length > listedMax && <li>and {gaps.length - listedMax} gaps before, in the table</li>}
          </ul>
        </details>
      )}
    </figure>
  )
}
