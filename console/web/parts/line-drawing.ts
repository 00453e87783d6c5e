/** How uPlot draws the lines of a chart: scales, axes in the zone, band, level, shaded gaps, the marks of notes. */
import uPlot from 'uplot'
import { dash, dateTime, number } from '../words.ts'
import type { LineChartProps } from './line-chart.tsx'

/** Cursors of all charts of a page move together. */
const cursors = 'lotwatch'
const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]]

export function dataOf({ times, lines, band, level }: LineChartProps): uPlot.AlignedData {
  return [
    times.map((atMs) => atMs / 1000),
    ...(band === undefined ? [] : [[...band.high.values], [...band.low.values]]),
    ...lines.map(({ values }) => [...values]),
    ...(level === undefined ? [] : [times.map(() => level.value)]),
  ]
}

export function optionsOf(props: LineChartProps, box: HTMLElement): uPlot.Options {
  const { lines, band, level, gaps = [], notes = [], zone, height = 280 } = props
  const style = getComputedStyle(document.documentElement)
  const font = style.getPropertyValue('--font')
  const color = resolver(box)
  const axis = {
    stroke: color('--soft'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { stroke: color('--line'), width: 1 },
    font: `12px ${font}`,
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
        dash: dashes[(line.dashes ?? 0) % dashes.length] ?? [],
        spanGaps: false,
        points: { show: false },
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
          const across = (fromMs: number, toMs: number) => {
            const from = Math.max(bbox.left, chart.valToPos(fromMs / 1000, 'x', true))
            const to = Math.min(bbox.left + bbox.width, chart.valToPos(toMs / 1000, 'x', true))
            return { from, width: to - from }
          }
          const px = devicePixelRatio
          ctx.font = `${11 * px}px ${font}`
          ctx.textBaseline = 'top'
          for (const { fromMs, toMs, reason } of gaps) {
            const { from, width } = across(fromMs, toMs)
            if (width <= 0) continue
            ctx.fillStyle = color('--gap')
            ctx.fillRect(from, bbox.top, width, bbox.height)
            ctx.fillStyle = color('--warn')
            if (ctx.measureText(reason).width + 8 * px < width)
              ctx.fillText(reason, from + 4 * px, bbox.top + 8 * px)
          }
          ctx.fillStyle = color('--warn')
          for (const { fromMs, toMs } of notes) {
            const { from, width } = across(fromMs, toMs)
            if (width > 0) ctx.fillRect(from, bbox.top, width, 3 * px)
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
    // Lines keep their colours where the system forces others: text and edges around them do not.
    probe.style.setProperty('forced-color-adjust', name.startsWith('--series') ? 'none' : 'auto')
    box.append(probe)
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }
}
