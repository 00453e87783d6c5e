/** Rows of DuckDB in the words of the port: what the reader asks for, column by column. */
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import type { QuarantineReason, Reading } from '../../core/contract/reading.ts'
import type { Names } from './duckdb-names.ts'
import type { Row } from './duckdb-readers.ts'
import { clocks, sensors } from './duckdb-schema.ts'
import type { WindowPart } from './span-sums.ts'
import type { DeviceStatus, QuarantineRecord, StoredReading } from './store.ts'

/** What `readingOf` takes, in its order. */
export const readingColumns = `r.device, r.timestamp_ms, r.occupied, r.capacity, r.entries_total, r.exits_total, r.clock,
  r.sensor, r.received_at_ms, r.epoch, r.seq, r.credential`

export function statusRow([deviceId, receivedAtMs, body, isChange]: Row): DeviceStatus {
  return {
    deviceId: deviceId as DeviceId, // written from one
    receivedAtMs: Number(receivedAtMs),
    body: String(body),
    ...(isChange === undefined ? {} : { history: isChange === true ? 'change' : 'beat' }),
  }
}

/** Integers of 64 bits come as bigint; all of ours are safe integers. */
function optionalNumber(value: unknown): number | undefined {
  return value === null ? undefined : Number(value)
}

export function readingOf(row: Row, names: Names): StoredReading {
  const [
    device,
    timestampMs,
    occupied,
    capacity,
    entriesTotal,
    exitsTotal,
    clock,
    sensor,
    receivedAtMs,
    epoch,
    seq,
    credential,
  ] = row
  const reading: Reading = {
    ...optional('seq', optionalNumber(seq)),
    timestampMs: Number(timestampMs),
    occupied: optionalNumber(occupied) ?? null,
    ...optional('capacity', optionalNumber(capacity)),
    ...optional('entriesTotal', optionalNumber(entriesTotal)),
    ...optional('exitsTotal', optionalNumber(exitsTotal)),
    ...optional('clock', clock === null ? undefined : clocks[Number(clock)]),
    ...optional('sensor', sensor === null ? undefined : sensors[Number(sensor)]),
  }
  return {
    deviceId: names.deviceId(Number(device)),
    credentialId: names.credentialId(Number(credential)),
    receivedAtMs: Number(receivedAtMs),
    epoch: epoch === null ? undefined : names.epochName(Number(epoch)).epochId,
    reading,
  }
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value } // the computed key is Key
}

/** A window of a span, with its sums in the order in which the reader asks for them. */
export function partOf(span: number, row: Row): WindowPart {
  const [window, count, silent, sum, min, max, first, last, firstMs, lastMs, late, capacity] = row as [
    ...[number, number, number, number],
    ...(number | null)[],
  ] // as they are cast there
  return {
    span,
    window,
    count,
    silent,
    sum,
    min: min ?? null,
    max: max ?? null,
    first: first ?? null,
    last: last ?? null,
    firstMs: firstMs ?? null,
    lastMs: lastMs ?? null,
    late: late ?? 0,
    capacity: capacity ?? null,
  }
}

export function quarantineRow(row: Row): QuarantineRecord {
  const [
    id,
    deviceId,
    credentialId,
    receivedAtMs,
    reason,
    epoch,
    seq,
    timestampMs,
    count,
    content,
    contentHash,
    storedOccupied,
  ] = row
  return {
    id: String(id),
    deviceId: deviceId as DeviceId, // written from one, as are epoch and reason
    credentialId: String(credentialId),
    receivedAtMs: Number(receivedAtMs),
    reason: reason as QuarantineReason,
    epoch: (epoch as Epoch | null) ?? undefined,
    seq: optionalNumber(seq),
    timestampMs: optionalNumber(timestampMs),
    count: Number(count),
    content: content as string | null,
    contentHash: String(contentHash),
    storedOccupied: optionalNumber(storedOccupied),
  }
}
