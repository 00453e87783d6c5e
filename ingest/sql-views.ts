/**
 * What a SELECT of an analyst runs on: the views over segments and small tables, how an answer is written in each format,
 * and which words of DuckDB become which error. Text only; who runs it is `sql-child.ts`.
 */
import type { ErrorCode } from '../core/contract/errors.ts'
import type { Format } from '../core/contract/query.ts'
import type { SqlColumn } from '../core/contract/sql.ts'

/** Small tables that come as lines of JSON, with the types of their columns. */
export const smallTables = {
  lots: {
    lotId: 'VARCHAR',
    name: 'VARCHAR',
    latitude: 'DOUBLE',
    longitude: 'DOUBLE',
    zone: 'VARCHAR',
    openingHours: 'VARCHAR',
    capacity: 'INTEGER',
  },
  capacities: { lotId: 'VARCHAR', fromMs: 'BIGINT', capacity: 'INTEGER' },
  devices: { deviceId: 'VARCHAR', lotId: 'VARCHAR' },
  assignments: { deviceId: 'VARCHAR', lotId: 'VARCHAR', fromMs: 'BIGINT', toMs: 'BIGINT' },
  ledger: {
    deviceId: 'VARCHAR',
    epoch: 'VARCHAR',
    fromSeq: 'BIGINT',
    toSeq: 'BIGINT',
    outcome: 'VARCHAR',
    reason: 'VARCHAR',
  },
  gaps: { deviceId: 'VARCHAR', epoch: 'VARCHAR', fromSeq: 'BIGINT', toSeq: 'BIGINT', reason: 'VARCHAR' },
} as const satisfies Record<string, Readonly<Record<string, string>>>
export type SmallTable = keyof typeof smallTables

/** Tables of their own, apart from what a SELECT sees. */
const schemaName = 'kept'

/** @param fileOf lines of JSON of each table */
export function tableStatements(fileOf: (table: SmallTable) => string): string[] {
  const names = Object.keys(smallTables) as SmallTable[] // its own keys
  return [
    `CREATE SCHEMA ${schemaName}`,
    ...names.map((name) => {
      const columns = Object.entries(smallTables[name]).map(([column, type]) => `${column}: '${type}'`)
      return `CREATE TABLE ${schemaName}.${name} AS SELECT * FROM read_json(${quoted(fileOf(name))}, format = 'newline_delimited', columns = {${columns.join(', ')}})`
    }),
  ]
}

/**
 * Readings as analysts see them, from files in the columns of segments.
 * @param isLimited only of lots that are in the tables
 */
export function readingsSelect(files: readonly string[], isLimited: boolean): string {
  return `SELECT r.time, r.device_id AS deviceId, a.lotId, r.occupied, r.capacity, r.entries_total AS entriesTotal,
  r.exits_total AS exitsTotal, r.clock, r.sensor, r.received_at AS receivedAt, r.epoch, r.seq
FROM read_parquet([${files.map(quoted).join(', ')}]) r
${isLimited ? '' : 'LEFT '}JOIN ${schemaName}.assignments a
  ON a.deviceId = r.device_id AND epoch_ms(r.time) >= a.fromMs AND epoch_ms(r.time) < a.toMs`
}

/** @param readings a SELECT, or the file that has its answer */
export function viewStatements(readings: string): string[] {
  const time = (column: string) => `epoch_ms(${column})::TIMESTAMPTZ`
  return [
    `CREATE VIEW readings AS ${readings}`,
    `CREATE VIEW lots AS FROM ${schemaName}.lots`,
    `CREATE VIEW capacities AS SELECT lotId, ${time('fromMs')} AS fromTime, capacity FROM ${schemaName}.capacities`,
    `CREATE VIEW devices AS FROM ${schemaName}.devices`,
    `CREATE VIEW assignments AS SELECT deviceId, lotId, ${time('fromMs')} AS fromTime,
       CASE WHEN toMs < ${endOfTimeMs} THEN ${time('toMs')} END AS toTime FROM ${schemaName}.assignments`,
    `CREATE VIEW ledger AS FROM ${schemaName}.ledger`,
    `CREATE VIEW gaps AS FROM ${schemaName}.gaps`,
  ]
}

/** An assignment without an end has this one: the largest safe integer. */
const endOfTimeMs = Number.MAX_SAFE_INTEGER

/** From here on nothing can be read but these files, nothing loaded, and this cannot be taken back. */
export function lockStatements(files: readonly string[]): string[] {
  return [
    `SET allowed_paths = [${files.map(quoted).join(', ')}]`,
    'SET enable_external_access = false',
    'SET lock_configuration = true',
  ]
}

/**
 * How the answer, a view of that name, is written.
 * JSON has no word for NaN and infinity, and RFC 3339 wants minutes in its offset.
 */
export function copyStatement(
  answer: { readonly view: string; readonly columns: readonly SqlColumn[] },
  to: { readonly file: string; readonly format: Format; readonly rowsMax: number },
): string {
  const select = `SELECT ${answer.columns.map((column) => `${expressionOf(column, to.format)} AS ${name(column.name)}`).join(', ')} FROM ${answer.view} LIMIT ${to.rowsMax + 1}`
  return `COPY (${select}) TO ${quoted(to.file)} (${copyOptions[to.format]}, USE_TMP_FILE false)`
}

const copyOptions: Readonly<Record<Format, string>> = {
  json: 'FORMAT json, ARRAY true',
  ndjson: 'FORMAT json, ARRAY false',
  csv: 'FORMAT csv, HEADER true',
  'csv-excel': 'FORMAT csv, HEADER true',
  parquet: 'FORMAT parquet, COMPRESSION zstd',
}

const isJson = (format: Format) => format === 'json' || format === 'ndjson'

function expressionOf({ name: column, type }: SqlColumn, format: Format): string {
  const value = name(column)
  if (format === 'parquet') return value
  if (type === 'TIMESTAMP WITH TIME ZONE')
    return `regexp_replace(regexp_replace(strftime(${value}, '%Y-%m-%dT%H:%M:%S.%g%z'), '([+-]\\d\\d)$', '\\1:00'), '\\+00:00$', 'Z')`
  if (type.startsWith('TIMESTAMP')) return `strftime(${value}, '%Y-%m-%dT%H:%M:%S.%g')`
  if (isJson(format) && (type === 'DOUBLE' || type === 'FLOAT'))
    return `CASE WHEN isfinite(${value}) THEN ${value} END`
  // Within lists and structures NaN cannot be told apart: as text it is at least JSON.
  if (isJson(format) && /DOUBLE|FLOAT/.test(type)) return `${value}::VARCHAR`
  if (format === 'csv-excel' && type === 'VARCHAR')
    return `CASE WHEN regexp_matches(${value}, '^[=+\\-@\\t\\r]') THEN '''' || ${value} ELSE ${value} END`
  return value
}

/** What a refusal of DuckDB is called, and as much of its words as helps whoever wrote the SELECT. */
export function faultOf(message: string): { readonly code: ErrorCode; readonly detail: string } {
  const [detail = ''] = message.split('\n\nPossible solutions')
  const code: ErrorCode = /^(Out of Memory|Interrupt|IO) Error|max_temp_directory_size|out of memory/i.test(
    message,
  )
    ? 'query.limit'
    : 'query.invalid'
  return { code, detail: detail.trim().slice(0, 1000) }
}

function name(column: string): string {
  return `"${column.replaceAll('"', '""')}"`
}

export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
