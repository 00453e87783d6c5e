/**
 * Dates what was counted before the time was known, once it is: run by run, each durable before the next, so that a
 * power cut in between costs nothing. Which stamp a reading gets is the timekeeper's part.
 */
import type { Append, Outbox } from './outbox.ts'
import { sinceOf } from './outbox-record.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { SinceBoot } from './stamps.ts'
import type { Timekeeper } from './timekeeper.ts'

export interface DatingParts {
  readonly outbox: Outbox
  readonly store: Pick<OutboxStore, 'load'>
  readonly timekeeper: Timekeeper
  /** Where the sensor stood at the last append. */
  readonly position: string | undefined
  /** Resolves when it is durable. */
  readonly write: (next: Append) => Promise<void>
}

const runReadings = 500

/** No append may happen meanwhile. @returns how many were dated, of how many boots */
export async function dateUndated(parts: DatingParts): Promise<{ readings: number; boots: number }> {
  const { outbox, store, timekeeper, position, write } = parts
  const boots = await lastOfBoots(parts)
  let readings = 0
  for (let want = outbox.undated(runReadings); want !== undefined; want = outbox.undated(runReadings)) {
    const { records, stamps } = timekeeper.date(await store.load(want), boots)
    const run = outbox.date(records, want.limit, { position, stamps })
    await write(run)
    outbox.dated(run)
    readings += records.length
  }
  return { readings, boots: boots.length }
}

/** How long each boot is known to have run, oldest boot first. */
async function lastOfBoots({ outbox, store }: DatingParts): Promise<SinceBoot[]> {
  const boots = new Map<string, SinceBoot>()
  let want = outbox.undated(runReadings)
  while (want !== undefined) {
    const run = await store.load(want)
    for (const record of run) {
      const since = sinceOf(record)
      if (since !== undefined) boots.set(since.boot, since)
    }
    const last = run.at(-1)
    want =
      last === undefined || run.length < want.limit
        ? undefined
        : { fromSeq: last.seq + 1, toSeq: want.toSeq, limit: want.limit }
  }
  return [...boots.values()]
}
