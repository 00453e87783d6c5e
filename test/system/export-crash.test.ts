/**
 * kill -9 during exports, at random moments: what was taken in ends well after restarts, whole and with its checksum, or has
 * failed for having been broken off too often; half of a file is never given out. Ten kills here, a hundred with
 * LOTWATCH_TEST_LONG=true.
 */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import type { ExportJob } from '../../core/contract/sql.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'
import { anyMoment, randomFrom } from '../kit/random.ts'

const kills = process.env.LOTWATCH_TEST_LONG === 'true' ? 100 : 10
const seed = Number(process.env.LOTWATCH_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** Long enough to be broken off: some tenths of a second, and then a file of some size. */
const sql = `SELECT r.deviceId, r.seq, g.range, (SELECT max(hash(range)) FROM range(2000000)) AS busy
  FROM readings r, range(100) g ORDER BY ALL`
const rows = 500 * 100

let ingest: IngestUnderTest
beforeAll(async () => {
  ingest = await startIngest({ env: { LOTWATCH_INGEST_SQL_SNAPSHOT_AGE_SEC: '0' } })
  const readings = Array.from({ length: 500 }, (_, seq) => ({
    seq,
    timestampMs: 1_767_225_600_000 + seq,
    occupied: seq,
  }))
  const message = { deviceId: 'n1', payload: { v: 1, epoch: '9f0c3a77d1e2b465', readings } }
  await postHandover(ingest.url(), await ingest.writeToken(), handoverOf([message]))
})
afterAll(() => ingest.stop())

async function call(path: string, init: { method?: string; body?: string } = {}): Promise<Response> {
  const token = await ingest.issuer.token(audiences.ingest, 'read:readings query:sql')
  return fetch(`${ingest.url()}/v1/exports${path}`, {
    ...init,
    headers: {
      authorization: `Bearer ${token}`,
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
  })
}

async function add(): Promise<string> {
  const response = await call('', { method: 'POST', body: JSON.stringify({ sql }) })
  expect(response.status).toBe(202)
  return ((await response.json()) as ExportJob).id
}

const jobOf = async (id: string) => (await (await call(`/${id}`)).json()) as ExportJob

/** Waits for its end, and looks at the file. */
async function endOf(id: string): Promise<{ state: string; sha256: string | null }> {
  const { state, sha256, detail } = await eventually(async () => {
    const job = await jobOf(id)
    return job.state === 'done' || job.state === 'failed' ? job : undefined
  }, 60_000)
  const response = await call(`/${id}/file`)
  if (state === 'failed') {
    expect([response.status, detail]).toEqual([409, 'it was broken off 3 times'])
    return { state, sha256 }
  }
  const file = Buffer.from(await response.arrayBuffer())
  expect(createHash('sha256').update(file).digest('hex')).toBe(sha256)
  return { state, sha256 }
}

test(
  `an export is whole or not there, whenever ingest is killed (seed ${seed})`,
  async () => {
    const random = randomFrom(seed)
    const [first, second] = [await add(), await add()]
    await endOf(first)
    const whole = await jobOf(first)
    expect(whole.rows).toBe(rows)
    const startedMs = performance.now()
    await endOf(second)
    const tookMs = performance.now() - startedMs
    const found: Record<string, number> = {}
    let waiting: string[] = []

    for (let kill = 0; kill < kills; kill++) {
      const id = await add()
      waiting.push(id)
      await anyMoment(random, tookMs)
      const { state } = await jobOf(id)
      found[state] = (found[state] ?? 0) + 1
      await ingest.program().kill()
      await ingest.restart()
      if (waiting.length < 3 && kill < kills - 1) continue
      for (const one of waiting) {
        const { state: end, sha256 } = await endOf(one)
        if (end === 'done') expect(sha256).toBe(whole.sha256)
        expect((await call(`/${one}`, { method: 'DELETE' })).status).toBe(204)
      }
      waiting = []
    }

    expect(found.running).toBeGreaterThan(0)
    const kept = join(ingest.dataDir, 'exports', 'jobs')
    expect(readdirSync(kept)).toHaveLength(2)
    for (const id of readdirSync(kept))
      expect(readdirSync(join(kept, id)).sort()).toEqual(['job.json', 'result'])
  },
  kills * 20_000,
)
