/** What is stored, asked of ingest itself: the number of readings with a count in every lot, and the line that tells it. */
import type { FleetProgress } from '../core/contract/fleet.ts'
import type { Answer, SeriesRow } from '../core/contract/query.ts'
import type { Api } from '../core/runtime/fetch.ts'
import { counted, dash, grouped } from './output.ts'

export interface StoredAt {
  readonly stored: number
  readonly atMs: number
}

/** A rate is taken over this long: fleets count in steps, and a shorter look sees only steps. */
const rateSpanMs = 12_000

/** The answers that a rate is taken from, oldest first, with the newest. */
export function recentAnswers(answers: readonly StoredAt[], now: StoredAt): readonly StoredAt[] {
  return [...answers.filter((answer) => answer.atMs >= now.atMs - rateSpanMs), now]
}

/** One window over all there is: nothing is older than 2000, nothing further ahead than a day. */
export async function countStored(api: Api, nowMs: number): Promise<number> {
  const to = new Date(nowMs + 2 * 86_400_000).toISOString()
  const { rows } = await api.json<Answer<SeriesRow>>('/v1/series', {
    query: { from: '2000-01-01', to, every: '9999w', agg: 'count', fill: 'none' },
  })
  return rows.reduce((sum, row) => sum + (row.count ?? 0), 0)
}

/** @param answers oldest first; empty while ingest does not answer: then nothing is claimed */
export function storedLine(answers: readonly StoredAt[], fleet: FleetProgress | undefined): string {
  const [first] = answers
  const last = answers.at(-1)
  const parts = [`${last === undefined ? dash : grouped(last.stored)} readings stored`]
  if (first !== undefined && last !== undefined && last.atMs > first.atMs) {
    const perSec = ((last.stored - first.stored) * 1000) / (last.atMs - first.atMs)
    parts.push(`${perSec < 10 ? perSec.toFixed(1) : grouped(perSec)} per second`)
  }
  if (fleet !== undefined) parts.push(devicesOf(fleet), `${grouped(fleet.queued)} queued on them`)
  return parts.join(' · ')
}

/** How many are connected, and plainly when some, or all, cannot go on. */
export function devicesOf({ connected, devices, failed }: FleetProgress): string {
  if (failed === devices) return `none of ${counted(devices, 'device')} can go on: logs/fleet.log says why`
  const are = `${connected} of ${devices} devices connected`
  return failed === 0 ? are : `${are}, ${failed} cannot go on`
}
