/**
 * Days as wholes in DuckDB: segments, rollups, and what is taken out of the table.
 *
 * The long part of closing a day (writing its file and its sums) is done beside the commits, from one snapshot, and is
 * of no account until a single row of `days` says so. It begins and ends between two commits: whatever is committed
 * after the beginning is noticed (`DayBook`), in the snapshot or not, and the day is stale from the start. A kill leaves
 * a file and sums that no row names; the next closing of the day removes the sums, `sweep` the file.
 */
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import { lateMs } from '../../core/contract/reading.ts'
import { sumOf, syncToDisk } from '../../core/runtime/file-sum.ts'
import { type DayBook, dayMs, type TimeRange, without } from './day-book.ts'
import {
  asSegmentRows,
  asTableRows,
  parquetOptions,
  quoted,
  segmentOrder,
  tableColumns,
} from './duckdb-segments.ts'
import type { DuckDBWriter } from './duckdb-writer.ts'
import { rollupGrainMs } from './span-windows.ts'
import type { ClosedDay, Days } from './store.ts'

export interface DuckDBDaysOptions {
  /** Of its own: what it does takes long. */
  readonly connection: DuckDBConnection
  /** One more, for each snapshot: who asks does not wait until a day is closed. */
  readonly connect: () => Promise<DuckDBConnection>
  readonly writer: DuckDBWriter
  readonly book: DayBook
  readonly segmentsDir: string
  /** A file on this machine with a day's segment. */
  readonly segmentFile: (day: ClosedDay) => Promise<string>
}

/** A file that no row names is left alone for so long: somebody may be reading the segment before. */
const leftoverMs = dayMs
/** Of its checksum in the name of a segment: enough to be the only one. */
const sumLength = 16

