/** How full a lot is: the bar against its capacity, and the last day as a line. */
import type { Point } from '../trend.ts'
import { number, percent } from '../words.ts'

const almostPercent = 85
const fullPercent = 97

export function OccupancyBar({ occupied, capacity }: { occupied: number | null; capacity: number | null }) {
  if (occupied === null || capacity === null) return <div class="bar" aria-hidden="true" />
  const share = percent(occupied, capacity)
  const level = share >= fullPercent ? 'full' : share >= almostPercent ? 'almost' : ''
  return (
    // biome-ignore lint/a11y/useSemanticElements: a meter element is drawn otherwise in each browser
    <div
      class={`bar ${level}`}
      role="meter"
      aria-label="taken"
      aria-valuemin={0}
      aria-valuemax={capacity}
      aria-valuenow={Math.min(occupied, capacity)}
      aria-valuetext={`${number(occupied)} of ${number(capacity)} taken`}
    >
      <i style={{ width: `${share}%` }} />
    </div>
  )
}

const width = 240
const height = 48

/** Gaps stay gaps. */
export function Sparkline({ points, capacity }: { points: readonly Point[]; capacity: number | null }) {
  const values = points.flatMap(({ value }) => (value === null ? [] : [value]))
  if (values.length < 2) return <svg class="spark" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />
  const highest = Math.max(capacity ?? 0, ...values, 1)
  const first = points[0]?.atMs ?? 0
  const last = points.at(-1)?.atMs ?? 1
  const x = (atMs: number) => (((atMs - first) / Math.max(1, last - first)) * width).toFixed(1)
  const y = (value: number) => (height - (value / highest) * height).toFixed(1)
  const runs = runsOf(points)
  const line = runs.map((run) => `M${run.map(({ atMs, value }) => `${x(atMs)},${y(value)}`).join('L')}`)
  const area = runs.map((run) => {
    const from = x(run[0]?.atMs ?? 0)
    const to = x(run.at(-1)?.atMs ?? 0)
    return `M${from},${height}L${run.map(({ atMs, value }) => `${x(atMs)},${y(value)}`).join('L')}L${to},${height}Z`
  })
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`taken over the last 24 hours: lowest ${number(Math.min(...values))}, highest ${number(Math.max(...values))}`}
    >
      <path class="area" d={area.join('')} />
      <path d={line.join('')} />
    </svg>
  )
}

type Measured = { readonly atMs: number; readonly value: number }

function runsOf(points: readonly Point[]): Measured[][] {
  const runs: Measured[][] = [[]]
  for (const { atMs, value } of points)
    if (value === null) runs.push([])
    else runs.at(-1)?.push({ atMs, value })
  return runs.filter((run) => run.length > 0)
}
