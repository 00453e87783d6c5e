/** Backups of the real ingest, made while it is written to, verified, and put back. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import type { Answer, ReadingRow } from '../../core/contract/query.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { runLotctl } from '../kit/lotctl.ts'

const epoch = '9f0c3a77d1e2b465'
const startMs = Date.UTC(2026, 2, 2)
const perHandover = 500

let ingest: IngestUnderTest
beforeAll(async () => {
  ingest = await startIngest()
  const operator = JSON.stringify(ingest.issuer.credential('operator'))
  writeFileSync(join(ingest.dataDir, 'operator.json'), operator, { mode: 0o600 })
})
afterAll(() => ingest.stop())

const lotctl = (...args: string[]) =>
  runLotctl(args, {
    LOTWATCH_DATA: ingest.dataDir,
    HOME: ingest.dataDir,
    LOTWATCH_INGEST_PORT: new URL(ingest.url()).port,
  })

async function send(handover: number): Promise<readonly string[]> {
  const readings = Array.from({ length: perHandover }, (_, i) => {
    const seq = handover * perHandover + i
    return { seq, timestampMs: startMs + seq * 1000, occupied: seq % 100 }
  })
  const body = handoverOf([{ deviceId: 'n1', payload: { v: 1, epoch, readings } }])
  return (await postHandover(ingest.url(), await ingest.writeToken(), body)).verdicts
}

async function count(): Promise<number> {
  let rows = 0
  let cursor = ''
  for (;;) {
    const response = await ingest.ask(`/v1/readings?limit=10000${cursor}`)
    const answer = (await response.json()) as Answer<ReadingRow>
    rows += answer.rows.length
    if (answer.nextCursor === undefined) return rows
    cursor = `&cursor=${answer.nextCursor}`
  }
}

test('is refused to whoever may not manage the store', async () => {
  const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
  for (const method of ['POST', 'GET']) {
    const headers = { authorization: `Bearer ${token}` }
    expect((await fetch(`${ingest.url()}/v1/backups`, { method, headers })).status).toBe(403)
  }
})

test('made while writing goes on is whole, and put back it is what it was', { timeout: 90_000 }, async () => {
  let sent = 0
  for (; sent < 4; sent++) await send(sent)
  let isMade = false
  const making = lotctl('backup', 'create').finally(() => {
    isMade = true
  })
  while (!isMade) await send(sent++)
  const made = await making
  expect(made.exit, made.stderr).toBe(0)
  await send(sent++)

  const listed = await lotctl('backup', 'list')
  expect(listed.stdout).toContain(made.stdout.trim())
  const folder = join(ingest.dataDir, 'backups', made.stdout.trim())
  expect((await lotctl('backup', 'verify', folder)).exit).toBe(0)
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
  const rows = manifest.tables.find(({ table }: { table: string }) => table === 'readings').rows as number
  expect(rows % perHandover).toBe(0)
  expect(rows).toBeGreaterThanOrEqual(4 * perHandover)
  expect(rows).toBeLessThan(sent * perHandover)

  const refused = await lotctl('backup', 'restore', folder)
  expect([refused.exit, refused.stderr]).toEqual([5, expect.stringContaining('stop it first')])
  await ingest.program().stop()
  const restored = await lotctl('backup', 'restore', folder)
  expect([restored.exit, restored.stdout.trim()]).toEqual([0, join(ingest.dataDir, 'readings.duckdb')])
  await ingest.restart()

  expect(await count()).toBe(rows)
  expect(existsSync(join(ingest.dataDir, 'readings.duckdb.restored'))).toBe(false)
  // What was acknowledged since is lost, unless it comes again: then it is stored, and only then.
  expect(await send(0)).toEqual(['r'.repeat(perHandover)])
  expect(await send(sent - 1)).toEqual(['s'.repeat(perHandover)])
})

test('that is damaged, or is another database by the time ingest starts, is found out', async () => {
  const folder = join(ingest.dataDir, 'backups', (await lotctl('backup', 'create')).stdout.trim())
  const damaged = join(ingest.dataDir, 'damaged')
  cpSync(folder, damaged, { recursive: true })
  const bytes = readFileSync(join(damaged, 'readings.duckdb'))
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  writeFileSync(join(damaged, 'readings.duckdb'), bytes)
  const told = await lotctl('backup', 'verify', damaged)
  expect([told.exit, told.stderr]).toEqual([2, expect.stringContaining('is not what was copied')])
  expect((await lotctl('backup', 'verify', ingest.dataDir)).exit).toBe(2)

  await ingest.program().stop()
  expect((await lotctl('backup', 'restore', damaged)).exit).toBe(2)
  expect((await lotctl('backup', 'restore', folder)).exit).toBe(0)
  const database = await DuckDBInstance.create(join(ingest.dataDir, 'readings.duckdb'))
  const connection = await database.connect()
  await connection.run('UPDATE readings SET occupied = 1 WHERE seq = 7')
  connection.closeSync()
  database.closeSync()
  await expect(ingest.restart()).rejects.toThrow(/a copy is not what was copied/)

  expect((await lotctl('backup', 'restore', folder)).exit).toBe(0)
  await ingest.restart()
}, 60_000)
