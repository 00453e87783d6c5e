/**
 * One SELECT in a child process, and its answer in a file: the child is killed when it takes too long, too much memory or
 * too much of the disk, and when nobody wants the answer any more.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type ErrorCode, FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { Format } from '../core/contract/query.ts'
import type { SqlColumn } from '../core/contract/sql.ts'
import type { Snapshots } from './snapshots.ts'
import type { SqlOrder, SqlReport } from './sql-child.ts'
import { type TablesSource, writeTables } from './sql-tables.ts'

export interface SqlLimits {
  readonly timeoutMs: number
  readonly memoryMb: number
  /** What does not fit into memory goes to disk, up to this. */
  readonly spillMb: number
  readonly resultMb: number
  readonly rowsMax: number
  readonly threads: number
}

export interface SqlQuestion {
  readonly sql: string
  readonly format: Format
  readonly tz: string
  readonly principal: Pick<Principal, 'lots'>
  /** New, for this question alone; everything is in here. */
  readonly folder: string
  readonly limits: SqlLimits
}

export interface SqlAnswer {
  readonly file: string
  readonly bytes: number
  readonly rows: number
  readonly columns: readonly SqlColumn[]
}

export interface SqlRunnerOptions {
  readonly snapshots: Snapshots
  readonly tables: TablesSource
  /** The file of the program that is a child. */
  readonly program: string
}

export interface SqlRunner {
  /**
   * @param signal kills the child
   * @throws FleetError `query.invalid`, `query.limit`, `store.unavailable`; what is in the folder is of no use then
   */
  run(question: SqlQuestion, signal: AbortSignal, onProgress?: (percent: number) => void): Promise<SqlAnswer>
}

const watchMs = 200
/** For a child to come up and find its files; on a machine that is overloaded it takes seconds. */
const readyMs = 60_000
/** What a process with Node and DuckDB in it needs beside what DuckDB counts. */
const processMb = 250
const mb = 1024 * 1024

export function createSqlRunner({ snapshots, tables, program }: SqlRunnerOptions): SqlRunner {
  return {
    async run(question, signal, onProgress = () => undefined) {
      const { sql, format, tz, principal, folder, limits } = question
      signal.throwIfAborted()
      const spillFolder = join(folder, 'spill')
      mkdirSync(spillFolder, { recursive: true, mode: 0o700 })
      const snapshot = await snapshots.take()
      try {
        const order: SqlOrder = {
          sql,
          format,
          tz,
          readingFiles: snapshot.files,
          tableFiles: await writeTables(folder, tables, principal),
          ...(principal.lots === undefined ? {} : { limitedFile: join(folder, 'readings.parquet') }),
          resultFile: join(folder, 'result'),
          spillFolder,
          memoryMax: `${limits.memoryMb}MB`,
          spillMax: `${limits.spillMb}MB`,
          threads: limits.threads,
          rowsMax: limits.rowsMax,
        }
        const { rows, columns } = await inChild(order, { limits, signal, onProgress, program })
        const bytes = statSync(order.resultFile).size
        if (bytes > limits.resultMb * mb) throw tooMuch(`the answer is larger than ${limits.resultMb} MB`)
        return { file: order.resultFile, bytes, rows, columns }
      } finally {
        snapshot.release()
        rmSync(spillFolder, { recursive: true, force: true })
      }
    },
  }
}

interface ChildWork {
  readonly limits: SqlLimits
  readonly signal: AbortSignal
  readonly onProgress: (percent: number) => void
  readonly program: string
}

function inChild(order: SqlOrder, { limits, signal, onProgress, program }: ChildWork) {
  return new Promise<{ rows: number; columns: readonly SqlColumn[] }>((resolve, reject) => {
    // Nothing of our own environment: settings in it may be secrets.
    const child = fork(program, [], {
      env: {},
      execArgv: ['--max-old-space-size=128'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const end = (settle: () => void) => {
      clearTimeout(timer)
      clearInterval(watch)
      signal.removeEventListener('abort', onAbort)
      child.removeAllListeners()
      // A late report is of no interest, and must not be an error nobody listens to.
      child.on('error', () => undefined)
      child.kill('SIGKILL')
      settle()
    }
    const fail = (error: unknown) => end(() => reject(error))
    const onAbort = () => fail(signal.reason)
    let timer = setTimeout(
      () => fail(new FleetError('store.unavailable', 'the process of a query does not come up')),
      readyMs,
    )
    const startClock = () => {
      clearTimeout(timer)
      timer = setTimeout(
        () => fail(tooMuch(`the query takes longer than ${limits.timeoutMs / 1000} s`)),
        limits.timeoutMs,
      )
    }
    const watch = setInterval(() => {
      const excess = excessOf(child, order, limits)
      if (excess !== undefined) fail(tooMuch(excess))
    }, watchMs)
    signal.addEventListener('abort', onAbort, { once: true })
    child.on('message', (report: SqlReport) => {
      if ('ready' in report) startClock()
      else if ('progress' in report) onProgress(report.progress)
      else if ('done' in report) end(() => resolve(report.done))
      else fail(refusal(report.failed.code, report.failed.detail))
    })
    child.on('error', fail)
    child.on('exit', (code, killedBy) =>
      // The system kills who takes its memory.
      fail(
        killedBy === 'SIGKILL'
          ? tooMuch('the query takes more memory than there is')
          : new FleetError('store.unavailable', `the process of a query ended with ${code ?? killedBy}`),
      ),
    )
    child.send(order)
  })
}

/** What a child takes too much of. */
function excessOf(
  child: ChildProcess,
  { resultFile, spillFolder }: SqlOrder,
  limits: SqlLimits,
): string | undefined {
  if (bytesOf(resultFile) > limits.resultMb * mb) return `the answer is larger than ${limits.resultMb} MB`
  if (residentMb(child.pid) > limits.memoryMb + processMb)
    return `the query takes more memory than ${limits.memoryMb} MB`
  // DuckDB has this limit, too, and was measured to go beyond it twenty times over.
  if (bytesIn(spillFolder) > limits.spillMb * mb)
    return `the query takes more disk than ${limits.spillMb} MB for what does not fit into memory`
  return undefined
}

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + bytesOf(join(folder, name)), 0)
}

function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** As Linux tells it; elsewhere DuckDB's own limit has to do. */
function residentMb(pid: number | undefined): number {
  try {
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(line?.[1] ?? 0) / 1024
  } catch {
    return 0 // it has ended meanwhile
  }
}

function tooMuch(safeDetail: string): FleetError {
  return refusal('query.limit', safeDetail)
}

function refusal(code: ErrorCode, safeDetail: string): FleetError {
  return new FleetError(code, safeDetail, { safeDetail })
}
