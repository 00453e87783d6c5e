/**
 * Feeds what was counted to the watch for stuck sensors: eight weeks when it starts, four of which are only looked back
 * on, then what has come since, every hour. One lot after the other, so that nobody else has to wait.
 */
import { schedule } from 'node-cron'
import type { LotId } from '../core/contract/device.ts'
import type { Lot } from '../core/contract/registry.ts'
import type { Log } from '../core/runtime/log.ts'
import { openingOf } from './opening.ts'
import type { Places } from './places.ts'
import type { Store } from './store/store.ts'
import type { StuckWatch } from './stuck.ts'

export interface StuckKeeperOptions {
  readonly store: Pick<Store, 'windows'>
  readonly places: Places
  readonly watch: StuckWatch
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly log: Log
}

export interface StuckKeeper {
  run(): Promise<void>
  /** Stops the clock, and resolves when nothing is under way any more. */
  stop(): Promise<void>
}

const hourMs = 3600_000
const lookBackMs = 56 * 24 * hourMs
const saidMs = 28 * 24 * hourMs
/** Readings have this long to come before their hour is judged. */
const graceMs = hourMs
const hourly = '41 * * * *'

export function startStuckKeeper({ store, places, watch, now, log }: StuckKeeperOptions): StuckKeeper {
  /** Up to where each lot was fed, and by which hours it was judged. */
  const fed = new Map<LotId, { readonly toMs: number; readonly hours: string }>()
  const stopping = new AbortController()
  let running: Promise<void> | undefined

  async function feed(lot: Lot, toMs: number): Promise<void> {
    const lotId = lot.lotId as LotId // the feed's schema has the same grammar
    const hours = `${lot.openingHours} ${lot.zone}`
    const opening = openingOf(lot)
    if (fed.has(lotId) && fed.get(lotId)?.hours !== hours) {
      fed.delete(lotId)
      watch.drop(lotId)
    }
    const fromMs = fed.get(lotId)?.toMs ?? toMs - lookBackMs
    const spans = places.spansOf(lotId, fromMs, toMs)
    if (spans.length === 0 || fromMs >= toMs) return
    const run = { index: 0, fromMs, stepMs: hourMs, count: (toMs - fromMs) / hourMs }
    const windows = await store.windows(spans, [run], toMs, stopping.signal)
    watch.feed(
      lotId,
      [...windows].flatMap(({ span, window, min, max, silent }) => {
        const device = spans[span]
        const isSteady = silent === 0 && min !== null && min === max
        const startMs = fromMs + window * hourMs
        return device === undefined
          ? []
          : [
              {
                deviceId: device.deviceId,
                fromMs: startMs,
                openMs: opening.openMsIn(startMs, startMs + hourMs),
                value: isSteady ? min : undefined,
              },
            ]
      }),
    )
    fed.set(lotId, { toMs, hours })
  }

  async function work(): Promise<void> {
    const toMs = Math.floor((now() - graceMs) / hourMs) * hourMs
    for (const lot of places.lots()) {
      if (stopping.signal.aborted) return
      await feed(lot, toMs).catch((error: unknown) => {
        if (!stopping.signal.aborted) log.warn('stuck.not_watched', { lotId: lot.lotId, error })
      })
    }
    watch.forget(toMs - saidMs)
  }

  async function run(): Promise<void> {
    running ??= work().finally(() => {
      running = undefined
    })
    await running
  }

  const task = schedule(hourly, run, { timezone: 'UTC', noOverlap: true, suppressMissedWarning: true })
  return {
    run,
    async stop() {
      stopping.abort(new Error('ingest stops'))
      await task.destroy()
      await running
    },
  }
}
