/** The typical week of a lot: for each of its 168 hours, what the same hour of other weeks was like. Pure. */
import type { ProfileRow } from '../core/contract/query.ts'
import { quantile } from './quantile.ts'

export interface HourMean {
  /** 1 is Monday. */
  readonly weekday: number
  readonly hour: number
  readonly mean: number | null
}

/** Always 168 rows: an hour that nobody measured is null. An hour that clocks show twice counts twice. */
export function profileOf(lotId: string, hours: Iterable<HourMean>): ProfileRow[] {
  const means: number[][] = Array.from({ length: 168 }, () => [])
  for (const { weekday, hour, mean } of hours) if (mean !== null) means[(weekday - 1) * 24 + hour]?.push(mean)
  return means.map((ofHour, i) => ({
    lotId,
    weekday: Math.floor(i / 24) + 1,
    hour: i % 24,
    mean: ofHour.length === 0 ? null : ofHour.reduce((sum, mean) => sum + mean, 0) / ofHour.length,
    p10: quantile(ofHour, 0.1),
    p90: quantile(ofHour, 0.9),
    hours: ofHour.length,
  }))
}
