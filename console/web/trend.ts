/** Where a lot is going, in words, from its last hours. Pure. */

export interface Point {
  readonly atMs: number
  readonly value: number | null
}

export interface Trend {
  readonly direction: 'filling' | 'emptying' | 'steady' | 'unknown'
  /** When it is full at this pace; undefined: not today, or nobody can say. */
  readonly fullAtMs?: number
}

const lookBackMs = 2 * 3_600_000
const aheadMsMax = 12 * 3_600_000
/** Slower than this share of the capacity per hour is steady. */
const steadyShare = 0.02

/** @param points of occupied spaces, oldest first; those without a value count for nothing */
export function trendOf(points: readonly Point[], capacity: number | null, nowMs: number): Trend {
  const recent = points.flatMap(({ atMs, value }) =>
    value !== null && atMs > nowMs - lookBackMs ? [{ atMs, value }] : [],
  )
  const last = recent.at(-1)
  if (recent.length < 3 || last === undefined) return { direction: 'unknown' }
  const perHour = slopeOf(recent) * 3_600_000
  const scale = capacity ?? Math.max(...recent.map(({ value }) => value), 1)
  if (Math.abs(perHour) < scale * steadyShare) return { direction: 'steady' }
  if (perHour < 0) return { direction: 'emptying' }
  const leftMs = capacity === null ? undefined : ((capacity - last.value) / perHour) * 3_600_000
  return leftMs !== undefined && leftMs >= 0 && leftMs <= aheadMsMax
    ? { direction: 'filling', fullAtMs: last.atMs + leftMs }
    : { direction: 'filling' }
}

/** Least squares, per millisecond. */
function slopeOf(points: readonly { atMs: number; value: number }[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const meanAt = mean(points.map(({ atMs }) => atMs))
  const meanValue = mean(points.map(({ value }) => value))
  let above = 0
  let below = 0
  for (const { atMs, value } of points) {
    above += (atMs - meanAt) * (value - meanValue)
    below += (atMs - meanAt) ** 2
  }
  return below === 0 ? 0 : above / below
}

export function trendWords({ direction, fullAtMs }: Trend, clock: (atMs: number) => string): string {
  if (direction === 'unknown') return 'no trend yet'
  return fullAtMs === undefined ? direction : `${direction}, full ≈ ${clock(fullAtMs)}`
}
