/**
 * What is said of a stored reading beside its values. Flags follow from the row and what was counted around it, and are not
 * stored, so they stay right when a lot's capacity is corrected later. Pure.
 */
import { type Flag, lateMs, type Reading } from '../core/contract/reading.ts'

/**
 * @param lot.capacity of the lot at that instant, where the reading has none of its own
 * @param lot.isStuck whether its device has shown the same value for too long
 */
export function flagsOf(
  reading: Reading,
  receivedAtMs: number,
  { capacity, isStuck }: { capacity: number | undefined; isStuck?: boolean },
): Flag[] {
  const limit = reading.capacity ?? capacity
  const flags: Flag[] = []
  if (receivedAtMs - reading.timestampMs > lateMs) flags.push('late')
  if (reading.clock === 'unsynced') flags.push('clock_unsynced')
  if (limit !== undefined && reading.occupied !== null && reading.occupied > limit)
    flags.push('over_capacity')
  if (reading.sensor === 'stuck' || isStuck === true) flags.push('stuck')
  return flags
}
