import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import type { ExportJob, ExportRequest } from '../../core/contract/sql.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'

const epoch = '9f0c3a77d1e2b465'
const nineMs = Date.UTC(2026, 2, 2, 9)
const minuteMs = 60_000
const lots = ['north', 'south'].map((lotId) => ({ lotId, name: lotId, capacities: [] }))
const assignments = [
  { deviceId: 'n1', lotId: 'north', fromMs: 0, toMs: null },
  { deviceId: 's1', lotId: 'south', fromMs: 0, toMs: null },
]

let ingest: IngestUnderTest
beforeAll(async () => {
  ingest = await startIngest({
    snapshot: { lots, assignments },
    env: { LOTWATCH_INGEST_SQL_SNAPSHOT_AGE_SEC: '0' },
  })
  const messages = ['n1', 's1'].map((deviceId) => ({
    deviceId,
    payload: {
      v: 1,
      epoch,
      readings: Array.from({ length: 100 }, (_, seq) => ({
        seq,
        timestampMs: nineMs + seq * minuteMs,
        occupied: seq === 5 ? null : seq,
      })),
    },
  }))
  await postHandover(ingest.url(), await ingest.writeToken(), handoverOf(messages))
})
afterAll(() => ingest.stop())

const scopes = 'read:readings query:sql'

async function call(
  path: string,
  init: { method?: string; body?: unknown; headers?: Record<string, string>; token?: string } = {},
) {
  const token = init.token ?? (await ingest.issuer.token(audiences.ingest, scopes))
  return fetch(`${ingest.url()}${path}`, {
    method: init.method ?? 'GET',
    headers: {
      authorization: `Bearer ${token}`,
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...init.headers,
    },
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
  })
}

async function add(body: ExportRequest, token?: string): Promise<ExportJob> {
  const response = await call('/v1/exports', {
    method: 'POST',
    body,
    ...(token === undefined ? {} : { token }),
  })
  expect(response.status).toBe(202)
  const job = (await response.json()) as ExportJob
  expect(response.headers.get('location')).toBe(`/v1/exports/${job.id}`)
  return job
}

async function ended(id: string): Promise<ExportJob> {
  return eventually(async () => {
    const job = (await (await call(`/v1/exports/${id}`)).json()) as ExportJob
    return job.state === 'done' || job.state === 'failed' ? job : undefined
  }, 60_000)
}

describe('exports', { timeout: 90_000 }, () => {
  test('have the readings that were asked for, with the columns asked for, and null for silence', async () => {
    const { id } = await add({
      lot: ['north'],
      from: '2026-03-02T09:04:00Z',
      to: '2026-03-02T09:07:00Z',
      columns: ['time', 'lotId', 'occupied'],
      tz: 'Europe/Athens',
    })
    const job = await ended(id)
    const response = await call(`/v1/exports/${id}/file`)
    const text = await response.text()

    expect(job).toMatchObject({ state: 'done', rows: 3, bytes: text.length, progress: 100, code: null })
    expect(text).toBe(
      'time,lotId,occupied\n2026-03-02T11:04:00.000+02:00,north,4\n2026-03-02T11:05:00.000+02:00,north,\n2026-03-02T11:06:00.000+02:00,north,6\n',
    )
    expect(createHash('sha256').update(text).digest('hex')).toBe(job.sha256)
  })

  test('are fetched in parts, and only while they are the same', async () => {
    const { id } = await add({ format: 'ndjson' })
    const { bytes, sha256 } = await ended(id)
    const path = `/v1/exports/${id}/file`
    const whole = await call(path)
    const text = await whole.text()
    const tag = whole.headers.get('etag') ?? ''
    const part = (headers: Record<string, string>) => call(path, { headers })

    expect([text.length, tag]).toEqual([bytes, `"${sha256}"`])
    const digest = createHash('sha256').update(text).digest('base64')
    expect(whole.headers.get('repr-digest')).toBe(`sha-256=:${digest}:`)

    const first = await part({ range: 'bytes=0-99' })
    const rest = await part({ range: 'bytes=100-', 'if-range': tag })
    expect([first.status, first.headers.get('content-range')]).toEqual([206, `bytes 0-99/${bytes}`])
    expect((await first.text()) + (await rest.text())).toBe(text)

    expect((await part({ range: 'bytes=100-', 'if-range': '"another"' })).status).toBe(200)
    expect((await part({ range: `bytes=${bytes}-` })).status).toBe(416)
    expect((await part({ 'if-none-match': tag })).status).toBe(304)
  })

  test('are Parquet where that is asked for', async () => {
    const { id } = await add({ format: 'parquet' })
    expect(await ended(id)).toMatchObject({ state: 'done', rows: 200 })
    const file = Buffer.from(await (await call(`/v1/exports/${id}/file`)).arrayBuffer())
    expect([file.subarray(0, 4).toString(), file.subarray(-4).toString()]).toEqual(['PAR1', 'PAR1'])
  })

  test('that cannot be answered have failed, with the reason', async () => {
    const { id } = await add({ sql: `SELECT * FROM read_csv('/etc/passwd')` })
    expect(await ended(id)).toMatchObject({ state: 'failed', code: 'query.invalid', bytes: null })
    expect((await call(`/v1/exports/${id}/file`)).status).toBe(409)
  })

  test('are closed to others, and SQL wants its own scope', async () => {
    const { id } = await add({ lot: ['north'] })
    const other = await ingest.issuer.token(audiences.ingest, scopes, { client_id: 'other' })
    const reader = await ingest.issuer.token(audiences.ingest, 'read:readings')

    for (const path of [`/v1/exports/${id}`, `/v1/exports/${id}/file`])
      expect((await call(path, { token: other })).status).toBe(404)
    expect((await call(`/v1/exports/${id}`, { method: 'DELETE', token: other })).status).toBe(404)
    const refused = await call('/v1/exports', { method: 'POST', body: { sql: 'SELECT 1' }, token: reader })
    expect(refused.status).toBe(403)
    const mixed = await call('/v1/exports', { method: 'POST', body: { sql: 'SELECT 1', lot: ['north'] } })
    expect(mixed.status).toBe(400)

    await ended(id)
    expect((await call(`/v1/exports/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await call(`/v1/exports/${id}`)).status).toBe(404)
  })

  test('of a token with a limit have its lots alone', async () => {
    const token = await ingest.issuer.token(audiences.ingest, scopes, { lots: ['south'] })
    const { id } = await add({ columns: ['lotId'] }, token)
    await ended(id)
    const lines = (await (await call(`/v1/exports/${id}/file`, { token })).text()).trimEnd().split('\n')
    expect([lines.length, new Set(lines)]).toEqual([101, new Set(['lotId', 'south'])])
  })
})
