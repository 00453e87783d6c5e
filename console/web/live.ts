/** The live feed: a page hears of each reading as it is stored, and loads anew what it shows, at most so often. */
import { useEffect, useRef } from 'preact/hooks'
import { addressOf, type Query } from './api.ts'

const atMostEveryMs = 1500

/**
 * @param query which lots or devices; undefined: nothing is listened to
 * @param heard called soon after readings came, once for all of that moment
 */
export function useLive(query: Query | undefined, heard: () => void): void {
  const latest = useRef(heard)
  latest.current = heard
  const address = query === undefined ? undefined : addressOf('/api/ingest/v1/live', query)
  useEffect(() => {
    if (address === undefined) return
    let waiting: ReturnType<typeof setTimeout> | undefined
    // It comes back by itself, and says where it was.
    const source = new EventSource(address)
    const soon = () => {
      waiting ??= setTimeout(() => {
        waiting = undefined
        if (document.visibilityState === 'visible') latest.current()
      }, atMostEveryMs)
    }
    source.addEventListener('reading', soon)
    source.addEventListener('missed', soon)
    return () => {
      source.close()
      clearTimeout(waiting)
    }
  }, [address])
}
