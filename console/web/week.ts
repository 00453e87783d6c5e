/** A typical week out of the hours of several, by the local hour that each row's own time says. Pure. */
import type { SeriesRow } from '../../core/contract/query.ts'

export interface TypicalHour {
  /** 1 is Monday. */
  readonly weekday: number
  readonly hour: number
  readonly mean: number | null
  readonly p10: number | null
  readonly p90: number | null
}

/** @returns 168 hours, Monday first */
export function typicalWeek(rows: readonly Pick<SeriesRow, 'start' | 'mean'>[]): TypicalHour[] {
  const values = new Map<number, number[]>()
  for (const { start, mean } of rows) {
    if (mean === null || mean === undefined) continue
    const at = hourOfWeek(start)
    values.set(at, [...(values.get(at) ?? []), mean])
  }
  return Array.from({ length: 168 }, (_, i) => {
    const found = (values.get(i) ?? []).toSorted((a, b) => a - b)
    const sum = found.reduce((total, value) => total + value, 0)
    return {
      weekday: Math.floor(i / 24) + 1,
      hour: i % 24,
      mean: found.length === 0 ? null : sum / found.length,
      p10: quantile(found, 0.1),
      p90: quantile(found, 0.9),
    }
  })
}

/** Of a time with its offset, such as `2026-11-22T05:00:00+02:00`: 0 is Monday, midnight to one. */
export function hourOfWeek(time: string): number {
  const weekday = (new Date(`${time.slice(0, 10)}T00:00:00Z`).getUTCDay() + 6) % 7
  return weekday * 24 + Number(time.slice(11, 13))
}

function quantile(sorted: readonly number[], share: number): number | null {
  if (sorted.length === 0) return null
  const at = (sorted.length - 1) * share
  const low = sorted[Math.floor(at)] ?? 0
  const high = sorted[Math.ceil(at)] ?? low
  return low + (high - low) * (at - Math.floor(at))
}
