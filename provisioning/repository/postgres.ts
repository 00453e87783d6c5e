/**
 * The registry in PostgreSQL, for as many provisioning processes as there are: changes take turns by an advisory lock, so
 * that the feed's positions have the order of the commits; each commit is announced to all by NOTIFY.
 */
import type { Socket } from 'node:net'
import { Client, type ClientBase, Pool, type PoolConfig, types } from 'pg'
import { FleetError } from '../../core/contract/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import { migrations, stepsFrom } from './migrate.ts'
import type { RegistryRepository } from './repository.ts'
import type { SqlChange, SqlDriver, SqlReader, SqlValue, Statement } from './sql.ts'
import { createSqlRepository, type SqlRepositoryOptions } from './sql-repository.ts'

export interface PostgresOptions extends SqlRepositoryOptions {
  /** `postgres://user:password@host:port/database`, with `sslmode` as libpq has it. */
  readonly url: string
  readonly log: Log
  /** How far ahead a moment of revocation lies, milliseconds. */
  readonly aheadMs?: number
  /** How often the connection that hears of commits is asked whether it still does. */
  readonly noticesCheckedMs?: number
}

/** Whoever changes the registry, or migrates it, has this lock until the commit. */
const changeLock = 7_036_281
const channel = 'lotwatch_registry'
const connectionsMax = 10
const connectTimeoutMs = 5000
const statementTimeoutMs = 10_000
/** The server ends a statement; this is for a server, or a way to it, that says nothing any more. */
const answerTimeoutMs = 12_000
/**
 * A process that stands still inside a change would keep everybody else from changing anything, revocations among it.
 * Between its statements a change only thinks.
 */
const thinkingTimeoutMs = 3000
const keepAliveDelayMs = 10_000
const listenAgainMs = 1000
const noticesCheckedDefaultMs = 5000
const noticesAnswerMs = 3000
/**
 * A moment of revocation lies so far ahead by default: longer than a commit takes to be seen by all, so that no process issues a
 * token after that moment on the state before it.
 */
const aheadDefaultMs = 1000

const undefinedTable = '42P01'

/**
 * @throws FleetError `store.unavailable` when the server cannot be reached, `config.invalid` when the URL or the login is
 *   wrong, or a newer version has written the database
 */
export async function openPostgresRepository(options: PostgresOptions): Promise<RegistryRepository> {
  const settings = {
    connectionString: options.url,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: answerTimeoutMs,
    idle_in_transaction_session_timeout: thinkingTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    types: { getTypeParser },
  }
  const pool = new Pool({ ...settings, max: connectionsMax })
  // A connection that dies while nobody uses it is replaced when somebody needs one.
  pool.on('error', (error) => options.log.warn('store.connection_lost', { error }))
  // Of one that dies between two statements its user hears at the next; without a listener the process would end.
  pool.on('connect', (client) => client.on('error', () => undefined))
  try {
    await inTransaction(pool, (client) => migrate(client))
    const listening = await listen(settings, options)
    return createSqlRepository(createDriver(pool, listening, options), options)
  } catch (error) {
    await pool.end()
    throw atStart(error)
  }
}

/** Whole numbers fit: counts, positions and milliseconds stay far below 2^53. */
const int8 = 20
const getTypeParser: typeof types.getTypeParser = ((oid: number, format?: 'text' | 'binary') =>
  oid === int8 ? Number : types.getTypeParser(oid, format as 'text')) as typeof types.getTypeParser // two overloads

async function migrate(client: ClientBase): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [changeLock])
  await client.query('CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)')
  const { rows } = await client.query<{ version: number | null }>(
    'SELECT max(version) AS version FROM schema_version',
  )
  for (const { sql, version } of stepsFrom(rows[0]?.version ?? 0, migrations.postgres, 'the database')) {
    await client.query(sql)
    await client.query('INSERT INTO schema_version (version) VALUES ($1)', [version])
  }
}

function createDriver(
  pool: Pool,
  listening: Listening,
  { now, aheadMs = aheadDefaultMs }: PostgresOptions,
): SqlDriver {
  const reader: SqlReader = { all: (sql, ...values) => rowsOf(pool, sql, values) }
  const runAll = async (client: ClientBase, statements: readonly Statement[]) => {
    for (const { sql, values } of statements) await query(client, sql, values)
  }

  // One at a time in this process: whoever waits for the lock does not hold a connection that reads could have.
  let lastChange: Promise<unknown> = Promise.resolve()
  function inTurn<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const turn = lastChange.then(() => translated(work))
    lastChange = turn.catch(() => undefined) // its caller hears of it; the next in line goes on
    return turn
  }

  return {
    all: (sql, ...values) => translated(() => reader.all(sql, ...values)),
    allAtOnce: (statements) =>
      translated(() =>
        inTransaction(pool, async (client) => {
          await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
          const answers: unknown[][] = []
          for (const { sql, values } of statements) answers.push(await rowsOf(client, sql, values))
          return answers
        }),
      ),
    change: (work) =>
      inTurn(() =>
        inTransaction(pool, async (client) => {
          await client.query('SELECT pg_advisory_xact_lock($1)', [changeLock])
          const change: SqlChange = {
            all: (sql, ...values) => rowsOf(client, sql, values),
            async commit(build) {
              await runAll(client, build(now() + aheadMs))
              await client.query(`NOTIFY ${channel}`)
            },
          }
          return work(change)
        }),
      ),
    async run(statements) {
      if (statements.length === 0) return
      await translated(() => inTransaction(pool, (client) => runAll(client, statements)))
    },
    runOne: ({ sql, values }) => translated(async () => (await query(pool, sql, values)).rowCount ?? 0),
    countTokens: (counts) =>
      translated(() =>
        inTransaction(pool, async (client) => {
          const standing = new Map<string, number>()
          // In one order everywhere: two processes that count the same never wait for each other.
          const inOrder = counts
            .map((count) => ({ ...count, key: `${count.counter} ${count.windowStartMs}` }))
            .toSorted((a, b) => (a.key < b.key ? -1 : 1))
          for (const { counter, windowStartMs, add, key } of inOrder) {
            const [row] = await rowsOf<{ tokens: number }>(client, countSql, [counter, windowStartMs, add])
            standing.set(key, row?.tokens ?? 0)
          }
          return counts.map(({ counter, windowStartMs }) => standing.get(`${counter} ${windowStartMs}`) ?? 0)
        }),
      ),
    onCommit(listener) {
      listening.listeners.add(listener)
      return () => void listening.listeners.delete(listener)
    },
    async close() {
      await listening.stop()
      await pool.end()
    },
  }
}

