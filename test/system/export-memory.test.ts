/**
 * An export of millions of readings takes no more memory than one of thousands. Only with LOTWATCH_TEST_LONG=true: what
 * is small fits into memory whatever is done with it.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import type { ExportJob } from '../../core/contract/sql.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'

const readingsMax = 13_000_000
const perHandover = 200_000
const raisedMbMax = 300
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

  function residentMb(): number {
    const status = readFileSync(`/proc/${ingest.program().process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+([0-9]+) kB/.exec(status)?.[1]) / 1024
  }

  /** By how much the memory of ingest rises while something is done. */
  async function raisedMb(what: string, work: () => Promise<void>): Promise<number> {
    // The store's own cache is warm then, and what it takes is not the export's.
    await (await ingest.ask('/v1/series?from=2026-01-01&every=1d')).text()
    const before = residentMb()
    const startMs = performance.now()
    let most = before
    const watch = setInterval(() => {
      most = Math.max(most, residentMb())
    }, 100)
    try {
      await work()
    } finally {
      clearInterval(watch)
    }
    const tookSec = Math.round((performance.now() - startMs) / 1000)
    console.log(`${what}: from ${Math.round(before)} to ${Math.round(most)} MiB, ${tookSec} s`)
    return most - before
  }

  /** Without a deadline for the first byte, which fetch has: a Parquet file is made before it is sent. */
  async function get(path: string): Promise<IncomingMessage> {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
    const asked = request(`${ingest.url()}${path}`, { headers: { authorization: `Bearer ${token}` } }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(200)
    return response
  }

  test.each(['ndjson', 'parquet'])(
    'as %s has all of them, and raises memory by a bounded amount',
    async (format) => {
      let lines = 0
      let bytes = 0
      let said: string | undefined
      const raised = await raisedMb(format, async () => {
        const response = await get(`/v1/readings?format=${format}`)
        said = response.headers['content-length']
        for await (const chunk of response as AsyncIterable<Buffer>) {
          bytes += chunk.length
          if (format === 'ndjson') for (const byte of chunk) if (byte === 10) lines++
        }
      })

      if (format === 'ndjson') expect(lines).toBe(readingsMax)
      else expect(bytes).toBe(Number(said))
      expect(raised).toBeLessThan(raisedMbMax)
    },
    3600_000,
  )

  test('as a job of its own has all of them, and raises the memory of ingest by a bounded amount', async () => {
    const call = async (path: string, body?: string): Promise<ExportJob> => {
      const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
      const response = await fetch(`${ingest.url()}/v1/exports${path}`, {
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { method: 'POST', body }),
      })
      expect(response.ok).toBe(true)
      return (await response.json()) as ExportJob
    }
    let job: ExportJob | undefined
    const raised = await raisedMb('job', async () => {
      const { id } = await call('', JSON.stringify({ format: 'parquet' }))
      job = await eventually(
        async () => {
          const one = await call(`/${id}`)
          return one.endedAt !== null && one
        },
        3000_000,
        1000,
      )
    })

    expect(job).toMatchObject({ state: 'done', rows: readingsMax })
    expect(raised).toBeLessThan(raisedMbMax)
  }, 3600_000)
})
