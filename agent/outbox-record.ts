/**
 * A reading in the outbox, and what is told of those that are gone from it: pure, and without a memory. Which readings come and go
 * is `outbox.ts`, how they lie on disk `outbox-format.ts`.
 */
import type { DroppedRange } from '../core/contract/payload.ts'
import type { Observation } from './sensors/sensor.ts'
import type { SinceBoot } from './stamps.ts'

/** An observation with what is known of its time. */
export interface Taken {
  readonly observation: Observation
  readonly clock: 'synced' | 'unsynced'
  /** There is no stamp yet: `timestampMs` of the observation means nothing, and it is not sent before it is dated. */
  readonly since?: SinceBoot
}

/** A reading as it lies on disk: JSON, all of it ASCII, so that characters are bytes. */
export interface OutboxRecord {
  readonly seq: number
  readonly json: string
  /** So many right before it were thinned away; it is told together with this one. */
  readonly thinnedBefore?: number
}

/** At the byte limit, by policy; and while the disk took nothing and memory was full. */
export const dropReasons = { full: 'outbox_full', thinned: 'outbox_thinned', unwritten: 'disk_full' } as const

/** As it is sent; one without a stamp has `since` in its place. */
export function recordOf(seq: number, { observation, clock, since }: Taken): OutboxRecord {
  const { timestampMs, occupied, capacity, entriesTotal, exitsTotal, sensor } = observation
  const reading = {
    seq,
    ...(since === undefined ? { timestampMs } : { since }),
    occupied,
    ...(capacity === undefined ? {} : { capacity }),
    ...(entriesTotal === undefined ? {} : { entriesTotal }),
    ...(exitsTotal === undefined ? {} : { exitsTotal }),
    clock,
    ...(sensor === undefined ? {} : { sensor }),
  }
  return { seq, json: JSON.stringify(reading) }
}

/** What a record says of its time; undefined: it has its stamp. */
export function sinceOf({ json }: OutboxRecord): SinceBoot | undefined {
  return (JSON.parse(json) as { since?: SinceBoot }).since // ours, from `recordOf`
}

/** The record with its stamp. */
export function datedRecord(record: OutboxRecord, stampMs: number, clock: Taken['clock']): OutboxRecord {
  const { since: _, ...observation } = JSON.parse(record.json) as Observation & { since: SinceBoot } // ours, from `recordOf`
  return {
    ...record,
    ...recordOf(record.seq, { observation: { ...observation, timestampMs: stampMs }, clock }),
  }
}

/** Together, in bytes. */
export function bytesOf(records: readonly OutboxRecord[]): number {
  return records.reduce((sum, { json }) => sum + json.length, 0)
}

/** What was thinned away before them. */
export function thinnedOf(records: readonly OutboxRecord[]): DroppedRange[] {
  return records.flatMap(({ seq, thinnedBefore }) =>
    thinnedBefore === undefined
      ? []
      : [{ fromSeq: seq - thinnedBefore, toSeq: seq - 1, reason: dropReasons.thinned }],
  )
}

/** Joins ranges that touch or overlap and have the same reason. */
export function mergeRanges(ranges: readonly DroppedRange[]): DroppedRange[] {
  const merged: DroppedRange[] = []
  for (const range of [...ranges].sort((a, b) => a.fromSeq - b.fromSeq)) {
    const last = merged.at(-1)
    if (last !== undefined && last.reason === range.reason && range.fromSeq <= last.toSeq + 1)
      merged[merged.length - 1] = { ...last, toSeq: Math.max(last.toSeq, range.toSeq) }
    else merged.push(range)
  }
  return merged
}
