/** What the feed says of places: lots and assignments. Whether a device may connect is the broker's matter. */
import type { FeedEvent } from '../core/contract/feed.ts'
import type { Places } from './places.ts'

/** @returns whether places have changed */
export function hearOfPlaces(places: Places, event: FeedEvent): boolean {
  switch (event.type) {
    case 'snapshot':
      places.replace(event.data.lots, event.data.assignments)
      return true
    case 'lot':
      places.putLot(event.data)
      return true
    case 'assignment':
      places.putAssignment(event.data)
      return true
    case 'device':
    case 'revocation':
    case 'config':
    case 'command':
    case 'presence':
    case 'alarm':
      return false
    default: {
      const never: never = event
      return never
    }
  }
}
