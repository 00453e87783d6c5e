/** Quarantine released over HTTP and by lotctl, after a setting was mended. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import type { Answer, QuarantineRow, ReadingRow } from '../../core/contract/query.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, ingestEnv, startIngest } from '../kit/ingest.ts'
import { runLotctl } from '../kit/lotctl.ts'
import { eventually, type Program, startProgram } from '../kit/program.ts'

const epochs = ['9f0c3a77d1e2b465', 'aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb']
const startMs = Date.UTC(2026, 2, 2)

let ingest: IngestUnderTest
let mended: Program
const url = () => String(mended.ready.url)
beforeAll(async () => {
  ingest = await startIngest({ env: { LOTWATCH_INGEST_LEDGER_EPOCHS_PER_DEVICE_MAX: '1' } })
  const messages = epochs.map((epoch, i) => ({
    deviceId: 'n1',
    payload: { v: 1, epoch, readings: [{ seq: 0, timestampMs: startMs + i, occupied: i }] },
  }))
  const { verdicts } = await postHandover(
    ingest.url(),
    await ingest.writeToken(),
    handoverOf([
      ...messages,
      { deviceId: 'n1', payload: { v: 1, readings: [{ timestampMs: startMs, occupied: -1 }] } },
    ]),
  )
  expect(verdicts).toEqual(['s', 'q', 'q', 'q'])
  await ingest.program().stop()
  mended = await startProgram('ingest', {
    env: ingestEnv(ingest.issuer, ingest.dataDir, { LOTWATCH_INGEST_LOG_LEVEL: 'info' }),
  })
  await eventually(async () => (await fetch(`${url()}/readyz`)).ok)
})
afterAll(async () => {
  await mended.stop()
  await ingest.stop()
})

async function ask<Row>(path: string): Promise<readonly Row[]> {
  const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
  const response = await fetch(url() + path, { headers: { authorization: `Bearer ${token}` } })
  return ((await response.json()) as Answer<Row>).rows
}

async function post(path: string, scope: string, body?: object, claims = {}) {
  const token = await ingest.issuer.token(audiences.ingest, scope, claims)
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const init =
    body === undefined
      ? { headers: { authorization: headers.authorization } }
      : { headers, body: JSON.stringify(body) }
  const response = await fetch(url() + path, { method: 'POST', ...init })
  return { status: response.status, body: await response.json() }
}

test('is refused to whoever may only read, and to a token for some lots', async () => {
  const [entry] = await ask<QuarantineRow>('/v1/quarantine')
  for (const path of ['/v1/quarantine/release', `/v1/quarantine/${entry?.id}/release`]) {
    expect(await post(path, 'read:readings', {})).toMatchObject({
      status: 403,
      body: { code: 'token.scope' },
    })
    expect(await post(path, 'manage:quarantine', {}, { lots: ['north'] })).toMatchObject({
      status: 403,
      body: { code: 'token.scope' },
    })
    expect((await fetch(url() + path, { method: 'POST' })).status).toBe(401)
  }
})

test('stores what is right by now, says what is still wrong, and keeps who did it in the log', async () => {
  const entries = await ask<QuarantineRow>('/v1/quarantine?reason=ledger.full')
  expect(entries).toHaveLength(2)
  const [first, second] = entries.map(({ id }) => id)

  const one = await post(`/v1/quarantine/${first}/release`, 'manage:quarantine')
  expect(one).toEqual({ status: 200, body: { released: [first], remaining: [] } })
  expect(await post(`/v1/quarantine/${first}/release`, 'manage:quarantine')).toMatchObject({
    status: 404,
    body: { code: 'request.not_found' },
  })

  writeFileSync(join(ingest.dataDir, 'operator.json'), JSON.stringify(ingest.issuer.credential('operator')), {
    mode: 0o600,
  })
  const env = {
    LOTWATCH_DATA: ingest.dataDir,
    HOME: ingest.dataDir,
    LOTWATCH_INGEST_PORT: String(mended.ready.port),
  }
  const told = await runLotctl(['quarantine', 'release', '--all'], env)
  expect([told.exit, told.stdout.trim(), told.stderr.trim()]).toEqual([6, second, '1 stored, 1 still wrong'])

  expect((await ask<QuarantineRow>('/v1/quarantine')).map(({ reason }) => reason)).toEqual([
    'reading.negative',
  ])
  expect((await ask<ReadingRow>('/v1/readings')).map(({ occupied }) => occupied)).toEqual([0, 1, 2])
  const lines = mended.lines.filter((line) => line.includes('quarantine.released'))
  expect(lines.map((line) => (JSON.parse(line) as { subject: string }).subject)).toEqual([
    'tester',
    'tester',
    'tester',
  ])
})
