/**
 * The registry in a SQLite file that this process owns: WAL, synchronous FULL, one connection, locked against others.
 * Statements run synchronously, so a read or a commit is one indivisible step of the process.
 */
import Database from 'libsql'
import { FleetError } from '../../core/contract/errors.ts'
import { migrations, stepsFrom } from './migrate.ts'
import type { RegistryRepository } from './repository.ts'
import type { SqlChange, SqlDriver, SqlReader, SqlValue, Statement } from './sql.ts'
import { statement } from './sql.ts'
import { createSqlRepository, type SqlRepositoryOptions } from './sql-repository.ts'

export interface SqliteOptions extends SqlRepositoryOptions {
  readonly path: string
}

/** Counts of tokens are written this often: what a crash forgets. */
const countsWrittenMs = 1000
const countsWrittenAtOnce = 500
const countsForgottenMs = 10 * 60_000
/** Statements kept prepared; far more than there are, unless filters are combined in every way. */
const preparedMax = 500

/**
 * @throws FleetError `store.locked` when another process has the file, `config.invalid` when it cannot be opened
 *   or was written by a newer version
 */
export function openSqliteRepository(options: SqliteOptions): RegistryRepository {
  return createSqlRepository(createSqliteDriver(open(options.path), options.now), options)
}

function createSqliteDriver(db: Database.Database, now: () => number): SqlDriver {
  const prepared = new Map<string, Database.Statement>()
  const prepare = (sql: string): Database.Statement => {
    const known = prepared.get(sql)
    if (known !== undefined) return known
    if (prepared.size >= preparedMax) prepared.clear()
    const made = db.prepare(sql)
    prepared.set(sql, made)
    return made
  }
  // Bound as one array: a lone object among the arguments would be taken for named parameters.
  const rows = <Row>(sql: string, values: readonly SqlValue[]) => prepare(sql).all(values) as Row[]
  const runAll = (statements: readonly Statement[]) =>
    atOnce(db, () => {
      for (const { sql, values } of statements) prepare(sql).run(values)
    })
  /** Without a sync of its own: a crash of the process loses nothing of it, a power cut may. */
  const runLoosely = (statements: readonly Statement[]) => {
    db.pragma('synchronous = NORMAL')
    try {
      runAll(statements)
    } finally {
      db.pragma('synchronous = FULL')
    }
  }
  const reader: SqlReader = {
    // An async function runs up to its first await: the row is read at the instant of the call.
    async all(sql, ...values) {
      return rows(sql, values)
    },
  }
  const listeners = new Set<() => void>()
  const counts = createCounts(rows, runLoosely, now)
  const once = createGrouped((statements) => {
    const changes: number[] = []
    atOnce(db, () => {
      for (const { sql, values } of statements) changes.push(prepare(sql).run(values).changes)
    })
    return changes
  })
  let lastChange: Promise<unknown> = Promise.resolve()

  const change: SqlChange = {
    ...reader,
    async commit(build) {
      // Nothing else runs between this instant and the commit.
      runAll(build(now()))
      for (const listener of listeners) listener()
    },
  }

  return {
    ...reader,
    async allAtOnce(statements) {
      return statements.map(({ sql, values }) => rows(sql, values))
    },
    change(work) {
      const turn = lastChange.then(() => work(change))
      lastChange = turn.catch(() => undefined) // its caller hears of it; the next in line goes on
      return turn
    },
    async run(statements, { durable } = { durable: true }) {
      if (statements.length === 0) return
      if (durable) runAll(statements)
      else runLoosely(statements)
    },
    runOne: (one) => once(one),
    async countTokens(wanted) {
      return wanted.map((count) => counts.add(count))
    },
    onCommit(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    // The file stays locked until the process ends: libsql keeps it open for its prepared statements.
    async close() {
      await lastChange
      counts.stop()
      db.close()
    },
  }
}

/**
 * All of it is written, or nothing. libsql's own `transaction` rolls back what SQLite has rolled back by itself when the
 * disk is full, and then tells of that.
 * @throws FleetError `store.unavailable` when the disk does not take it
 */
function atOnce(db: Database.Database, write: () => void): void {
  try {
    db.exec('BEGIN IMMEDIATE')
    write()
    db.exec('COMMIT')
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK')
    const { code } = error as { code?: unknown } // libsql's errors carry SQLite's word
    if (typeof code !== 'string' || !/^SQLITE_(FULL|IOERR)/.test(code)) throw error
    throw new FleetError('store.unavailable', 'the registry’s disk takes nothing', { cause: error })
  }
}

/** Statements that come in one turn of the event loop share a commit, and each hears what became of it. */
function createGrouped(
  commit: (statements: readonly Statement[]) => number[],
): (one: Statement) => Promise<number> {
  let waiting: { one: Statement; resolve: (changes: number) => void; reject: (error: unknown) => void }[] = []
  const flush = () => {
    const group = waiting
    waiting = []
    try {
      const changes = commit(group.map(({ one }) => one))
      for (const [i, { resolve }] of group.entries()) resolve(changes[i] ?? 0)
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
  return (one) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush)
      waiting.push({ one, resolve, reject })
    })
}

