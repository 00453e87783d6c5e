/**
 * What the feed says of places and devices: lots, assignments, who is registered, who is connected. Whether a device may
 * connect is the broker's matter.
 */
import type { Presence } from '../core/contract/downlink.ts'
import type { FeedEvent } from '../core/contract/feed.ts'
import type { Fleet } from './fleet.ts'
import type { Places } from './places.ts'

/** What has to be kept of an event. */
export interface Heard {
  /** Whether places or devices have changed. */
  readonly places: boolean
  readonly presence: readonly Presence[]
}

const nothing: Heard = { places: false, presence: [] }
const places: Heard = { places: true, presence: [] }

export function hear(known: { places: Places; fleet: Fleet }, event: FeedEvent, nowMs: number): Heard {
  switch (event.type) {
    case 'snapshot':
      known.places.replace(event.data.lots, event.data.assignments)
      known.fleet.replaceDevices(event.data.devices)
      return { places: true, presence: known.fleet.replacePresence(event.data.presence, nowMs) }
    case 'lot':
      known.places.putLot(event.data)
      return places
    case 'assignment':
      known.places.putAssignment(event.data)
      return places
    case 'device':
      known.fleet.putDevice(event.data)
      return places
    case 'presence':
      return { places: false, presence: known.fleet.putPresence(event.data) }
    case 'revocation':
    case 'config':
    case 'command':
    case 'alarm':
      return nothing
    default: {
      const never: never = event
      return never
    }
  }
}
