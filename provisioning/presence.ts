/**
 * Which connection of a device is the one that counts, when brokers say what they see. Pure. Every broker hears the same
 * answer, so of two connections at two brokers one goes, and never both.
 */
import type { Presence } from '../core/contract/downlink.ts'

/**
 * `news`: from now on this is what is known. `superseded`: the device has a newer connection elsewhere. `known`: nothing
 * changes.
 */
export type PresenceVerdict = 'news' | 'superseded' | 'known'

/** @param said by one broker after the other, each in its own order; both moments by one clock */
export function judgePresence(known: Presence | undefined, said: Presence): PresenceVerdict {
  const isOfOne = known?.brokerId === said.brokerId
  const isSame = isOfOne && known.connectionId === said.connectionId
  // What a broker says last of a device is all it has of it: what it had before is gone, whether it said so or not.
  if (!said.connected) return isOfOne && known.connected ? 'news' : 'known'
  if (isSame && known.connected) return 'known'
  return isOfOne || known?.connected !== true || isNewer(said, known) ? 'news' : 'superseded'
}

/** A total order: at the same millisecond the names decide. */
function isNewer(one: Presence, other: Presence): boolean {
  if (one.atMs !== other.atMs) return one.atMs > other.atMs
  return nameOf(one) > nameOf(other)
}

function nameOf({ brokerId, connectionId }: Presence): string {
  return `${brokerId} ${connectionId}`
}
