/** The measurements of the InfluxDB store, and how rows become points of them and come back. */
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import type { Presence } from '../../core/contract/downlink.ts'
import { lateMs, type Outcome, type QuarantineReason, type Reading } from '../../core/contract/reading.ts'
import type { EpochEnd, LedgerRow } from '../ledger.ts'
import type { Row } from './influx-client.ts'
import { lineOf } from './line-protocol.ts'
import type {
  ClosedDay,
  DeviceStatus,
  QuarantineEntry,
  QuarantineRecord,
  QuarantineRelease,
  ScheduleChange,
  SpanWindow,
  StoredReading,
} from './store.ts'

/** Where each is kept; `device` is the only tag of all of them, where there is one. */
export const measurements = {
  readings: 'readings',
  quarantine: 'quarantine',
  /** Numbered rows: how often an entry of quarantine came again. */
  quarantineRepeats: 'quarantine_repeats',
  /** Those that stay when a newer one comes; tagged with `kind`. */
  statuses: 'statuses',
  /** Of a device the last point counts. */
  newestStatuses: 'statuses_newest',
  schedules: 'schedules',
  presence: 'presence',
  /** Numbered rows, as `influx-numbers.ts` has it. */
  ledger: 'ledger',
  /** Numbered rows: the newest says from which number on the ledger holds. */
  ledgerFrom: 'ledger_from',
  ends: 'epoch_ends',
  /** Numbered rows, and others of which the newest says which of them hold. */
  places: 'places',
  placesHeld: 'places_held',
  /** Sums of a device in a window of UTC, at its start; tagged with the generation of their day. */
  rollups15m: 'rollups_15m',
  rollups1d: 'rollups_1d',
  /** Numbered rows: of a day the newest says whether it is closed, and which generation of its rollups holds. */
  days: 'day_notes',
  /** Numbered rows: generations that were begun. */
  closings: 'day_closings',
  /** The last point names the ingest that opened it last. */
  holder: 'holder',
  /** One point: what tells this store from others. */
  store: 'store',
} as const

export const readingFields =
  'device, occupied, capacity, entriesTotal, exitsTotal, clock, sensor, receivedAtMs, epoch, seq, credentialId'
export const quarantineFields =
  'device, id, credentialId, reason, epoch, seq, timestampMs, "count", content, contentHash, storedOccupied, releasedAtMs'
export const ledgerFields = 'device, epoch, fromSeq, toSeq, outcome, reason, fromMs, toMs'

export function readingLine({ deviceId, credentialId, receivedAtMs, epoch, reading }: StoredReading): string {
  const { timestampMs, ...counted } = reading
  const delayMs = Math.floor(receivedAtMs) - timestampMs
  return lineOf({
    measurement: measurements.readings,
    tags: { device: deviceId },
    fields: {
      ...counted,
      receivedAtMs: Math.floor(receivedAtMs),
      // To be counted: InfluxQL cannot compare a field with the time.
      delayMs: delayMs > lateMs ? delayMs : undefined,
      epoch,
      credentialId,
    },
    timeMs: timestampMs,
  })
}

export function readingOf(row: Row): StoredReading {
  return {
    deviceId: row.device as DeviceId, // written from one, as are clock, sensor and epoch
    credentialId: String(row.credentialId),
    receivedAtMs: Number(row.receivedAtMs),
    epoch: (row.epoch as Epoch | null) ?? undefined,
    reading: {
      ...numberAs('seq', row),
      timestampMs: Number(row.time),
      occupied: numberOf(row.occupied) ?? null,
      ...numberAs('capacity', row),
      ...numberAs('entriesTotal', row),
      ...numberAs('exitsTotal', row),
      ...textAs<'clock', Reading['clock']>('clock', row),
      ...textAs<'sensor', Reading['sensor']>('sensor', row),
    },
  }
}

/** @param slot keeps apart what a device sent in one millisecond */
export function quarantineLine(entry: QuarantineEntry, slot: number, keepsContent: boolean): string {
  const { deviceId, receivedAtMs, content, ...fields } = entry
  return lineOf({
    measurement: measurements.quarantine,
    tags: { device: deviceId },
    fields: { ...fields, content: keepsContent ? content : undefined, slot },
    timeMs: Math.floor(receivedAtMs),
    slot,
  })
}

export function quarantineRepeatLine(
  { deviceId, id, count }: Pick<QuarantineEntry, 'deviceId' | 'id' | 'count'>,
  number: number,
): string {
  return lineOf({
    measurement: measurements.quarantineRepeats,
    tags: { device: deviceId },
    fields: { id, count },
    timeMs: number,
  })
}

export function rollupLine(
  measurement: string,
  of: { deviceId: DeviceId; generation: number; fromMs: number },
  window: SpanWindow,
): string {
  const { count, silent, sum, min, max, first, last, late, capacity } = window
  return lineOf({
    measurement,
    tags: { device: of.deviceId, generation: String(of.generation) },
    fields: { counted: count, all: count + silent, sum, min, max, first, last, late, capacity },
    timeMs: of.fromMs,
  })
}

