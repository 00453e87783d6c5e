/** SQL that would write, read files, load code, run for ever or fill memory: refused or killed, while readings go on being stored. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'
import { askSql, problemOf, rowsOf } from '../kit/sql.ts'

const epoch = '9f0c3a77d1e2b465'
const devices = 50
const perMessage = 10
/** A handover of 500 readings, ten times a second. */
const handoverMs = 100
/** SELECTs that may run at once. */
const atOnce = 3
const endless = 'SELECT count(*) FROM range(1000000000) a, range(1000000000) b'

let ingest: IngestUnderTest
let isEnding: boolean
let stored: number
let failures: unknown[]
let storing: Promise<void>

async function store(): Promise<void> {
  const startMs = performance.now()
  const firstMs = Date.now() - 3600_000
  for (let number = 0; !isEnding; number++) {
    const messages = Array.from({ length: devices }, (_, device) => ({
      deviceId: `d${device}`,
      payload: {
        v: 1,
        epoch,
        readings: Array.from({ length: perMessage }, (__, i) => {
          const seq = number * perMessage + i
          return { seq, timestampMs: firstMs + seq, occupied: seq % 100 }
        }),
      },
    }))
    const answer = await postHandover(ingest.url(), await ingest.writeToken(), handoverOf(messages))
    if (answer.status === 200 && answer.verdicts.every((letters) => /^s+$/.test(letters)))
      stored += devices * perMessage
    else failures.push(answer)
    const dueMs = startMs + (number + 1) * handoverMs
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())))
  }
}

/** What happens to a statement, and that readings were stored meanwhile. */
async function outcomeOf(sql: string) {
  const before = stored
  const problem = await problemOf(await askSql(ingest, sql))
  await eventually(() => stored > before)
  return problem
}

/** A running ingest that is stored into all the time, while the tests of a describe are under way. */
function whileStoring(limits: Record<string, string>): void {
  beforeAll(async () => {
    ingest = await startIngest({ env: { LOTWATCH_INGEST_SQL_AT_ONCE_MAX: String(atOnce), ...limits } })
    isEnding = false
    stored = 0
    failures = []
    storing = store()
    await eventually(() => stored > 0)
  })
  afterAll(async () => {
    isEnding = true
    await storing
    await ingest.stop()
  })
}

/** The last test of such a describe. */
function hasCostNoCommit(): void {
  it('has cost no commit, and everything that was stored is there', async () => {
    isEnding = true
    await storing
    expect(failures).toEqual([])
    await ingest.program().kill()
    await ingest.restart()
    expect(await rowsOf(ingest, 'SELECT count(*) AS n FROM readings')).toEqual([{ n: stored }])
    await eventually(() => readdirSync(join(ingest.dataDir, 'exports', 'queries')).length === 0)
  }, 60_000)
}

