import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import { pagesOf } from '../../../ingest/pages.ts'
import type { ReadingsQuestion, StoredReading } from '../../../ingest/store/store.ts'

function reading(device: string, timestampMs: number): StoredReading {
  return {
    deviceId: device as DeviceId,
    credentialId: 'c',
    receivedAtMs: timestampMs,
    epoch: undefined,
    reading: { timestampMs, occupied: 1 },
  }
}

const key = ({ deviceId, reading: { timestampMs } }: StoredReading) => `${timestampMs}/${deviceId}`

/** The part of the port that pages are asked of, over rows in memory; counts how often it was asked. */
function storeOf(readings: readonly StoredReading[]) {
  const sorted = readings.toSorted(
    (a, b) => a.reading.timestampMs - b.reading.timestampMs || (a.deviceId < b.deviceId ? -1 : 1),
  )
  const store = {
    asked: 0,
    async readings({ fromMs, toMs, order, limit, after }: ReadingsQuestion) {
      store.asked++
      const found = (order === 'asc' ? sorted : sorted.toReversed()).filter(
        ({ reading: { timestampMs } }) => timestampMs >= fromMs && timestampMs < toMs,
      )
      const start =
        after === undefined
          ? 0
          : found.findIndex(
              (one) => one.deviceId === after.deviceId && one.reading.timestampMs === after.timestampMs,
            ) + 1
      return found.slice(start, start + limit)
    },
  }
  return { store, sorted }
}

async function all(pages: AsyncIterable<readonly StoredReading[]>): Promise<string[]> {
  const keys: string[] = []
  for await (const page of pages) keys.push(...page.map(key))
  return keys
}

test('pages are all readings, each once and in order, however dense or far apart', async () => {
  const instants = fc.oneof(fc.nat(100), fc.nat(3 * 3600_000), fc.nat(400 * 86_400_000))
  const readings = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), instants), {
    selector: ([device, atMs]) => `${device}${atMs}`,
    maxLength: 60,
  })
  await fc.assert(
    fc.asyncProperty(
      readings,
      fc.constantFrom('asc' as const, 'desc' as const),
      fc.integer({ min: 1, max: 7 }),
      async (drawn, order, pageMax) => {
        const { store, sorted } = storeOf(drawn.map(([device, atMs]) => reading(device, atMs)))
        const question = { fromMs: 10, toMs: Number.MAX_SAFE_INTEGER, spans: undefined, order }

        const found = await all(pagesOf(store, question, undefined, pageMax))

        const expected = sorted.filter(({ reading: { timestampMs } }) => timestampMs >= 10).map(key)
        expect(found).toEqual(order === 'asc' ? expected : expected.reverse())
      },
    ),
  )
})

test('years without a reading are crossed in few steps', async () => {
  const { store } = storeOf([reading('a', 0), reading('a', 20 * 365 * 86_400_000)])

  await all(pagesOf(store, { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, spans: undefined, order: 'asc' }))

  expect(store.asked).toBeLessThan(120)
})

test('nothing more is read than is taken', async () => {
  const { store } = storeOf(Array.from({ length: 50 }, (_, i) => reading('a', i)))
  const pages = pagesOf(store, { fromMs: 0, toMs: 100, spans: undefined, order: 'asc' }, undefined, 10)

  await pages.next()
  const askedForFirst = store.asked
  await pages.next()

  expect(store.asked).toBe(askedForFirst + 1)
})