/** What is noted of a day. */
export type DayNote = Pick<ClosedDay, 'day' | 'generation' | 'rows' | 'isStale'>

/** It has readings. */
export function neverClosed(day: number): DayNote {
  return { day, generation: 0, rows: 0, isStale: false }
}

export function dayLine({ day, generation, rows, isStale }: DayNote, number: number): string {
  return lineOf({
    measurement: measurements.days,
    tags: {},
    fields: { day, generation, rows, isStale: isStale ? 1 : 0 },
    timeMs: number,
  })
}

/** A generation of rollups of a day is about to be written: no other closing uses it. */
export function closingLine(
  { day, generation }: Pick<ClosedDay, 'day' | 'generation'>,
  number: number,
): string {
  return lineOf({ measurement: measurements.closings, tags: {}, fields: { day, generation }, timeMs: number })
}

/** Marks an entry as released, by fields that it had not: a point keeps what is not written anew. */
export function releaseLine(
  { deviceId, releasedAtMs, releasedBy }: QuarantineRelease,
  at: { timeMs: number; slot: number },
): string {
  return lineOf({
    measurement: measurements.quarantine,
    tags: { device: deviceId },
    fields: { releasedAtMs, releasedBy },
    ...at,
  })
}

export function quarantineOf(row: Row): QuarantineRecord {
  return {
    id: String(row.id),
    deviceId: row.device as DeviceId, // written from one, as are epoch and reason
    credentialId: String(row.credentialId),
    receivedAtMs: Number(row.time),
    reason: row.reason as QuarantineReason,
    epoch: (row.epoch as Epoch | null) ?? undefined,
    seq: numberOf(row.seq),
    timestampMs: numberOf(row.timestampMs),
    count: Number(row.count),
    content: (row.content as string | null) ?? null,
    contentHash: String(row.contentHash),
    storedOccupied: numberOf(row.storedOccupied),
  }
}

/**
 * The newest of a device, and the one that stays.
 * @param replaces whether the newest takes the place of the one before
 */
export function statusLines(
  { deviceId, receivedAtMs, body, history }: DeviceStatus,
  replaces: boolean,
): string[] {
  const timeMs = Math.floor(receivedAtMs)
  const newest = lineOf({
    measurement: measurements.newestStatuses,
    tags: { device: deviceId },
    fields: { receivedAtMs: timeMs, body },
    timeMs: replaces ? 0 : timeMs,
  })
  if (history === undefined) return [newest]
  const tags = { device: deviceId, kind: history }
  return [newest, lineOf({ measurement: measurements.statuses, tags, fields: { body }, timeMs })]
}

export function scheduleLine({ deviceId, sinceMs, cron }: ScheduleChange): string {
  return lineOf({
    measurement: measurements.schedules,
    tags: { device: deviceId },
    fields: { cron },
    timeMs: sinceMs,
  })
}

/** @param slot keeps apart what was told of one millisecond, in order */
export function presenceLine(presence: Presence, slot: number): string {
  return lineOf({
    measurement: measurements.presence,
    tags: { device: presence.deviceId },
    fields: { body: JSON.stringify(presence) },
    timeMs: presence.atMs,
    slot,
  })
}

export function presenceOf(row: Row): Presence {
  return JSON.parse(String(row.body)) as Presence // written by presenceLine
}

export function ledgerLine({ deviceId, ...fields }: LedgerRow, number: number): string {
  return lineOf({
    measurement: measurements.ledger,
    tags: { device: deviceId },
    fields: { ...fields },
    timeMs: number,
  })
}

export function ledgerRowOf(row: Row): LedgerRow {
  return {
    deviceId: row.device as DeviceId, // written from one, as are epoch and outcome
    epoch: row.epoch as Epoch,
    fromSeq: Number(row.fromSeq),
    toSeq: Number(row.toSeq),
    outcome: row.outcome as Outcome,
    ...textAs<'reason', string>('reason', row),
    ...numberAs('fromMs', row),
    ...numberAs('toMs', row),
  }
}

export function endLine({ deviceId, epoch, lastSeq }: EpochEnd, number: number): string {
  return lineOf({
    measurement: measurements.ends,
    tags: { device: deviceId },
    fields: { epoch, lastSeq },
    timeMs: number,
  })
}

export function endOf(row: Row): EpochEnd {
  return { deviceId: row.device as DeviceId, epoch: row.epoch as Epoch, lastSeq: Number(row.lastSeq) } // written from one
}

export function numberOf(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value)
}

function numberAs<Key extends string>(key: Key, row: Row): { [K in Key]?: number } {
  const value = numberOf(row[key])
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: number } // the computed key is Key
}

function textAs<Key extends string, Text extends string | undefined>(
  key: Key,
  row: Row,
): { [K in Key]?: NonNullable<Text> } {
  const value = row[key]
  return (typeof value === 'string' ? { [key]: value } : {}) as { [K in Key]?: NonNullable<Text> } // written from one
}
