/** What a lot holds now, from the newest reading of each of its devices. Pure. */
import type { LatestRow } from '../core/contract/query.ts'
import type { Lot } from '../core/contract/registry.ts'
import { capacityAt } from './places.ts'
import type { StoredReading } from './store/store.ts'
import type { Zone } from './zone.ts'

/** The newest reading of a device; `lastOccupied` is an older count where that one is silent. */
export interface LastOfDevice {
  readonly stored: StoredReading
  readonly lastOccupied: number | null
}

/** @param devices of the lot now; undefined where nothing was ever stored of one */
export function latestOf(
  lot: Lot,
  devices: readonly (LastOfDevice | undefined)[],
  { zone, nowMs, staleAfterSec }: { zone: Zone; nowMs: number; staleAfterSec: number },
): LatestRow {
  const known = devices.filter((device) => device !== undefined)
  const oldestMs = Math.min(...known.map(({ stored }) => stored.reading.timestampMs))
  // A clock that runs ahead does not make a reading younger than now.
  const ageSec = known.length === 0 ? null : Math.max(0, Math.floor((nowMs - oldestMs) / 1000))
  const state = stateOf(devices, ageSec !== null && ageSec > staleAfterSec)
  const lastOccupied = sumOf(devices.map((device) => device?.lastOccupied))
  const occupied = state === 'current' ? lastOccupied : null
  const capacity =
    sumOf(devices.map((device) => device?.stored.reading.capacity)) ??
    capacityAt(lot.capacities, nowMs) ??
    null
  return {
    lotId: lot.lotId,
    name: lot.name,
    time: known.length === 0 ? null : zone.format(oldestMs),
    ageSec,
    state,
    occupied,
    capacity,
    // Cars beyond the lines leave no space, and not less than none.
    free: occupied === null || capacity === null ? null : Math.max(0, capacity - occupied),
    lastOccupied,
  }
}

function stateOf(devices: readonly (LastOfDevice | undefined)[], isOld: boolean): LatestRow['state'] {
  if (devices.every((device) => device === undefined)) return 'none'
  if (isOld || devices.includes(undefined)) return 'stale'
  return devices.some((device) => device?.stored.reading.occupied === null) ? 'silent' : 'current'
}

/** Null where one is not there, or there is none at all. */
function sumOf(values: readonly (number | null | undefined)[]): number | null {
  if (values.length === 0) return null
  return values.reduce<number | null>(
    (sum, value) => (sum === null || value === null || value === undefined ? null : sum + value),
    0,
  )
}
