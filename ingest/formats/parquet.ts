/**
 * Rows as a Parquet file, by a DuckDB of its own that knows nothing of the store: the rows go through a database file
 * beside the result, so that memory stays bounded however many there are. Times become instants (`TIMESTAMP WITH TIME
 * ZONE`), null stays null, and what an answer says beside its rows is in the file's metadata.
 */
import { rm } from 'node:fs/promises'
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBListValue,
  DuckDBTimestampTZValue,
  type DuckDBType,
  type DuckDBValue,
  LIST,
  TIMESTAMPTZ,
  VARCHAR,
} from '@duckdb/node-api'
import { interruptWhen } from '../interrupt.ts'
import { type Column, type ColumnKind, cellOf, type Pages, textOf } from './table.ts'

export interface ParquetOptions {
  /** Where the file is written; what is needed meanwhile is beside it. */
  readonly file: string
  /** Names and texts that go with the rows. */
  readonly metadata: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** DuckDB's vector size: the most rows a chunk can have. */
const chunkRowsMax = 2048
/** What DuckDB may use; more goes to the disk. */
const memoryMax = '96MB'

const types = {
  text: { type: 'VARCHAR', of: VARCHAR },
  texts: { type: 'VARCHAR[]', of: LIST(VARCHAR) },
  time: { type: 'TIMESTAMPTZ', of: TIMESTAMPTZ },
  integer: { type: 'BIGINT', of: BIGINT },
  number: { type: 'DOUBLE', of: DOUBLE },
  boolean: { type: 'BOOLEAN', of: BOOLEAN },
  counts: { type: 'VARCHAR', of: VARCHAR },
} as const satisfies Record<ColumnKind, { type: string; of: DuckDBType }>

/**
 * Resolves when the file is complete; when it rejects there is none.
 * @returns the number of rows
 */
export async function writeParquet(
  pages: Pages,
  columns: readonly Column[],
  { file, metadata, signal }: ParquetOptions,
): Promise<number> {
  const databaseFile = `${file}.rows`
  try {
    const database = await DuckDBInstance.create(databaseFile, { memory_limit: memoryMax, threads: '1' })
    try {
      const connection = await database.connect()
      const isOver = interruptWhen(signal, connection)
      try {
        const named = columns.map(({ name, kind }) => `"${name}" ${types[kind].type}`)
        await connection.run(`CREATE TABLE answer (${named.join(', ')})`)
        const appender = await connection.createAppender('answer')
        let count = 0
        for await (const rows of pages) {
          signal?.throwIfAborted()
          for (let from = 0; from < rows.length; from += chunkRowsMax)
            appender.appendDataChunk(chunkOf(rows.slice(from, from + chunkRowsMax), columns))
          appender.flushSync()
          count += rows.length
        }
        appender.closeSync()
        await connection.run(
          `COPY answer TO ${quoted(file)} (FORMAT parquet, COMPRESSION zstd${metadataOption(metadata)})`,
        )
        return count
      } finally {
        isOver()
        connection.closeSync()
      }
    } finally {
      database.closeSync()
    }
  } catch (error) {
    await rm(file, { force: true })
    throw signal?.aborted === true ? signal.reason : error
  } finally {
    for (const path of [databaseFile, `${databaseFile}.wal`, `${databaseFile}.tmp`])
      await rm(path, { force: true, recursive: true })
  }
}

function chunkOf(rows: readonly object[], columns: readonly Column[]): DuckDBDataChunk {
  const chunk = DuckDBDataChunk.create(
    columns.map(({ kind }) => types[kind].of),
    rows.length,
  )
  for (const [index, column] of columns.entries()) {
    const vector = chunk.getColumnVector(index)
    for (const [i, row] of rows.entries()) vector.setItem(i, duckValueOf(cellOf(row, column), column.kind))
    vector.flush()
  }
  return chunk
}

function duckValueOf(value: unknown, kind: ColumnKind): DuckDBValue {
  if (value === null || value === undefined) return null
  switch (kind) {
    case 'text':
    case 'counts':
      return textOf(value)
    case 'texts':
      return new DuckDBListValue((value as readonly unknown[]).map(String)) // by its schema
    case 'time':
      return new DuckDBTimestampTZValue(BigInt(Date.parse(String(value))) * 1000n)
    case 'integer':
      return BigInt(Number(value))
    case 'number':
      return Number(value)
    case 'boolean':
      return value === true
    default: {
      const never: never = kind
      return never
    }
  }
}

function metadataOption(metadata: Readonly<Record<string, string>>): string {
  const entries = Object.entries(metadata).map(([name, text]) => `${quoted(name)}: ${quoted(text)}`)
  return entries.length === 0 ? '' : `, KV_METADATA {${entries.join(', ')}}`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
