/** Days of the DuckDB store as they are summed up in memory, loaded when it opens. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { lateMs } from '../../core/contract/reading.ts'
import { dayMs } from './day-book.ts'
import type { QuarterSums } from './quarter-sums.ts'
import { at } from './span-sums.ts'
import { rollupGrainMs } from './span-windows.ts'

type SqlOfCells = Record<keyof typeof at, string>

const cellsOfReadings: SqlOfCells = {
  count: 'count(occupied)',
  silent: 'count(*) - count(occupied)',
  late: `count(*) FILTER (received_at_ms - timestamp_ms > ${lateMs})`,
  sum: 'sum(occupied)',
  min: 'min(occupied)',
  max: 'max(occupied)',
  first: 'arg_min(occupied, timestamp_ms)',
  last: 'arg_max(occupied, timestamp_ms)',
  firstMs: `min(timestamp_ms) FILTER (occupied IS NOT NULL) % ${dayMs}`,
  lastMs: `max(timestamp_ms) FILTER (occupied IS NOT NULL) % ${dayMs}`,
  capacity: 'max(capacity)::BIGINT + 1',
}

/** Within a quarter there is nothing to be compared with. */
const cellsOfRollups: SqlOfCells = {
  count: 'counted',
  silent: 'silent',
  late: 'late',
  sum: 'sum',
  min: 'min',
  max: 'max',
  first: 'first',
  last: 'last',
  firstMs: `from_ms % ${dayMs}`,
  lastMs: `from_ms % ${dayMs}`,
  capacity: 'capacity::BIGINT + 1',
}

/** The columns in the order of the cells; as one type of number, without null. */
function inOrder(cells: SqlOfCells): string {
  return Object.entries(cells)
    .sort(([a], [b]) => at[a as keyof typeof at] - at[b as keyof typeof at]) // names from above
    .map(([, sql]) => `coalesce(${sql}, 0)::DOUBLE`)
    .join()
}

/** A day as it is summed up in memory: of its rollups where it has a generation of them, else of its readings. */
export async function loadDay(
  connection: DuckDBConnection,
  sums: QuarterSums,
  { day, generation }: { readonly day: number; readonly generation?: number },
): Promise<void> {
  const found = await connection.stream(
    generation === undefined
      ? `SELECT device, (timestamp_ms // ${rollupGrainMs} * ${rollupGrainMs})::DOUBLE AS at_ms, ${inOrder(cellsOfReadings)}
         FROM readings WHERE timestamp_ms >= ${day * dayMs} AND timestamp_ms < ${(day + 1) * dayMs} GROUP BY device, at_ms`
      : `SELECT device, from_ms::DOUBLE, ${inOrder(cellsOfRollups)}
         FROM rollups_15m WHERE day = ${day} AND generation = ${generation}`,
  )
  sums.begin(day, generation !== undefined)
  for (;;) {
    const chunk = await found.fetchChunk()
    // Asked once: the chunk counts its rows each time.
    const rowCount = chunk?.rowCount ?? 0
    if (chunk === null || rowCount === 0) return
    const [devices, froms, ...cells] = Array.from({ length: chunk.columnCount }, (_, column) =>
      chunk.getColumnVector(column),
    )
    for (let row = 0; row < rowCount; row++)
      sums.load(Number(devices?.getItem(row)), Number(froms?.getItem(row)), (cell) =>
        Number(cells[cell]?.getItem(row)),
      )
  }
}
