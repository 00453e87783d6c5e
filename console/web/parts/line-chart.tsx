/**
 * Lines over time, drawn by uPlot: cursors of the charts on a page move together, gaps are shaded with their reason, a
 * band lies behind. Behind every chart is its table, and above it what it says in words.
 */
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useApp } from '../app-state.ts'
import { dash, dateTime, number } from '../words.ts'
import { Table } from './table.tsx'

export interface Line {
  readonly label: string
  /** As long as `times`; null is a gap. */
  readonly values: readonly (number | null)[]
  readonly dashed?: boolean
  /** A custom property of the style. */
  readonly color?: string
  readonly digits?: number
}

export interface Gap {
  readonly fromMs: number
  readonly toMs: number
  readonly reason: string
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
  /** A level, such as the capacity. */
  readonly level?: { readonly value: number; readonly label: string }
  readonly zone: string
  readonly height?: number
}

const cursors = 'lotwatch'

export function LineChart(props: LineChartProps) {
  const { look } = useApp()
  const [isTable, setTable] = useState(false)
  const place = useRef<HTMLDivElement>(null)
  const { title, summary, times, lines, gaps = [] } = props

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement // of a key that was pressed
      if (
        event.key === 't' &&
        !event.ctrlKey &&
        !event.metaKey &&
        !/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
      )
        setTable((before) => !before)
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [])

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
        <button type="button" class="chip" aria-pressed={isTable} onClick={() => setTable(!isTable)}>
          Table
        </button>
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
          ]}
        />
      ) : (
        <div class="chart" ref={place} aria-hidden="true" style={{ minHeight: `${props.height ?? 280}px` }} />
      )}
    </figure>
  )
}

function dataOf({ times, lines, band, level }: LineChartProps): uPlot.AlignedData {
  return [
    times.map((atMs) => atMs / 1000),
    ...(band === undefined ? [] : [[...band.high.values], [...band.low.values]]),
    ...lines.map(({ values }) => [...values]),
    ...(level === undefined ? [] : [times.map(() => level.value)]),
  ]
}

function optionsOf(props: LineChartProps, box: HTMLElement): uPlot.Options {
  const { lines, band, level, gaps = [], zone, height = 280 } = props
  const style = getComputedStyle(document.documentElement)
  const color = resolver(box)
  const axis = {
    stroke: color('--soft'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { stroke: color('--line'), width: 1 },
    font: `12px ${style.getPropertyValue('--font')}`,
  }
  const shown =
    (digits = 0) =>
    (_: uPlot, value: number | null) =>
      number(value, digits)
  return {
    width: box.clientWidth,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    cursor: { sync: { key: cursors }, drag: { x: true, y: false }, focus: { prox: 24 } },
    scales: { y: { range: (_, __, high) => [0, Math.max(1, high) * 1.06] } },
    axes: [
      { ...axis, values: timeTicks(zone) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => number(tick, tick % 1 === 0 ? 0 : 1)) },
    ],
    ...(band === undefined ? {} : { bands: [{ series: [1, 2], fill: color('--accent-soft') }] }),
    series: [
      { value: (_, seconds) => (seconds === null ? dash : dateTime(seconds * 1000, zone)) },
      ...(band === undefined
        ? []
        : [band.high, band.low].map((line) => ({
            label: line.label,
            class: 'unseen',
            width: 0,
            value: shown(),
          }))),
      ...lines.map((line, i) => ({
        label: line.label,
        stroke: color(line.color ?? `--series-${(i % 4) + 1}`),
        width: 2,
        spanGaps: false,
        points: { show: false },
        ...(line.dashed === true ? { dash: [6, 5] } : {}),
        value: shown(line.digits),
      })),
      ...(level === undefined
        ? []
        : [
            {
              label: level.label,
              stroke: color('--soft'),
              width: 1,
              dash: [2, 4],
              points: { show: false },
              value: shown(),
            },
          ]),
    ],
    hooks: {
      drawClear: [
        (chart) => {
          const { ctx, bbox } = chart
          ctx.save()
          ctx.fillStyle = color('--gap')
          for (const { fromMs, toMs } of gaps) {
            const from = Math.max(bbox.left, chart.valToPos(fromMs / 1000, 'x', true))
            const to = Math.min(bbox.left + bbox.width, chart.valToPos(toMs / 1000, 'x', true))
            if (to > from) ctx.fillRect(from, bbox.top, to - from, bbox.height)
          }
          ctx.restore()
        },
      ],
    },
  }
}

/** Hours where there are some within a day; the date with the first tick of each day. */
function timeTicks(zone: string): NonNullable<uPlot.Axis['values']> {
  const hours = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: zone })
  const days = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: zone })
  return (_, seconds) => {
    let before = ''
    return seconds.map((second) => {
      const [day, hour] = [days.format(second * 1000), hours.format(second * 1000)]
      const isNew = day !== before
      before = day
      if (!isNew) return hour
      return hour === '00:00' ? day : `${hour}\n${day}`
    })
  }
}

/** A canvas does not know `light-dark()`: an element is asked what it comes to. */
function resolver(box: HTMLElement): (name: string) => string {
  return (name) => {
    const probe = document.createElement('i')
    probe.style.color = `var(${name})`
    box.append(probe)
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }
}
