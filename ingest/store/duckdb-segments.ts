/**
 * Segments: Parquet files with the readings of a day, names in place of numbers and instants as `TIMESTAMPTZ`, so that
 * they say all there is without the database. What is in which column is in docs/operations.md.
 */
import { clocks, sensors } from './duckdb-schema.ts'

/** Rows of the table, or of something of its shape, as rows of a segment. */
export function asSegmentRows(source: string, condition: string): string {
  return `SELECT d.device_id, make_timestamptz(r.timestamp_ms * 1000) AS time, r.occupied, r.capacity, r.entries_total,
    r.exits_total, ${nameOf('r.clock', clocks)} AS clock, ${nameOf('r.sensor', sensors)} AS sensor,
    make_timestamptz(r.received_at_ms * 1000) AS received_at, e.epoch_id AS epoch, r.seq, c.credential_id
  FROM ${source} r JOIN devices d ON d.device = r.device LEFT JOIN epochs e ON e.epoch = r.epoch
    JOIN credentials c ON c.credential = r.credential
  WHERE ${condition}`
}

/** How a segment is ordered, of rows that `asSegmentRows` makes. */
export const segmentOrder = 'ORDER BY d.device_id, r.timestamp_ms'

/** Rows of segments as rows of the table. */
export function asTableRows(files: readonly string[]): string {
  return `SELECT d.device, epoch_ms(s.time) AS timestamp_ms, s.occupied, s.capacity, s.entries_total, s.exits_total,
    ${numberOf('s.clock', clocks)} AS clock, ${numberOf('s.sensor', sensors)} AS sensor,
    epoch_ms(s.received_at) AS received_at_ms, e.epoch, s.seq, c.credential
  FROM read_parquet([${files.map(quoted).join()}]) s JOIN devices d ON d.device_id = s.device_id
    LEFT JOIN epochs e ON e.device = d.device AND e.epoch_id = s.epoch
    JOIN credentials c ON c.credential_id = s.credential_id`
}

/** What both have, in the order of `asTableRows`. */
export const tableColumns = `device, timestamp_ms, occupied, capacity, entries_total, exits_total, clock, sensor,
  received_at_ms, epoch, seq, credential`

export const parquetOptions = '(FORMAT parquet, COMPRESSION zstd)'

/** A text of SQL. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function nameOf(column: string, names: readonly string[]): string {
  return `CASE ${column} ${names.map((name, i) => `WHEN ${i} THEN ${quoted(name)}`).join(' ')} END`
}

function numberOf(column: string, names: readonly string[]): string {
  return `(CASE ${column} ${names.map((name, i) => `WHEN ${quoted(name)} THEN ${i}`).join(' ')} END)::UTINYINT`
}
