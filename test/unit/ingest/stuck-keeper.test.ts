import { expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { Places } from '../../../ingest/places.ts'
import { SpanSums } from '../../../ingest/store/span-sums.ts'
import type { Store } from '../../../ingest/store/store.ts'
import { StuckWatch } from '../../../ingest/stuck.ts'
import { startStuckKeeper } from '../../../ingest/stuck-keeper.ts'

const hourMs = 3600_000
const dayHours = 24

/** A device that has shown one value since an hour, and before that another every hour. */
function storeSince(stuckSinceMs: number): { store: Pick<Store, 'windows'>; asked: number[] } {
  const asked: number[] = []
  return {
    asked,
    store: {
      async windows(_spans, runs) {
        const found = new SpanSums(runs)
        for (const { fromMs: startMs, stepMs, count } of runs) {
          asked.push(count)
          for (let window = 0; window < count; window++) {
            const fromMs = startMs + window * stepMs
            const value = fromMs >= stuckSinceMs ? 7 : fromMs / hourMs
            const sums = { span: 0, window, count: 60, silent: 0, sum: 0, late: 0, capacity: null }
            const at = { firstMs: fromMs, lastMs: fromMs }
            found.add({ ...sums, ...at, min: value, max: value, first: value, last: value })
          }
        }
        return found
      },
    },
  }
}

test('a stuck device is found at the start, and each hour is asked for once', async () => {
  let nowMs = Date.UTC(2026, 5, 1, 12, 30)
  const stuckSinceMs = nowMs - 10 * hourMs - 30 * 60_000
  const { store, asked } = storeSince(stuckSinceMs)
  const places = new Places()
  places.replace(
    [{ lotId: 'north', name: 'North', capacities: [] }],
    [{ deviceId: 'a', lotId: 'north', fromMs: 0, toMs: null }],
  )
  const watch = new StuckWatch()
  const log = createLog({ program: 'test', level: 'silent' })
  const keeper = startStuckKeeper({ store, places, watch, now: () => nowMs, log })

  await keeper.run()
  nowMs += 2 * hourMs
  await keeper.run()
  await keeper.run()
  await keeper.stop()

  const isStuck = (atMs: number) => watch.isStuck('a' as DeviceId, atMs)
  expect([isStuck(stuckSinceMs + 1), isStuck(stuckSinceMs + hourMs), isStuck(nowMs - 2 * hourMs)]).toEqual([
    false,
    true,
    true,
  ])
  expect(isStuck(stuckSinceMs - hourMs)).toBe(false)
  expect(asked).toEqual([56 * dayHours, 2])
})

test('a lot that is open at other times now is judged anew, all eight weeks of it', async () => {
  const nowMs = Date.UTC(2026, 5, 1, 12, 30)
  // Since half past two in the night; clocks there are three hours ahead.
  const stuckSinceMs = nowMs - 10 * hourMs - 30 * 60_000
  const { store, asked } = storeSince(stuckSinceMs)
  const places = new Places()
  const lot = { lotId: 'north', name: 'North', zone: 'Europe/Athens', capacities: [] }
  places.replace([lot], [{ deviceId: 'a', lotId: 'north', fromMs: 0, toMs: null }])
  const watch = new StuckWatch()
  const log = createLog({ program: 'test', level: 'silent' })
  const keeper = startStuckKeeper({ store, places, watch, now: () => nowMs, log })
  const isStuckAfter = (hours: number) => watch.isStuck('a' as DeviceId, stuckSinceMs + hours * hourMs + 1)
  await keeper.run()
  expect([1, 5, 6].map(isStuckAfter)).toEqual([true, true, true])

  places.putLot({ ...lot, openingHours: '10:00-22:00' })
  await keeper.run()
  await keeper.stop()

  // It opened at seven, and an hour later the value had stood for longer than an hour.
  expect([1, 5, 6].map(isStuckAfter)).toEqual([false, false, true])
  expect(asked).toEqual([56 * dayHours, 56 * dayHours])
})