interface Count {
  readonly counter: string
  readonly windowStartMs: number
  tokens: number
}

/** Counts in memory, since nobody else counts in this file: read at the start, written every second in slices. */
function createCounts(
  rows: <Row>(sql: string, values: readonly SqlValue[]) => Row[],
  run: (statements: readonly Statement[]) => void,
  now: () => number,
) {
  const counts = new Map<string, Count>()
  const changed = new Set<Count>()
  const dayMs = 24 * 3600_000
  const keyOf = ({ counter, windowStartMs }: Pick<Count, 'counter' | 'windowStartMs'>) =>
    `${windowStartMs} ${counter}`
  const sql =
    'SELECT counter, window_start_ms AS windowStartMs, tokens FROM token_counts WHERE window_start_ms >= ?'
  for (const count of rows<Count>(sql, [now() - dayMs])) counts.set(keyOf(count), count)

  // One statement for a slice: bound one by one, they take twice as long.
  const writeSome = (some: readonly Count[]) => {
    if (some.length === 0) return
    const values = some.map(({ counter, windowStartMs, tokens }) => [counter, windowStartMs, tokens])
    run([
      statement(
        `INSERT INTO token_counts (counter, window_start_ms, tokens)
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
         ON CONFLICT (counter, window_start_ms) DO UPDATE SET tokens = excluded.tokens`,
        JSON.stringify(values),
      ),
    ])
  }
  const takeSome = (): Count[] => {
    const some: Count[] = []
    for (const count of changed) {
      if (some.length === countsWrittenAtOnce) break
      some.push(count)
      changed.delete(count)
    }
    return some
  }
  const write = async () => {
    for (let left = changed.size; left > 0 && !isStopped; left -= countsWrittenAtOnce) {
      const some = takeSome()
      try {
        writeSome(some)
      } catch {
        // A full disk: whoever has something to keep hears of it. Counts are kept here, and written later.
        for (const count of some) changed.add(count)
        return
      }
      // Requests come in between.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const forgetOld = () => {
    for (const [key, { windowStartMs }] of counts) if (windowStartMs < now() - dayMs) counts.delete(key)
  }
  let isStopped = false
  const writing = setInterval(() => void write(), countsWrittenMs)
  const forgetting = setInterval(forgetOld, countsForgottenMs)
  writing.unref()
  forgetting.unref()
  return {
    add({ counter, windowStartMs, add }: { counter: string; windowStartMs: number; add: number }): number {
      const key = `${windowStartMs} ${counter}`
      let count = counts.get(key)
      if (count === undefined) {
        if (add === 0) return 0
        count = { counter, windowStartMs, tokens: 0 }
        counts.set(key, count)
      }
      count.tokens += add
      if (add !== 0) changed.add(count)
      return count.tokens
    },
    stop() {
      isStopped = true
      clearInterval(writing)
      clearInterval(forgetting)
      try {
        writeSome([...changed])
      } catch {
        // As after a crash: the last counts are forgotten.
      }
    },
  }
}

function open(path: string): Database.Database {
  try {
    const db = new Database(path)
    // Exclusive before WAL: the file stays locked until this process ends, however it ends.
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    const row = db.prepare('PRAGMA user_version').get([]) as { user_version: number } // the pragma's one column
    for (const { sql, version } of stepsFrom(row.user_version, migrations.sqlite, path)) {
      // The version is written with the step: a crash leaves both or neither.
      db.transaction(() => {
        db.exec(sql)
        db.exec(`PRAGMA user_version = ${version}`)
      })()
    }
    return db
  } catch (error) {
    const { code } = error as { code?: unknown } // libsql's errors carry SQLite's word
    if (code === 'SQLITE_BUSY')
      throw new FleetError('store.locked', `another process has ${path} open`, { cause: error })
    if (typeof code !== 'string' || !/^SQLITE_(CANTOPEN|NOTADB|CORRUPT|PERM|READONLY)/.test(code)) throw error
    throw new FleetError('config.invalid', `${path} cannot be opened`, {
      cause: error,
      faults: [`${path}: ${code}`],
    })
  }
}
