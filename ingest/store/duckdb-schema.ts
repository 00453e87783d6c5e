/**
 * The tables of the DuckDB store, and how rows become columns of a chunk.
 *
 * Texts that repeat in every row (devices, epochs, credentials) are numbers in `readings` and `ledger`, with a
 * table of names each. No keys are declared on `readings`: DuckDB's index was measured to triple the cost of a batch, and identity is
 * the ledger's matter. Flags are not stored: they follow from the row and the lot's capacity (see `flags.ts`).
 */
import {
  BIGINT,
  BOOLEAN,
  type DuckDBAppender,
  DuckDBDataChunk,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api'
import type { Outcome, Reading } from '../../core/contract/reading.ts'

/** Raised when tables change: a file of another version is refused. */
export const schemaVersion = 2

export const schema = `
CREATE TABLE IF NOT EXISTS meta (name VARCHAR, value VARCHAR);
CREATE TABLE IF NOT EXISTS devices (device INTEGER, device_id VARCHAR);
CREATE TABLE IF NOT EXISTS epochs (epoch INTEGER, device INTEGER, epoch_id VARCHAR);
CREATE TABLE IF NOT EXISTS credentials (credential INTEGER, credential_id VARCHAR);
CREATE TABLE IF NOT EXISTS readings (
  device INTEGER NOT NULL, timestamp_ms BIGINT NOT NULL, occupied INTEGER, capacity INTEGER,
  entries_total BIGINT, exits_total BIGINT, clock UTINYINT, sensor UTINYINT,
  received_at_ms BIGINT NOT NULL, epoch INTEGER, seq BIGINT, credential INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
  epoch INTEGER NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL, outcome UTINYINT NOT NULL, reason VARCHAR,
  from_ms BIGINT, to_ms BIGINT);
CREATE TABLE IF NOT EXISTS epoch_ends (epoch INTEGER NOT NULL, last_seq BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS quarantine (
  id VARCHAR NOT NULL, device_id VARCHAR NOT NULL, credential_id VARCHAR NOT NULL, received_at_ms BIGINT NOT NULL,
  reason VARCHAR NOT NULL, epoch_id VARCHAR, seq BIGINT, timestamp_ms BIGINT, count BIGINT NOT NULL,
  content VARCHAR, content_hash VARCHAR NOT NULL, stored_occupied INTEGER);
CREATE TABLE IF NOT EXISTS quarantine_releases (
  id VARCHAR NOT NULL, device_id VARCHAR NOT NULL, released_at_ms BIGINT NOT NULL, released_by VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS statuses (device_id VARCHAR PRIMARY KEY, received_at_ms BIGINT NOT NULL, body VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS status_history (
  device_id VARCHAR NOT NULL, received_at_ms BIGINT NOT NULL, is_change BOOLEAN NOT NULL, body VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS schedules (device_id VARCHAR NOT NULL, since_ms BIGINT NOT NULL, cron VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS presence (device_id VARCHAR NOT NULL, at_ms BIGINT NOT NULL, body VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS registered (device_id VARCHAR NOT NULL, body VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS lots (lot_id VARCHAR NOT NULL, body VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS assignments (device_id VARCHAR NOT NULL, lot_id VARCHAR NOT NULL, from_ms BIGINT NOT NULL, to_ms BIGINT);
CREATE TABLE IF NOT EXISTS days (
  day INTEGER NOT NULL, generation INTEGER NOT NULL, file VARCHAR NOT NULL, rows BIGINT NOT NULL, bytes BIGINT NOT NULL,
  sha256 VARCHAR NOT NULL, is_stale BOOLEAN NOT NULL, archived INTEGER, kept VARCHAR NOT NULL);
${rollupTable('rollups_15m')}
${rollupTable('rollups_1d')}
`

/** Sums of a device in a window of UTC, of the generation of its day that they were made with. */
function rollupTable(name: string): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (
  day INTEGER NOT NULL, generation INTEGER NOT NULL, device INTEGER NOT NULL, from_ms BIGINT NOT NULL,
  last_ms BIGINT NOT NULL, counted INTEGER NOT NULL, silent INTEGER NOT NULL, sum BIGINT NOT NULL,
  min INTEGER, max INTEGER, first INTEGER, last INTEGER, late INTEGER NOT NULL, capacity INTEGER);`
}

/** Numbers in the database are indexes into these: only ever append. */
export const outcomes = [
  'stored',
  'duplicate',
  'conflict',
  'quarantined',
  'dropped',
] as const satisfies Outcome[]
export const clocks = ['synced', 'unsynced'] as const satisfies Reading['clock'][]
export const sensors = ['ok', 'silent', 'stuck'] as const satisfies Reading['sensor'][]

/** One column of a table and what a row puts in it. */
export interface Column<Row> {
  readonly type: DuckDBType
  readonly of: (row: Row) => DuckDBValue
}

export function integer<Row>(of: (row: Row) => number | null | undefined): Column<Row> {
  return { type: INTEGER, of: (row) => of(row) ?? null }
}

export function bigint<Row>(of: (row: Row) => number | undefined): Column<Row> {
  return {
    type: BIGINT,
    of: (row) => {
      const value = of(row)
      return value === undefined ? null : BigInt(value)
    },
  }
}

export function text<Row>(of: (row: Row) => string | null | undefined): Column<Row> {
  return { type: VARCHAR, of: (row) => of(row) ?? null }
}

export function boolean<Row>(of: (row: Row) => boolean): Column<Row> {
  return { type: BOOLEAN, of }
}

/** A value out of a fixed list, as its index. */
export function choice<Row, Value>(
  values: readonly Value[],
  of: (row: Row) => Value | undefined,
): Column<Row> {
  return {
    type: UTINYINT,
    of: (row) => {
      const value = of(row)
      return value === undefined ? null : values.indexOf(value)
    },
  }
}

/** DuckDB's vector size: the most rows a chunk can have. */
const chunkRowsMax = 2048

/**
 * Appends rows a chunk at a time, column by column: measured at 2.2 µs a row of twelve columns with its commit, in
 * batches of 2,000. Value by value, or texts in place of numbers, each took about half as long again. They are in the table once the transaction commits.
 */
export function appendRows<Row>(
  appender: DuckDBAppender,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): void {
  const types = columns.map(({ type }) => type)
  for (let from = 0; from < rows.length; from += chunkRowsMax) {
    const count = Math.min(chunkRowsMax, rows.length - from)
    const chunk = DuckDBDataChunk.create(types, count)
    for (const [index, { of }] of columns.entries()) {
      const vector = chunk.getColumnVector(index)
      for (let i = 0; i < count; i++) vector.setItem(i, of(rows[from + i] as Row)) // from + i < length
      vector.flush()
    }
    appender.appendDataChunk(chunk)
  }
  appender.flushSync()
}