const countSql = `INSERT INTO token_counts (counter, window_start_ms, tokens) VALUES (?, ?, ?)
  ON CONFLICT (counter, window_start_ms) DO UPDATE SET tokens = token_counts.tokens + excluded.tokens
  RETURNING tokens`

async function inTransaction<Answer>(
  pool: Pool,
  work: (client: ClientBase) => Promise<Answer>,
): Promise<Answer> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    const answer = await work(client)
    await client.query('COMMIT')
    return answer
  } catch (error) {
    await client.query('ROLLBACK').catch((lost: Error) => {
      broken = lost
    })
    throw error
  } finally {
    client.release(broken)
  }
}

async function rowsOf<Row>(db: Pool | ClientBase, sql: string, values: readonly SqlValue[]): Promise<Row[]> {
  return (await query(db, sql, values)).rows as Row[] // the shape is the statement's
}

function query(db: Pool | ClientBase, sql: string, values: readonly SqlValue[]) {
  return db.query({
    text: numbered(sql),
    values: values.map((value) => {
      if (value instanceof Uint8Array) return Buffer.from(value)
      // PostgreSQL's text has no NUL; nothing of ours has one, so what a stranger asks for with one is not there.
      return typeof value === 'string' ? value.replaceAll('\0', '\ufffd') : value
    }),
  })
}

/** `?` → `$1`, `$2`, … None of our statements has a question mark in a text. */
function numbered(sql: string): string {
  let count = 0
  return sql.replace(/\?/g, () => `$${++count}`)
}

interface Listening {
  readonly listeners: Set<() => void>
  stop(): Promise<void>
}

/**
 * A connection of its own that hears of commits. After it was lost, everybody looks: something may have been missed.
 * One whose way to the server has gone says nothing of it, so it is asked now and then.
 */
async function listen(
  settings: PoolConfig,
  { log, noticesCheckedMs = noticesCheckedDefaultMs }: PostgresOptions,
): Promise<Listening> {
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of listeners) listener()
  }
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let client: Client

  async function connect(): Promise<void> {
    const next = new Client({ ...settings, query_timeout: noticesAnswerMs })
    client = next
    let isLost = false
    const lost = (error: Error) => {
      if (isLost) return
      isLost = true
      // Without a goodbye, for which nobody may be there.
      streamOf(next).destroy()
      if (isStopped) return
      log.warn('store.notices_lost', { error })
      again()
    }
    next.on('notification', tell)
    next.on('error', lost)
    await next.connect()
    await next.query(`LISTEN ${channel}`)
    tell()
    check(next, lost)
  }
  function check(current: Client, lost: (error: Error) => void): void {
    clearTimeout(timer)
    if (isStopped) return
    timer = setTimeout(() => {
      current.query('SELECT 1').then(() => check(current, lost), lost)
    }, noticesCheckedMs)
  }
  function again(): void {
    clearTimeout(timer)
    if (!isStopped) timer = setTimeout(() => void connect().catch(again), listenAgainMs)
  }

  await connect()
  return {
    listeners,
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await client.end().catch(() => undefined) // gone already
    },
  }
}

/** pg's types leave it out. */
function streamOf(client: Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream
}

/** What the caller can do something about: come back later. All else is a bug. */
async function translated<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask()
  } catch (error) {
    if (!isAway(error)) throw error
    throw new FleetError('store.unavailable', 'the registry’s database does not answer', { cause: error })
  }
}

/** Of a process that stood still within a change. */
const cutWhileThinking = '25P03'

/**
 * Class 08 connections, 40 a transaction that gave way to another, 53 resources, 57 an operator’s shutdown (PostgreSQL,
 * appendix A); and errors of sockets.
 */
function isAway(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: string }
  if (typeof code === 'string')
    return code === cutWhileThinking || /^(08|40|53|57)/.test(code) || /^E[A-Z]+$/.test(code)
  return /^(Connection terminated|timeout exceeded|Client has encountered|Query read timeout)/.test(
    message ?? '',
  )
}

function atStart(error: unknown): unknown {
  if (error instanceof FleetError) return error
  if (isAway(error))
    return new FleetError('store.unavailable', 'the registry’s database does not answer', { cause: error })
  const { code, message } = error as { code?: unknown; message?: string }
  if (code === undefined || code === undefinedTable) return error
  // 28: login, 3D: no such database; never the URL, which has the password in it.
  return new FleetError('config.invalid', 'the registry’s database cannot be opened', {
    cause: error,
    faults: [`LOTWATCH_PROVISIONING_DATABASE_URL: ${message ?? String(code)}`],
  })
}
