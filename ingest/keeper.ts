/** What the feed told, on its way into the store: one save at a time; what fails is saved with the next change. */
import type { Presence } from '../core/contract/downlink.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Heard } from './feed.ts'
import type { Fleet } from './fleet.ts'
import type { Places } from './places.ts'
import type { Store } from './store/store.ts'

/** Presence that waits for a store that is away; the oldest goes first, and the log says so. */
const presenceWaitingMax = 100_000

export function createKeeper(options: {
  store: Pick<Store, 'savePlaces' | 'savePresence'>
  places: Places
  fleet: Fleet
  log: Log
}): { heard(heard: Heard): void; idle(): Promise<void> } {
  const { store, places, fleet, log } = options
  let isChanged = false
  let presence: Presence[] = []
  let saving: Promise<void> | undefined

  async function save(): Promise<void> {
    while (isChanged || presence.length > 0) {
      const waiting = presence
      presence = []
      try {
        if (waiting.length > 0) await store.savePresence(waiting)
      } catch (error) {
        presence = [...waiting, ...presence]
        throw error
      }
      if (isChanged) {
        isChanged = false
        try {
          await store.savePlaces({ ...places.all, devices: fleet.devices() })
        } catch (error) {
          isChanged = true
          throw error
        }
      }
    }
  }

  return {
    heard(heard) {
      isChanged ||= heard.places
      presence.push(...heard.presence)
      if (presence.length > presenceWaitingMax) {
        const gone = presence.splice(0, presence.length - presenceWaitingMax)
        log.warn('presence.forgotten', { changes: gone.length })
      }
      if (!isChanged && presence.length === 0) return
      saving ??= save()
        .catch((error: unknown) => log.error('places.not_saved', { error }))
        .finally(() => {
          saving = undefined
        })
    },
    async idle() {
      await saving
    },
  }
}
