/**
 * A process of its own that answers one SELECT and ends: an in-memory DuckDB over files, with nothing else in reach.
 * What fills memory or never ends in here is killed, and whoever writes readings does not notice.
 */
import { setPriority } from 'node:os'
import { type DuckDBConnection, DuckDBInstance, StatementType } from '@duckdb/node-api'
import type { ErrorCode } from '../core/contract/errors.ts'
import type { Format } from '../core/contract/query.ts'
import type { SqlColumn } from '../core/contract/sql.ts'
import {
  copyStatement,
  faultOf,
  lockStatements,
  quoted,
  readingsSelect,
  type SmallTable,
  tableStatements,
  viewStatements,
} from './sql-views.ts'

/** What is to be done; paths are absolute. */
export interface SqlOrder {
  readonly sql: string
  readonly format: Format
  /** Zone of times that have one. */
  readonly tz: string
  /** In the columns of segments; together every reading once. */
  readonly readingFiles: readonly string[]
  readonly tableFiles: Readonly<Record<SmallTable, string>>
  /** Where readings of the lots in the tables are put first: nothing else is in reach then. Absent: all are. */
  readonly limitedFile?: string
  readonly resultFile: string
  readonly spillFolder: string
  /** As DuckDB spells it. */
  readonly memoryMax: string
  readonly spillMax: string
  readonly threads: number
  readonly rowsMax: number
}

/** `ready`: from here on the time is the question's own. */
export type SqlReport =
  | { readonly ready: true }
  | { readonly progress: number }
  | { readonly done: { readonly rows: number; readonly columns: readonly SqlColumn[] } }
  | { readonly failed: { readonly code: ErrorCode; readonly detail: string } }

const progressMs = 500
/** Below everything else on the machine but what is idle. */
const niceness = 5

/** Waits for its one order from the parent, reports, and ends; ends also when the parent does. */
export function runSqlChild(): void {
  process.once('disconnect', () => process.exit(0))
  process.once('message', (order: SqlOrder) => {
    void answer(order, (report) => process.send?.(report)).then(
      (report) => process.send?.(report, () => process.exit(0)),
      (error: unknown) =>
        process.send?.({ failed: faultOf((error as Error).message) }, () => process.exit(0)),
    )
  })
}

async function answer(order: SqlOrder, tell: (report: SqlReport) => void): Promise<SqlReport> {
  setPriority(niceness)
  const database = await DuckDBInstance.create(':memory:', {
    threads: String(order.threads),
    memory_limit: order.memoryMax,
    temp_directory: order.spillFolder,
    max_temp_directory_size: order.spillMax,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  const connection = await database.connect()
  await connection.run(`SET TimeZone = ${quoted(order.tz)}`)
  // Only so that it knows how far it has come.
  await connection.run('SET enable_progress_bar = true; SET enable_progress_bar_print = false')
  for (const statement of tableStatements((table) => order.tableFiles[table])) await connection.run(statement)
  for (const statement of viewStatements(await readingsOf(connection, order))) await connection.run(statement)
  const readable = order.limitedFile === undefined ? order.readingFiles : [order.limitedFile]
  for (const statement of lockStatements([...readable, order.resultFile])) await connection.run(statement)
  tell({ ready: true })

  const refusal = await refusalOf(connection, order.sql)
  if (refusal !== undefined) return { failed: { code: 'query.invalid', detail: refusal } }
  await connection.run(`CREATE TEMP VIEW answer_of_it AS ${order.sql}`)
  const columns = await columnsOf(connection, 'answer_of_it')
  const timer = setInterval(
    () => tell({ progress: Math.max(0, Math.min(100, connection.progress.percentage)) }),
    progressMs,
  )
  try {
    const copied = await connection.runAndReadAll(
      copyStatement({ view: 'answer_of_it', columns }, { ...order, file: order.resultFile }),
    )
    const rows = Number(copied.getRowsJS()[0]?.[0] ?? 0)
    return rows > order.rowsMax
      ? { failed: { code: 'query.limit', detail: `the answer has more than ${order.rowsMax} rows` } }
      : { done: { rows, columns } }
  } finally {
    clearInterval(timer)
  }
}

/** What the view `readings` is made of; of some lots alone, it is a file that has no others. */
async function readingsOf(connection: DuckDBConnection, order: SqlOrder): Promise<string> {
  const all = readingsSelect(order.readingFiles, order.limitedFile !== undefined)
  if (order.limitedFile === undefined) return all
  await connection.run(`COPY (${all}) TO ${quoted(order.limitedFile)} (FORMAT parquet)`)
  return `SELECT * FROM read_parquet(${quoted(order.limitedFile)})`
}

/** Why it is not one SELECT; undefined when it is. */
async function refusalOf(connection: DuckDBConnection, sql: string): Promise<string | undefined> {
  if (sql.replaceAll(';', '').trim() === '') return 'there is no statement'
  const statements = await connection.extractStatements(sql)
  if (statements.count !== 1) return `there are ${statements.count} statements where one may be`
  const { statementType } = await statements.prepare(0)
  return statementType === StatementType.SELECT
    ? undefined
    : `it is ${StatementType[statementType] ?? 'another statement'} and not SELECT`
}

async function columnsOf(connection: DuckDBConnection, view: string): Promise<SqlColumn[]> {
  const described = await connection.runAndReadAll(`DESCRIBE ${view}`)
  return described.getRowsJS().map(([name, type]) => ({ name: String(name), type: String(type) }))
}
