/** Says to provisioning who is connected here: at once when there is news, and every so often that this broker lives. */
import { setTimeout as delay } from 'node:timers/promises'
import { type PresenceAnswer, type PresenceReport, presenceBeatMs } from '../core/contract/downlink.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import type { Api } from '../core/runtime/fetch.ts'
import type { PresenceBook } from './presence.ts'

export interface PresenceReporter {
  /** There is news. */
  poke(): void
  /** Says what is left to say, for at most `withinMs`, and stops. */
  stop(withinMs: number): Promise<void>
}

const timeoutMs = 5000
const retryMs = { minMs: 200, maxMs: 5000 }
/** From one report to the next at least: a storm of connects is told in few of them, each a request. */
const gatherMs = 50

export function reportPresence(options: {
  api: Pick<Api, 'json'>
  brokerId: string
  book: PresenceBook
  /** The clock of the book. */
  now: () => number
  random: () => number
  /** Once when reports do not arrive any more, once when they do again. */
  onState: (state: { arrives: true } | { arrives: false; error: unknown }) => void
}): PresenceReporter {
  const { api, book, brokerId } = options
  const backoff = createBackoff({ ...retryMs, random: options.random })
  /** Ends the rest between two reports when there is news; ends any wait. */
  let rest = new AbortController()
  let wait = new AbortController()
  let isStopped = false
  let arrives = true
  let sentAtMs = 0

  async function report(): Promise<boolean> {
    const batch = book.take()
    // Each later than the one before, so that provisioning can tell a late copy from news.
    sentAtMs = Math.max(sentAtMs + 1, Math.round(options.now()))
    const body: PresenceReport = {
      brokerId,
      sentAtMs,
      presence: [...batch.presence],
      contended: [...batch.contended],
    }
    try {
      const answer = await api.json<PresenceAnswer>('/v1/presence', { method: 'POST', body, timeoutMs })
      book.answered(answer)
      note({ arrives: true })
      backoff.reset()
      return true
    } catch (error) {
      book.failed(batch)
      note({ arrives: false, error })
      return false
    }
  }

  function note(state: { arrives: true } | { arrives: false; error: unknown }): void {
    if (state.arrives === arrives) return
    arrives = state.arrives
    options.onState(state)
  }

  async function run(): Promise<void> {
    while (!isStopped) {
      rest = new AbortController()
      wait = new AbortController()
      const hasArrived = await report()
      await delay(gatherMs, undefined, { signal: wait.signal }).catch(() => undefined)
      if (isStopped || (hasArrived && book.newsCount > 0)) continue
      // After a failure only time helps.
      const [forMs, { signal }] = hasArrived ? [presenceBeatMs, rest] : [backoff.next(), wait]
      await delay(forMs, undefined, { signal }).catch(() => undefined)
    }
  }

  const running = run()
  return {
    poke: () => rest.abort(),
    async stop(withinMs) {
      isStopped = true
      rest.abort()
      wait.abort()
      const last = running.then(async () => {
        while (book.newsCount > 0 && (await report()));
      })
      await Promise.race([last, delay(withinMs, undefined, { ref: false })])
    },
  }
}
