import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import { sqlViews } from '../../core/contract/sql.ts'
import { root } from '../../scripts/build.mjs'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'
import { askSql, problemOf, rowsOf, type SqlReply } from '../kit/sql.ts'

const epoch = '9f0c3a77d1e2b465'
const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** Two days that are closed at the start, by far; and one that is open. */
const oldMs = Date.UTC(2026, 2, 28, 23, 58)
const recentMs = Date.now() - (Date.now() % dayMs)

const lots = [
  {
    lotId: 'north',
    name: 'North, "upper"',
    zone: 'Europe/London',
    capacities: [{ fromMs: 0, capacity: 100 }],
  },
  { lotId: 'south', name: '=South', capacities: [] },
]
const assignments = [
  { deviceId: 'n1', lotId: 'north', fromMs: 0, toMs: null },
  { deviceId: 's1', lotId: 'south', fromMs: 0, toMs: oldMs + 2 * minuteMs },
]

let ingest: IngestUnderTest

async function send(deviceId: string, fromSeq: number, fromMs: number, values: readonly (number | null)[]) {
  const readings = values.map((occupied, i) => ({
    seq: fromSeq + i,
    timestampMs: fromMs + i * minuteMs,
    occupied,
  }))
  const answer = await postHandover(
    ingest.url(),
    await ingest.writeToken(),
    handoverOf([{ deviceId, payload: { v: 1, epoch, readings } }]),
  )
  expect(answer.status).toBe(200)
}

beforeAll(async () => {
  ingest = await startIngest({
    snapshot: { lots, assignments },
    env: { LOTWATCH_INGEST_SQL_SNAPSHOT_AGE_SEC: '0' },
  })
  await send('n1', 0, oldMs, [10, null, 30, 40])
  await send('s1', 0, oldMs, [1, 2, 3])
  await send('n1', 6, recentMs, [50])
  // Closes the days that are over.
  await ingest.program().stop()
  await ingest.restart()
  await eventually(
    () =>
      existsSync(join(ingest.dataDir, 'segments', '2026')) &&
      readdirSync(join(ingest.dataDir, 'segments', '2026')).length === 2,
  )
})
afterAll(() => ingest.stop())

