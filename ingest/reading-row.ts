/** A stored reading as analysts see it: with the lot it counted for, its flags, and times in their zone. */
import type { ReadingRow } from '../core/contract/query.ts'
import { flagsOf } from './flags.ts'
import { capacityAt, type Places } from './places.ts'
import type { StoredReading } from './store/store.ts'
import type { StuckWatch } from './stuck.ts'
import type { Zone } from './zone.ts'

export function readingRow(
  { deviceId, reading, receivedAtMs, epoch }: StoredReading,
  { places, stuck, zone }: { places: Places; stuck?: StuckWatch | undefined; zone: Zone },
): ReadingRow {
  const lotId = places.lotOf(deviceId, reading.timestampMs)
  const capacities = lotId === undefined ? [] : (places.lot(lotId)?.capacities ?? [])
  return {
    time: zone.format(reading.timestampMs),
    deviceId,
    lotId: lotId ?? null,
    occupied: reading.occupied,
    capacity: reading.capacity ?? null,
    entriesTotal: reading.entriesTotal ?? null,
    exitsTotal: reading.exitsTotal ?? null,
    clock: reading.clock ?? null,
    sensor: reading.sensor ?? null,
    flags: flagsOf(reading, receivedAtMs, {
      capacity: capacityAt(capacities, reading.timestampMs),
      isStuck: reading.occupied !== null && stuck?.isStuck(deviceId, reading.timestampMs) === true,
    }),
    receivedAt: zone.format(receivedAtMs),
    epoch: epoch ?? null,
    seq: reading.seq ?? null,
  }
}