export function createDuckDBDays({
  connection,
  connect,
  writer,
  book,
  segmentsDir,
  segmentFile,
}: DuckDBDaysOptions): Days {
  /** All readings of a day, wherever they are. */
  async function sourceOf(before: ClosedDay | undefined): Promise<string> {
    if (before?.kept !== 'segment') return 'readings'
    return `(SELECT ${tableColumns} FROM readings UNION ALL ${asTableRows([await segmentFile(before)])})`
  }

  /** No row names this segment any more, and somebody may be reading it: from now on it is a leftover. */
  async function letGo(day: ClosedDay | undefined): Promise<void> {
    if (day === undefined || day.file === '') return
    const now = new Date()
    await utimes(join(segmentsDir, day.file), now, now).catch(() => undefined) // it was not here
  }

  async function transaction<T>(work: () => Promise<T>): Promise<T> {
    await connection.run('BEGIN')
    try {
      const result = await work()
      await connection.run('COMMIT')
      return result
    } catch (error) {
      await connection.run('ROLLBACK').catch(() => undefined) // a failed COMMIT has rolled back already
      throw error
    }
  }

  /** Segment and sums of one snapshot. @returns the number of readings */
  async function write(day: number, generation: number, path: string): Promise<number> {
    const before = book.get(day)
    const source = await sourceOf(before)
    const condition = within(rangeOf(day))
    return transaction(async () => {
      for (const table of ['rollups_15m', 'rollups_1d'])
        await connection.run(
          `DELETE FROM ${table} WHERE day = ${day} AND generation <> ${before?.generation ?? 0}`,
        )
      const copied = await connection.runAndReadAll(
        `COPY (${asSegmentRows(source, condition)} ${segmentOrder}) TO ${quoted(path)} ${parquetOptions}`,
      )
      await connection.run(
        `INSERT INTO rollups_15m
         SELECT ${day}, ${generation}, r.device, r.timestamp_ms // ${rollupGrainMs} * ${rollupGrainMs} AS from_ms,
           max(r.timestamp_ms), count(r.occupied), count(*) - count(r.occupied), coalesce(sum(r.occupied), 0),
           min(r.occupied), max(r.occupied), arg_min(r.occupied, r.timestamp_ms), arg_max(r.occupied, r.timestamp_ms),
           count(*) FILTER (r.received_at_ms - r.timestamp_ms > ${lateMs}), max(r.capacity)
         FROM ${source} r WHERE ${condition} GROUP BY ALL ORDER BY r.device, from_ms`,
      )
      await connection.run(
        `INSERT INTO rollups_1d
         SELECT day, generation, device, ${day * dayMs}, max(last_ms), sum(counted), sum(silent), sum(sum), min(min),
           max(max), arg_min(first, from_ms), arg_max(last, from_ms), sum(late), max(capacity)
         FROM rollups_15m WHERE day = ${day} AND generation = ${generation} GROUP BY ALL ORDER BY device`,
      )
      return Number(copied.getRowsJS()[0]?.[0] ?? 0)
    })
  }

  async function close(day: number): Promise<ClosedDay> {
    const before = book.get(day)
    const generation = (before?.generation ?? 0) + 1
    const date = new Date(day * dayMs).toISOString().slice(0, 10)
    const year = date.slice(0, 4)
    const temporary = join(segmentsDir, year, `${date}.${generation}.tmp`)
    await mkdir(dirname(temporary), { recursive: true })
    // Between two commits: what one under way brings has been noted already, and the snapshot would not have it.
    await writer.exclusive(async () => book.begin(day))
    try {
      const rows = await write(day, generation, temporary)
      const { bytes, sha256 } = await sumOf(temporary)
      // By its content: after a restore a generation is counted anew, and the archive has another by its number.
      const file = join(year, `${date}.${generation}-${sha256.slice(0, sumLength)}.parquet`)
      await keep(temporary, join(segmentsDir, file))
      return await writer.exclusive(async (save) => {
        const isTouched = book.end(day)
        // The table has only what came late, and may have more by now: the next closing takes it all.
        if (before?.kept === 'segment' && isTouched) return before
        const record: ClosedDay = {
          day,
          generation,
          file,
          rows,
          bytes,
          sha256,
          isStale: isTouched,
          archived: before?.archived,
          kept: before?.kept === 'segment' ? 'segment' : 'table',
        }
        await save(record, before?.kept === 'segment' ? rangeOf(day) : undefined)
        await letGo(before)
        return record
      })
    } finally {
      book.end(day)
    }
  }

  return {
    hasSegments: true,
    closed: () => book.closed,
    open: () => book.open,
    isGone: (timestampMs) => book.isGone(timestampMs),
    close,

    async setArchived(day, generation) {
      await writer.exclusive(async (save) => {
        const record = book.get(day)
        if (record === undefined) return
        await save({ ...record, archived: generation })
        if (record.kept === 'segment') await letGo(record)
      })
    },

    async evict(day, kept) {
      return writer.exclusive(async (save) => {
        const record = book.get(day)
        if (record === undefined || record.isStale || record.kept !== 'table') return false
        await save({ ...record, kept }, rangeOf(day))
        await letGo(record)
        return true
      })
    },

    async snapshot(file) {
      const own = await connect()
      try {
        let segments: readonly ClosedDay[] = []
        await writer.exclusive(async () => {
          segments = book.closed.filter(
            ({ kept, isStale }) => kept === 'segment' || (kept === 'table' && !isStale),
          )
          await own.run('BEGIN')
          // The snapshot is taken by the first look at the database, not by BEGIN.
          await own.run('SELECT * FROM meta')
        })
        const held = segments.filter(({ kept }) => kept === 'table').map(({ day }) => rangeOf(day))
        const always = { fromMs: Number.MIN_SAFE_INTEGER, toMs: Number.MAX_SAFE_INTEGER }
        const ranges = without(always, held).map((range) => `(${within(range)})`)
        await own.run(
          `COPY (${asSegmentRows('readings', ranges.join(' OR '))}) TO ${quoted(file)} ${parquetOptions}`,
        )
        return segments.filter(({ rows }) => rows > 0)
      } finally {
        own.closeSync() // ends its transaction, too
      }
    },

    segmentFile,

    async sweep(nowMs) {
      const isNeeded = ({ kept, archived, generation }: ClosedDay) =>
        kept === 'table' || (kept === 'segment' && archived !== generation)
      const named = new Set(book.closed.filter(isNeeded).map(({ file }) => file))
      const found = await readdir(segmentsDir, { recursive: true, withFileTypes: true }).catch(() => [])
      for (const entry of found) {
        const path = join(entry.parentPath, entry.name)
        if (!entry.isFile() || named.has(path.slice(segmentsDir.length + 1))) continue
        const { mtimeMs } = await stat(path)
        if (nowMs - mtimeMs > leftoverMs) await rm(path, { force: true })
      }
    },
  }
}

function rangeOf(day: number): TimeRange {
  return { fromMs: day * dayMs, toMs: (day + 1) * dayMs }
}

function within({ fromMs, toMs }: TimeRange): string {
  return `r.timestamp_ms >= ${fromMs} AND r.timestamp_ms < ${toMs}`
}

/** Gives a file its name once it is on disk. */
async function keep(temporary: string, path: string): Promise<void> {
  await syncToDisk(temporary)
  await rename(temporary, path)
  await syncToDisk(dirname(path))
}
