/**
 * A copy of the whole database while it is written to: one transaction reads everything as of one moment, and says how
 * many rows each table had then, and what they add up to; the copy must say the same before it counts as one.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { FleetError } from '../../core/contract/errors.ts'
import { quoted } from './duckdb-segments.ts'
import type { TableSum } from './store.ts'

/** @param file must not be there yet */
export async function backUp(connection: DuckDBConnection, file: string): Promise<readonly TableSum[]> {
  const [source] = await namesIn(connection, 'SELECT current_database()')
  await connection.run(`ATTACH ${quoted(file)} AS backup`)
  try {
    await connection.run('BEGIN')
    let sums: readonly TableSum[]
    try {
      await connection.run(`COPY FROM DATABASE ${named(source)} TO backup`)
      sums = await sumsOf(connection, source ?? '')
      await connection.run('COMMIT')
    } catch (error) {
      await connection.run('ROLLBACK').catch(() => undefined) // a failed COMMIT has rolled back already
      throw error
    }
    // All of it in the file, nothing in a log beside it.
    await connection.run('CHECKPOINT backup')
    requireSame(sums, await sumsOf(connection, 'backup'))
    return sums
  } finally {
    await connection.run('DETACH backup')
  }
}

/** @throws FleetError `file.invalid` when a table is not what it was */
export async function verifyTables(connection: DuckDBConnection, sums: readonly TableSum[]): Promise<void> {
  const [database = ''] = await namesIn(connection, 'SELECT current_database()')
  requireSame(sums, await sumsOf(connection, database))
}

async function sumsOf(connection: DuckDBConnection, database: string): Promise<TableSum[]> {
  const tables = await namesIn(
    connection,
    `SELECT table_name FROM duckdb_tables() WHERE database_name = ${quoted(database)} ORDER BY table_name`,
  )
  const sums: TableSum[] = []
  for (const table of tables) {
    // The sum of the rows' hashes: the same in whatever order they lie, and another when one is there twice.
    const found = await connection.runAndReadAll(
      `SELECT count(*), coalesce(sum(hash(t)), 0)::VARCHAR FROM ${named(database)}.${named(table)} t`,
    )
    const [rows, sum] = found.getRowsJS()[0] ?? []
    sums.push({ table, rows: Number(rows), sum: String(sum) })
  }
  return sums
}

function requireSame(expected: readonly TableSum[], found: readonly TableSum[]): void {
  const faults = expected.flatMap(({ table, rows, sum }) => {
    const there = found.find((one) => one.table === table)
    if (there?.rows === rows && there.sum === sum) return []
    return [`${table}: ${there?.rows ?? 'no'} rows in place of ${rows}, or others`]
  })
  if (faults.length > 0) throw new FleetError('file.invalid', 'a copy is not what was copied', { faults })
}

async function namesIn(connection: DuckDBConnection, sql: string): Promise<string[]> {
  return (await connection.runAndReadAll(sql)).getRowsJS().map(([name]) => String(name))
}

function named(identifier: string | undefined): string {
  return `"${(identifier ?? '').replaceAll('"', '""')}"`
}