describe('SQL', { timeout: 60_000 }, () => {
  test('sees every reading once, of closed days and of open ones, and what was stored a moment ago', async () => {
    await send('n1', 7, recentMs + minuteMs, [51])

    expect(
      await rowsOf(
        ingest,
        'SELECT deviceId, count(*) n, count(occupied) counted, sum(occupied) s FROM readings GROUP BY ALL ORDER BY ALL',
      ),
    ).toEqual([
      { deviceId: 'n1', n: 6, counted: 5, s: 181 },
      { deviceId: 's1', n: 3, counted: 3, s: 6 },
    ])
  })

  test('knows which lot a device counted for at the time, and null where it was none', async () => {
    expect(
      await rowsOf(ingest, `SELECT time, lotId, occupied FROM readings WHERE deviceId = 's1' ORDER BY time`),
    ).toEqual([
      { time: '2026-03-28T23:58:00.000Z', lotId: 'south', occupied: 1 },
      { time: '2026-03-28T23:59:00.000Z', lotId: 'south', occupied: 2 },
      { time: '2026-03-29T00:00:00.000Z', lotId: null, occupied: 3 },
    ])
  })

  test('has every view with every column that is documented', async () => {
    const views = Object.keys(sqlViews)
    // Each question is a process of its own: one for all.
    const all = views.map((view) => `(SELECT COLUMNS(*) AS '${view}.\\0' FROM ${view} LIMIT 1)`)
    const response = await askSql(ingest, `FROM ${all.join(' POSITIONAL JOIN ')}`)
    const { columns: found } = (await response.json()) as SqlReply
    expect(found.map(({ name }) => name)).toEqual(
      Object.entries(sqlViews).flatMap(([view, columns]) =>
        Object.keys(columns).map((name) => `${view}.${name}`),
      ),
    )
  })

  test('knows what is missing', async () => {
    expect(await rowsOf(ingest, 'SELECT deviceId, fromSeq, toSeq, reason FROM gaps')).toEqual([
      { deviceId: 'n1', fromSeq: 4, toSeq: 5, reason: 'unexplained' },
    ])
  })

  test('tells times in the zone asked for, with its offset on that day', async () => {
    const response = await askSql(
      ingest,
      `SELECT time, date_trunc('day', time) AS d FROM readings WHERE deviceId = 'n1' AND occupied IN (10, 51) ORDER BY time`,
      {
        tz: 'Europe/London',
      },
    )
    const { rows } = (await response.json()) as SqlReply
    expect(rows[0]).toEqual({ time: '2026-03-28T23:58:00.000Z', d: '2026-03-28T00:00:00.000Z' })

    const summer = await askSql(ingest, `SELECT '2026-06-01 12:00:00+00'::TIMESTAMPTZ AS t`, {
      tz: 'Asia/Kolkata',
    })
    expect(((await summer.json()) as SqlReply).rows).toEqual([{ t: '2026-06-01T17:30:00.000+05:30' }])
  })

  test('writes numbers that JSON has no word for as null, never as something that is no JSON', async () => {
    expect(await rowsOf(ingest, `SELECT 'nan'::DOUBLE a, 'infinity'::DOUBLE b, 1.5 c, 2::HUGEINT d`)).toEqual(
      [{ a: null, b: null, c: 1.5, d: 2 }],
    )
  })

  test('answers in every format', async () => {
    const sql = `SELECT name, '@x' AS "a,b" FROM lots ORDER BY lotId DESC`
    const text = async (format: 'ndjson' | 'csv' | 'csv-excel') =>
      (await askSql(ingest, sql, { format })).text()

    expect(await text('ndjson')).toBe(
      '{"name":"=South","a,b":"@x"}\n{"name":"North, \\"upper\\"","a,b":"@x"}\n',
    )
    expect(await text('csv')).toBe('name,"a,b"\n=South,@x\n"North, ""upper""",@x\n')
    const excel = new Uint8Array(await (await askSql(ingest, sql, { format: 'csv-excel' })).arrayBuffer())
    expect([...excel.slice(0, 3)]).toEqual([0xef, 0xbb, 0xbf])
    expect(new TextDecoder().decode(excel)).toBe(`name,"a,b"\n'=South,'@x\n"North, ""upper""",'@x\n`)
    const parquet = new Uint8Array(await (await askSql(ingest, sql, { format: 'parquet' })).arrayBuffer())
    expect(new TextDecoder().decode(parquet.slice(0, 4))).toBe('PAR1')
  })

  test('shows a token with a limit its lots alone, whatever is asked', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'query:sql', { lots: ['south'] })

    expect(await rowsOf(ingest, 'SELECT DISTINCT deviceId, lotId FROM readings', token)).toEqual([
      { deviceId: 's1', lotId: 'south' },
    ])
    expect(await rowsOf(ingest, 'SELECT lotId FROM lots', token)).toEqual([{ lotId: 'south' }])
    const tables = ['devices', 'assignments', 'ledger', 'gaps']
    const counts = tables.map(
      (table) => `(SELECT count(*)::INTEGER FROM ${table} WHERE deviceId = 'n1') AS ${table}`,
    )
    expect(await rowsOf(ingest, `SELECT ${counts.join()}`, token)).toEqual([
      { devices: 0, assignments: 0, ledger: 0, gaps: 0 },
    ])
    const folder = join(ingest.dataDir, 'segments', '2026')
    const segment = join(folder, readdirSync(folder).find((name) => name.startsWith('2026-03-28.1-')) ?? '')
    expect(existsSync(segment)).toBe(true)
    const around = await askSql(ingest, `FROM read_parquet('${segment}')`, { token })
    expect(await problemOf(around)).toMatchObject({ status: 400, code: 'query.invalid' })
  })

  test('says what is wrong with a statement', async () => {
    const wrong = await askSql(ingest, 'SELECT nothing FROM readings')
    const problem = await problemOf(wrong)
    expect(problem).toMatchObject({ status: 400, code: 'query.invalid' })
    expect(problem.detail).toContain('nothing')
    expect((await askSql(ingest, 'SELECT 1', { tz: 'Nowhere/None' })).status).toBe(400)
  })

  test('answers every SELECT of the page for analysts', async () => {
    const page = readFileSync(join(root, 'docs/analysts.md'), 'utf8')
    const examples = [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) => sql ?? '')
    expect(examples.length).toBeGreaterThan(2)
    for (const sql of examples) await rowsOf(ingest, sql)
  })

  test('leaves no file of a query behind', async () => {
    await rowsOf(ingest, 'SELECT 1 AS one')
    await eventually(() => readdirSync(join(ingest.dataDir, 'exports', 'queries')).length === 0)
    await eventually(() => readdirSync(join(ingest.dataDir, 'exports', 'snapshots')).length <= 1)
  })
})
