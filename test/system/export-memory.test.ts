/**
 * An export of millions of readings takes no more memory than one of thousands. Only with LOTWATCH_TEST_LONG=true: what
 * is small fits into memory whatever is done with it.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'

const readingsMax = 13_000_000
const perHandover = 200_000
const raisedBytesMax = 300 * 1024 * 1024
const firstMs = Date.UTC(2026, 0, 1)

describe.runIf(process.env.LOTWATCH_TEST_LONG === 'true')('an export of millions of readings', () => {
  let ingest: IngestUnderTest
  beforeAll(async () => {
    ingest = await startIngest()
    for (let from = 0; from < readingsMax; from += perHandover) {
      const messages = Array.from({ length: perHandover / 500 }, (_, message) => ({
        deviceId: `dev-${message % 100}`,
        payload: {
          v: 1,
          readings: Array.from({ length: 500 }, (_, i) => ({
            timestampMs: firstMs + (from + message * 500 + i) * 1000,
            occupied: i,
          })),
        },
      }))
      const { status } = await postHandover(ingest.url(), await ingest.writeToken(), handoverOf(messages))
      expect(status).toBe(200)
    }
  }, 3600_000)
  afterAll(() => ingest.stop())

  function residentBytes(): number {
    const status = readFileSync(`/proc/${ingest.program().process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+([0-9]+) kB/.exec(status)?.[1]) * 1024
  }

  test.each(['ndjson', 'parquet'])(
    'as %s has all of them, and raises memory by a bounded amount',
    async (format) => {
      // The store's own cache is warm then, and what it takes is not the export's.
      await (await ingest.ask('/v1/series?from=2026-01-01&every=1d')).text()
      const before = residentBytes()
      let most = before
      const watch = setInterval(() => {
        most = Math.max(most, residentBytes())
      }, 100)

      const response = await ingest.ask(`/v1/readings?format=${format}`)
      let lines = 0
      let bytes = 0
      for await (const chunk of response.body ?? []) {
        bytes += chunk.length
        if (format === 'ndjson') for (const byte of chunk) if (byte === 10) lines++
      }
      clearInterval(watch)

      if (format === 'ndjson') expect(lines).toBe(readingsMax)
      else expect(bytes).toBe(Number(response.headers.get('content-length')))
      expect(most - before).toBeLessThan(raisedBytesMax)
    },
    3600_000,
  )
})
