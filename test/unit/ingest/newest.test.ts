import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import { Ledger } from '../../../ingest/ledger.ts'
import { Newest } from '../../../ingest/newest.ts'
import { SpanSums } from '../../../ingest/store/span-sums.ts'
import type { StoredReading } from '../../../ingest/store/store.ts'

const device = 'd' as DeviceId
const dayMs = 86_400_000
const { signal } = new AbortController()

function stored(timestampMs: number, occupied: number | null): StoredReading {
  return {
    deviceId: device,
    credentialId: 'c',
    receivedAtMs: timestampMs,
    epoch: undefined,
    reading: { timestampMs, occupied },
  }
}

/** A store with these readings, which counts what it is asked. */
function world(there: readonly StoredReading[] = []) {
  const readings = [...there]
  const asked = { count: 0 }
  const ledger = new Ledger({ rangesPerEpochMax: 1, epochsPerDeviceMax: 1 })
  for (const { reading } of there)
    ledger.loadHigh(device, Math.max(ledger.device(device).highMs, reading.timestampMs))
  const counts = (fromMs: number, toMs: number) =>
    readings
      .filter(
        ({ reading: { timestampMs, occupied } }) =>
          occupied !== null && timestampMs >= fromMs && timestampMs < toMs,
      )
      .sort((a, b) => a.reading.timestampMs - b.reading.timestampMs)
      .map(({ reading }) => reading.occupied)
  const newest = new Newest({
    ledger,
    store: {
      days: undefined,
      async lookup(instants) {
        asked.count++
        return readings.filter(({ reading }) => reading.timestampMs === instants[0]?.timestampMs)
      },
      async windows([span]) {
        asked.count++
        const last = span === undefined ? null : (counts(span.fromMs, span.toMs).at(-1) ?? null)
        const found = new SpanSums([{ index: 0, fromMs: 0, stepMs: 1, count: 1 }])
        const part = {
          span: 0,
          window: 0,
          count: 1,
          silent: 0,
          late: 0,
          capacity: null,
          firstMs: 0,
          lastMs: 0,
        }
        if (last !== null) found.add({ ...part, sum: last, min: last, max: last, first: last, last })
        return found
      },
    },
  })
  return {
    newest,
    asked,
    counts,
    commit(batch: readonly StoredReading[]) {
      readings.push(...batch)
      for (const { reading } of batch) ledger.stageInstant(ledger.device(device), reading.timestampMs)
      ledger.settle()
      newest.took(batch)
    },
    ask: async (fromMs = 0) =>
      (await newest.of([{ deviceId: device, fromMs, toMs: Number.MAX_SAFE_INTEGER }], signal)).get(device),
  }
}

test('what was committed is known without asking the store', async () => {
  const { ask, asked, commit } = world([stored(1, 4)])
  commit([stored(3, 6), stored(2, 5)])

  expect(await ask()).toEqual({ stored: stored(3, 6), lastOccupied: 6 })
  expect(asked.count).toBe(0)
})

test('what came before the start is looked up once', async () => {
  const { ask, asked } = world([stored(1, 4)])

  expect(await ask()).toEqual({ stored: stored(1, 4), lastOccupied: 4 })
  expect(await ask()).toEqual({ stored: stored(1, 4), lastOccupied: 4 })
  expect(asked.count).toBe(1)
})

test('a device that was never heard of, or counts for a lot only since its newest reading, has none', async () => {
  expect(await world().ask()).toBeUndefined()
  expect(await world([stored(1, 4)]).ask(2)).toBeUndefined()
})

test('is what the store would say, whatever is committed in whatever order', async () => {
  const reading = fc
    .tuple(fc.nat(9 * 24), fc.option(fc.nat(9)))
    .map(([hour, of]) => stored((hour * dayMs) / 24, of))
  const drawn = fc.uniqueArray(reading, { selector: (one) => one.reading.timestampMs, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(drawn, fc.nat(12), fc.nat(12), fc.nat(9), async (all, atStart, split, fromDay) => {
      const { ask, commit, counts } = world(all.slice(0, atStart))
      for (const batch of [all.slice(atStart, atStart + split), all.slice(atStart + split)]) {
        commit(batch)
        await ask()
      }

      const fromMs = fromDay * dayMs
      const last = all.toSorted((a, b) => a.reading.timestampMs - b.reading.timestampMs).at(-1)
      const untilMs = (last?.reading.timestampMs ?? 0) + 1
      const lastOccupied = counts(Math.max(fromMs, untilMs - 7 * dayMs), untilMs).at(-1) ?? null
      expect(await ask(fromMs)).toEqual(
        last === undefined || untilMs <= fromMs ? undefined : { stored: last, lastOccupied },
      )
    }),
  )
})
