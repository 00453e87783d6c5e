/**
 * What is said of a stored reading beside its values. Flags follow from the row and are not stored, so they stay
 * right when a lot's capacity is corrected later. Pure.
 */
import { type Flag, lateMs, type Reading } from '../core/contract/reading.ts'

/** @param capacity of the lot at that instant, where the reading has none of its own */
export function flagsOf(reading: Reading, receivedAtMs: number, capacity: number | undefined): Flag[] {
  const limit = reading.capacity ?? capacity
  const flags: Flag[] = []
  if (receivedAtMs - reading.timestampMs > lateMs) flags.push('late')
  if (reading.clock === 'unsynced') flags.push('clock_unsynced')
  if (limit !== undefined && reading.occupied !== null && reading.occupied > limit)
    flags.push('over_capacity')
  if (reading.sensor === 'stuck') flags.push('stuck')
  return flags
}
