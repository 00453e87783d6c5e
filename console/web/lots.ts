/** What lots hold, asked of ingest, and how it is said. */
import type { Answer, LatestRow, SeriesRow } from '../../core/contract/query.ts'
import type { Api } from './api.ts'
import type { Point } from './trend.ts'
import type { Tone } from './words.ts'
import { parseTime } from './words.ts'

export const localZone = Intl.DateTimeFormat().resolvedOptions().timeZone

export function askLatest(api: Api, signal?: AbortSignal): Promise<Answer<LatestRow>> {
  return api.get('/api/ingest/v1/latest', signal === undefined ? {} : { signal })
}

/** Of each lot, by its id: means of occupied spaces, oldest first. */
export async function askHistory(
  api: Api,
  { lots, from, every }: { lots: readonly string[]; from: string; every: string },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Point[]>> {
  const found = new Map<string, Point[]>()
  if (lots.length === 0) return found
  const query = { lot: lots, from, every, agg: 'mean', tz: localZone }
  const { rows } = await api.get<Answer<SeriesRow>>('/api/ingest/v1/series', { query, signal })
  for (const row of rows) {
    const point = { atMs: parseTime(row.start) ?? 0, value: row.mean ?? null }
    const known = found.get(row.lotId)
    if (known === undefined) found.set(row.lotId, [point])
    else known.push(point)
  }
  return found
}

export interface StateWords {
  readonly tone: Tone
  readonly word: string
  readonly why: string
}

export const lotStates: Readonly<Record<LatestRow['state'], StateWords>> = {
  current: { tone: 'good', word: 'current', why: 'every device has spoken lately' },
  stale: { tone: 'warn', word: 'stale', why: 'a device has not spoken for a while' },
  silent: { tone: 'bad', word: 'silent sensor', why: 'a device says that its sensor is silent' },
  none: { tone: 'idle', word: 'no readings yet', why: 'nothing was ever stored' },
}
