/** The measurements of the InfluxDB store, and how rows become points of them and come back. */
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import type { Outcome, QuarantineReason, Reading } from '../../core/contract/reading.ts'
import type { EpochEnd, LedgerRow } from '../ledger.ts'
import type { Row } from './influx-client.ts'
import { lineOf } from './line-protocol.ts'
import type { DeviceStatus, QuarantineEntry, QuarantineRecord, StoredReading } from './store.ts'

/** Where each is kept; `device` is the only tag of all of them. */
export const measurements = {
  readings: 'readings',
  quarantine: 'quarantine',
  statuses: 'statuses',
  /** Numbered rows: their time is a number that is never used twice, so that nothing is overwritten. */
  ledger: 'ledger',
  ends: 'epoch_ends',
  /** Numbered rows, and the point that says which of them hold. */
  places: 'places',
  placesHeld: 'places_held',
} as const

export const readingFields =
  'device, occupied, capacity, entriesTotal, exitsTotal, clock, sensor, receivedAtMs, epoch, seq, credentialId'
export const quarantineFields =
  'device, id, credentialId, reason, epoch, seq, timestampMs, "count", content, contentHash, storedOccupied'
export const ledgerFields = 'device, epoch, fromSeq, toSeq, outcome, reason'

export function readingLine({ deviceId, credentialId, receivedAtMs, epoch, reading }: StoredReading): string {
  const { timestampMs, ...counted } = reading
  return lineOf({
    measurement: measurements.readings,
    tags: { device: deviceId },
    fields: { ...counted, receivedAtMs: Math.floor(receivedAtMs), epoch, credentialId },
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

/** Only the count: a point keeps the fields that are not written anew. */
export function quarantineCountLine(
  deviceId: DeviceId,
  at: { timeMs: number; slot: number; count: number },
): string {
  const { timeMs, slot, count } = at
  return lineOf({
    measurement: measurements.quarantine,
    tags: { device: deviceId },
    fields: { count },
    timeMs,
    slot,
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

/** Every status is kept, at the time when it came: the newest is the last. */
export function statusLine({ deviceId, receivedAtMs, body }: DeviceStatus): string {
  return lineOf({
    measurement: measurements.statuses,
    tags: { device: deviceId },
    fields: { body },
    timeMs: Math.floor(receivedAtMs),
  })
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
