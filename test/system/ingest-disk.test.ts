/** The real ingest on a disk that takes nothing any more, and over a database that has declared itself invalid. */
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import type { Answer, ReadingRow } from '../../core/contract/query.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, ingestEnv, startIngest } from '../kit/ingest.ts'
import { eventually, type Program, startProgram } from '../kit/program.ts'

const epoch = '9f0c3a77d1e2b465'
const startMs = Date.UTC(2026, 2, 2)
const perHandover = 500

async function startLimited(ingest: IngestUnderTest, env: Record<string, string>): Promise<Program> {
  await ingest.program().stop()
  const program = await startProgram('ingest', {
    env: ingestEnv(ingest.issuer, ingest.dataDir, env),
    fileBytesMax: 2_000_000,
  })
  await eventually(async () => (await fetch(`${program.ready.url}/readyz`)).ok)
  return program
}

/** Sends until ingest takes no more. @returns handovers that were settled */
async function fill(program: Program, token: string): Promise<number> {
  for (let handover = 0; handover < 1000; handover++) {
    const readings = Array.from({ length: perHandover }, (_, i) => ({
      seq: handover * perHandover + i,
      timestampMs: startMs + (handover * perHandover + i) * 1000,
      occupied: (i * 7919) % 400,
      entriesTotal: (handover * perHandover + i) ** 2,
    }))
    const body = handoverOf([{ deviceId: 'n1', payload: { v: 1, epoch, readings } }])
    const answer = await postHandover(String(program.ready.url), token, body).catch(() => undefined)
    if (answer?.status !== 200) return handover
    expect(answer.verdicts).toEqual(['s'.repeat(perHandover)])
  }
  throw new Error('there is no end to this disk')
}

async function sequences(ingest: IngestUnderTest): Promise<(number | null)[]> {
  const found: (number | null)[] = []
  let cursor = ''
  for (;;) {
    const answer = (await (
      await ingest.ask(`/v1/readings?limit=10000${cursor}`)
    ).json()) as Answer<ReadingRow>
    found.push(...answer.rows.map(({ seq }) => seq))
    if (answer.nextCursor === undefined) return found
    cursor = `&cursor=${answer.nextCursor}`
  }
}

test('a full disk keeps readings out and answers going, and nothing that was settled is lost', async () => {
  const ingest = await startIngest()
  const program = await startLimited(ingest, {})
  const settled = await fill(program, await ingest.writeToken())
  expect(settled).toBeGreaterThan(0)

  const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
  const headers = { authorization: `Bearer ${token}` }
  const asked = await fetch(`${program.ready.url}/v1/readings?limit=5`, { headers })
  expect(asked.status).toBe(200)
  expect(program.process.exitCode).toBe(null)
  await program.kill()
  await ingest.restart()

  expect(await sequences(ingest)).toEqual(Array.from({ length: settled * perHandover }, (_, i) => i))
  await ingest.stop()
}, 60_000)

test('a database that declares itself invalid ends the program, and the next start has all that was settled', async () => {
  const ingest = await startIngest()
  // The log fits, what it is folded into does not: that is when DuckDB gives up.
  const program = await startLimited(ingest, { LOTWATCH_INGEST_CHECKPOINT_THRESHOLD: '700KB' })
  const exited = once(program.process, 'exit')
  const settled = await fill(program, await ingest.writeToken())

  const [exitCode] = await exited
  expect(exitCode).toBe(1)
  expect(program.lines.join('\n')).toMatch(/Reopen the database instance to recover|has been invalidated/)
  await ingest.restart()

  const found = await sequences(ingest)
  // The last commit was durable, though nobody could say so any more.
  expect([settled, settled + 1].map((handovers) => handovers * perHandover)).toContain(found.length)
  expect(found).toEqual(Array.from({ length: found.length }, (_, i) => i))
  await ingest.stop()
}, 60_000)