describe('SQL from somebody who means harm', () => {
  whileStoring({ LOTWATCH_INGEST_SQL_TIMEOUT_SEC: '2' })

  it('is refused, whatever else than one SELECT it is, and whatever lies outside', async () => {
    const harmful = [
      ['writes', 'INSERT INTO readings VALUES (1)'],
      ['writes to a file', `COPY (SELECT 1) TO '/tmp/lotwatch-attack.csv'`],
      ['changes a table', 'UPDATE kept.lots SET name = 1'],
      ['drops a view', 'DROP VIEW readings'],
      ['makes a table', 'CREATE TABLE t AS SELECT 1'],
      ['is two statements', 'SELECT 1; DROP VIEW readings'],
      ['hides a second statement behind a comment', 'SELECT 1 -- ;\n; SELECT 2'],
      ['is no statement', ';'],
      ['is empty but for blanks', '   '],
      ['reads a file', `SELECT * FROM read_csv('/etc/passwd')`],
      ['reads a file as text', `SELECT * FROM read_text('/etc/hostname')`],
      ['reads a file by its name', `FROM '/etc/passwd'`],
      ['lists files', `SELECT * FROM glob('/etc/*')`],
      ['reads the network', `SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')`],
      ['attaches a database', `ATTACH '/tmp/lotwatch-attack.db'`],
      ['installs an extension', 'INSTALL httpfs'],
      ['loads an extension', `LOAD '/tmp/x.duckdb_extension'`],
      ['sets what holds it', 'SET enable_external_access = true'],
      ['resets what holds it', 'RESET lock_configuration'],
      ['sets it in other words', `PRAGMA enable_external_access = true`],
      ['calls', 'CALL pragma_version()'],
      ['explains, which may run it', 'EXPLAIN ANALYZE SELECT 1'],
      ['exports', `EXPORT DATABASE '/tmp/lotwatch-attack'`],
      ['runs another through a function', `SELECT * FROM query('DROP VIEW readings')`],
      ['asks for a parameter', 'SELECT $1'],
      ['asks for the environment', `SELECT getenv('PATH')`],
    ] as const
    const outcomes: unknown[] = []
    for (let from = 0; from < harmful.length; from += atOnce)
      outcomes.push(
        ...(await Promise.all(
          harmful.slice(from, from + atOnce).map(async ([what, sql]) => {
            const { status, code } = await outcomeOf(sql)
            return [what, status, code]
          }),
        )),
      )
    expect(outcomes).toEqual(harmful.map(([what]) => [what, 400, 'query.invalid']))
  }, 120_000)

  it.each([
    ['runs for ever', endless],
    [
      'recurses for ever',
      'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT count(*) FROM r',
    ],
  ])(
    'that %s is ended when its time is over',
    async (_what, sql) => {
      const problem = await outcomeOf(sql)
      expect(problem).toMatchObject({ status: 422, code: 'query.limit' })
      expect(problem.detail).toBe('the query takes longer than 2 s')
    },
    60_000,
  )

  it('is killed when its client leaves', async () => {
    const leaving = new AbortController()
    const asked = askSql(ingest, endless, { signal: leaving.signal }).catch(() => undefined)
    await eventually(() => childrenOf(ingest.program().process.pid).length > 0)

    leaving.abort()
    await asked

    await eventually(() => childrenOf(ingest.program().process.pid).length === 0, 2000)
  })

  it('waits for nobody: more at once than may be are told to come back', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(async () => problemOf(await askSql(ingest, endless))))

    expect(answers.map(({ code }) => code).toSorted()).toEqual([
      'query.limit',
      'query.limit',
      'query.limit',
      'system.busy',
    ])
  }, 60_000)

  it('is closed to tokens that may only read', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
    expect((await askSql(ingest, 'SELECT 1', { token })).status).toBe(403)
  })

  hasCostNoCommit()
})

describe('SQL that takes too much', () => {
  whileStoring({
    // Nothing here ends because of it.
    LOTWATCH_INGEST_SQL_TIMEOUT_SEC: '600',
    LOTWATCH_INGEST_SQL_MEMORY_MB: '128',
    LOTWATCH_INGEST_SQL_SPILL_MB: '32',
    LOTWATCH_INGEST_SQL_ROWS_MAX: '1000',
    LOTWATCH_INGEST_SQL_RESULT_MB: '1',
  })

  it.each([
    ['memory', `SELECT string_agg(repeat('x', 1000)) FROM range(10000000)`, /memory/i],
    ['memory with a list', 'SELECT list(range) FROM range(1000000000)', /memory/i],
    [
      'disk, for what does not fit into memory',
      `SELECT count(DISTINCT repeat('x', 50) || range) FROM range(1000000000)`,
      /more disk than 32 MB|max_temp_directory_size/,
    ],
    ['rows', 'SELECT * FROM range(1001)', /more than 1000 rows/],
    ['of an answer', `SELECT repeat('x' || hash(range), 500) FROM range(900)`, /larger than 1 MB/],
  ])(
    'ends with a clear error: too much %s',
    async (_what, sql, detail) => {
      const problem = await outcomeOf(sql)
      expect(problem).toMatchObject({ status: 422, code: 'query.limit' })
      expect(problem.detail).toMatch(detail)
    },
    120_000,
  )

  hasCostNoCommit()
})

/** Process ids of the children of a process, as Linux tells them. */
function childrenOf(pid: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => parentOf(other) === pid)
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined // it has ended meanwhile
  }
}
