/**
 * The DuckDB store: everything in one file, which one process owns.
 * Writing and reading are in `duckdb-writer.ts` and `duckdb-reader.ts`; here it is opened, loaded and closed.
 */
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { type BackupManifest, restoredEnding } from '../../core/contract/backup.ts'
import type { DeviceId } from '../../core/contract/device.ts'
import type { Presence } from '../../core/contract/downlink.ts'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import type { Assignment, Device, Lot } from '../../core/contract/registry.ts'
import { DayBook, dayMs } from './day-book.ts'
import { backUp, verifyTables } from './duckdb-backup.ts'
import { createDuckDBDays } from './duckdb-days.ts'
import { Names } from './duckdb-names.ts'
import { createDuckDBReader } from './duckdb-reader.ts'
import { openReaders } from './duckdb-readers.ts'
import { statusRow } from './duckdb-rows.ts'
import { appendRows, bigint, outcomes, schema, schemaVersion, text } from './duckdb-schema.ts'
import { loadDay } from './duckdb-sums.ts'
import { DuckDBWriter } from './duckdb-writer.ts'
import { QuarterSums } from './quarter-sums.ts'
import type { ClosedDay, Store } from './store.ts'

export interface DuckDBOptions {
  readonly file: string
  /** As DuckDB spells it: `1GB`. */
  readonly memoryMax: string
  readonly threads: number
  /**
   * Threads that Node has for what takes long (`UV_THREADPOOL_SIZE`). DuckDB's statements each take one until they are
   * done: were all of them taken by questions, no commit would begin.
   */
  readonly poolThreads?: number | undefined
  readonly quarantinePerDeviceMax: number
  /** What the log in front of the file may grow to; folding 64 MB in takes about 50 ms and holds up one commit. */
  readonly checkpointThreshold?: string | undefined
  /** Devices whose newest days are summed up in memory, those of each day counted; 0: none. */
  readonly summedDevicesMax?: number | undefined
  /** The database has declared itself invalid: nothing can be asked any more until it is opened anew. */
  readonly onFatal?: ((error: unknown) => void) | undefined
  /** Where closed days are kept as Parquet. */
  readonly segmentsDir: string
  /**
   * A file on this machine with the segment of a day that is there no more.
   * @throws FleetError `store.unavailable`
   */
  readonly recall?: (day: ClosedDay) => Promise<string>
}

/** What people look at most goes back a month. */
const summedDaysMax = 32
/** Devices of all these days together, 134 MiB: a month of a thousand. Four days are open, or soon will be, the others closed. */
const summedDevicesMaxDefault = 30_000
const checkpointThresholdDefault = '64MB'
/** Analysts' questions answered at once, at most. */
const readersMax = 4
/** Threads of libuv's pool that questions leave to commits, and to what is done with days and backups. */
const threadsSpared = 2

/** @throws FleetError `store.locked` when another process has the file, `file.invalid` when it is not ours to read */
export async function openDuckDB(options: DuckDBOptions): Promise<Store> {
  const rethrow = createRethrow(options.onFatal)
  const database = await DuckDBInstance.create(options.file, {
    memory_limit: options.memoryMax,
    threads: String(options.threads),
    checkpoint_threshold: options.checkpointThreshold ?? checkpointThresholdDefault,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  }).catch((error: unknown) => {
    throw openFault(error, options.file)
  })
  const connection = await database.connect()
  await checkRestored(connection, options.file)
  await connection.run(schema)
  await checkVersion()
  const storeId = await loadId()
  const names = new Names()
  await names.load(connection)
  const book = await loadBook()
  const sums = new QuarterSums({
    daysMax: summedDaysMax,
    devicesMax: options.summedDevicesMax ?? summedDevicesMaxDefault,
  })
  await loadSums()
  const writer = new DuckDBWriter({ ...options, connection, names, book, sums })
  const parts = { names, book, sums, segmentFile }
  const readers = await openReaders(database, readersFor(options.poolThreads))
  const reader = createDuckDBReader((...question) => readers.ask(...question).catch(rethrow), parts)
  // Intake looks things up on a connection of its own: it never waits behind analysts.
  const ownReader = await openReaders(database, 1)
  const { lookup } = createDuckDBReader((...question) => ownReader.ask(...question).catch(rethrow), parts)
  const daysConnection = await database.connect()
  const { segmentsDir } = options
  const days = createDuckDBDays({
    connection: daysConnection,
    connect: () => database.connect(),
    writer,
    book,
    segmentsDir,
    segmentFile,
  })
  // Apart from the writer: a change of places must not end up in a batch's transaction.
  const placesConnection = await database.connect()

  async function rowsOf(sql: string): Promise<readonly (readonly unknown[])[]> {
    return (await connection.runAndReadAll(sql)).getRowsJS()
  }

  async function checkVersion(): Promise<void> {
    const [row] = await rowsOf(`SELECT value FROM meta WHERE name = 'schema'`)
    if (row === undefined) await connection.run(`INSERT INTO meta VALUES ('schema', '${schemaVersion}')`)
    else if (row[0] !== String(schemaVersion))
      throw new FleetError(
        'file.invalid',
        `${options.file} has tables of version ${row[0]}, this program knows ${schemaVersion}`,
      )
  }

  async function loadId(): Promise<string> {
    const [row] = await rowsOf(`SELECT value FROM meta WHERE name = 'store'`)
    if (row !== undefined) return String(row[0])
    const made = randomUUID()
    await connection.run(`INSERT INTO meta VALUES ('store', '${made}')`)
    return made
  }

  async function loadBook(): Promise<DayBook> {
    const closed = (await rowsOf('SELECT * FROM days')).map(dayRow)
    const open = await rowsOf(
      `SELECT DISTINCT timestamp_ms // ${dayMs} FROM readings WHERE timestamp_ms // ${dayMs} NOT IN (SELECT day FROM days)`,
    )
    return new DayBook(
      // A segment that went missing is written anew: the table has all of it.
      closed.map((day) => (day.kept === 'table' && !isThere(day) ? { ...day, isStale: true } : day)),
      open.map(([day]) => Number(day)),
    )
  }

  /** The newest days, as many as there is room for. */
  async function loadSums(): Promise<void> {
    // The readings of one that is stale and not in the table are in two places.
    const closed = book.closed.filter(({ isStale, kept }) => !isStale || kept === 'table')
    const days = [...book.open, ...closed.map(({ day }) => day)].sort((a, b) => b - a)
    for (const day of days.slice(0, summedDaysMax)) {
      const record = book.get(day)
      await loadDay(connection, sums, record?.isStale === false ? record : { day })
      if (!sums.holds(day * dayMs)) return
    }
  }

  function isThere({ file, bytes }: ClosedDay): boolean {
    return statSync(join(options.segmentsDir, file), { throwIfNoEntry: false })?.size === bytes
  }

  async function segmentFile(day: ClosedDay): Promise<string> {
    if (isThere(day)) return join(options.segmentsDir, day.file)
    if (options.recall === undefined)
      throw new FleetError(
        'store.unavailable',
        `the segment ${day.file} is not here, and there is no archive`,
      )
    return options.recall(day)
  }

  return {
    ...reader,
    storeId,
    lookup,
    async backUp(file) {
      const own = await database.connect()
      try {
        return await backUp(own, file)
      } catch (error) {
        return rethrow(error)
      } finally {
        own.closeSync()
      }
    },
    days: {
      ...days,
      close: (day) => days.close(day).catch(rethrow),
      setArchived: (...archived) => days.setArchived(...archived).catch(rethrow),
      evict: (...evicted) => days.evict(...evicted).catch(rethrow),
      snapshot: (file) => days.snapshot(file).catch(rethrow),
    },
    get ledgerRowCount() {
      return writer.ledgerRowCount
    },

    async load() {
      const ledger = await rowsOf(
        'SELECT epoch, from_seq, to_seq, outcome, reason, from_ms, to_ms FROM ledger',
      )
      const ends = await rowsOf('SELECT epoch, last_seq FROM epoch_ends')
      const covered = (await rowsOf(coveredStretches)).map(([device, fromMs, toMs]) => ({
        deviceId: names.deviceId(Number(device)),
        fromMs: Number(fromMs),
        toMs: Number(toMs),
      }))
      const highs = new Map(covered.map(({ deviceId, toMs }) => [deviceId, toMs]))
      const statuses = await rowsOf('SELECT device_id, received_at_ms, body FROM statuses')
      const schedules = await rowsOf('SELECT device_id, since_ms, cron FROM schedules ORDER BY since_ms')
      const presence = await rowsOf('SELECT arg_max(body, at_ms) FROM presence GROUP BY device_id')
      writer.ledgerRowCount = ledger.length
      return {
        ledger: ledger.map(([epoch, fromSeq, toSeq, outcome, reason, fromMs, toMs]) => {
          const { deviceId, epochId } = names.epochName(Number(epoch))
          return {
            deviceId,
            epoch: epochId,
            fromSeq: Number(fromSeq),
            toSeq: Number(toSeq),
            outcome: outcomes[Number(outcome)] ?? 'stored',
            ...(reason === null ? {} : { reason: String(reason) }),
            ...(fromMs === null ? {} : { fromMs: Number(fromMs), toMs: Number(toMs) }),
          }
        }),
        ends: ends.map(([epoch, lastSeq]) => {
          const { deviceId, epochId } = names.epochName(Number(epoch))
          return { deviceId, epoch: epochId, lastSeq: Number(lastSeq) }
        }),
        highs: [...highs].map(([deviceId, timestampMs]) => ({ deviceId, timestampMs })),
        covered,
        statuses: statuses.map(statusRow),
        schedules: schedules.map(([deviceId, sinceMs, cron]) => ({
          deviceId: deviceId as DeviceId, // written from one
          sinceMs: Number(sinceMs),
          cron: String(cron),
        })),
        presence: presence.map(([body]) => JSON.parse(String(body)) as Presence), // written by savePresence
      }
    },

    commit: (batch) => writer.commit(batch).catch(rethrow),
    compact: (rows) => writer.compact(rows).catch(rethrow),

    async loadPlaces() {
      const lots = await rowsOf('SELECT body FROM lots')
      const assignments = await rowsOf('SELECT device_id, lot_id, from_ms, to_ms FROM assignments')
      return {
        lots: lots.map(([body]) => JSON.parse(String(body)) as Lot), // written by savePlaces
        devices: (await rowsOf('SELECT body FROM registered')).map(
          ([body]) => JSON.parse(String(body)) as Device,
        ), // as above
        assignments: assignments.map(([deviceId, lotId, fromMs, toMs]) => ({
          deviceId: String(deviceId),
          lotId: String(lotId),
          fromMs: Number(fromMs),
          toMs: toMs === null ? null : Number(toMs),
        })),
      }
    },

    async savePlaces({ lots, assignments, devices }) {
      await placesConnection.run('BEGIN')
      try {
        await placesConnection.run('DELETE FROM lots; DELETE FROM assignments; DELETE FROM registered')
        appendRows(await placesConnection.createAppender('lots'), lotColumns, lots)
        appendRows(await placesConnection.createAppender('assignments'), assignmentColumns, assignments)
        appendRows(await placesConnection.createAppender('registered'), deviceColumns, devices)
        await placesConnection.run('COMMIT')
      } catch (error) {
        await placesConnection.run('ROLLBACK').catch(() => undefined) // a failed COMMIT has rolled back already
        rethrow(error)
      }
    },

    async savePresence(presence) {
      try {
        appendRows(await placesConnection.createAppender('presence'), presenceColumns, presence)
      } catch (error) {
        rethrow(error)
      }
    },

    async pruneHistory({ beatsMs, changesMs }) {
      const forget = (sql: string, beforeMs: number) =>
        placesConnection.run(sql, { before: BigInt(beforeMs) }).catch(rethrow)
      await forget('DELETE FROM status_history WHERE NOT is_change AND received_at_ms < $before', beatsMs)
      await forget('DELETE FROM status_history WHERE is_change AND received_at_ms < $before', changesMs)
      await forget('DELETE FROM presence WHERE at_ms < $before', changesMs)
    },

    async check() {
      await ownReader.ask('SELECT 1', {}).catch(rethrow)
    },

    async close() {
      await connection.run('CHECKPOINT').catch(() => undefined) // only saves time at the next start
      readers.close()
      ownReader.close()
      placesConnection.closeSync()
      daysConnection.closeSync()
      connection.closeSync()
      database.closeSync()
    },
  }
}

/** @param poolThreads four, as Node has them, unless somebody says otherwise */
export function readersFor(poolThreads = 4): number {
  return Math.max(1, Math.min(readersMax, poolThreads - threadsSpared))
}

/**
 * Where each device has readings, in order: hours that follow each other are one stretch. Of days that were taken out
 * of the table rollups still know.
 */
const coveredStretches = `
  WITH hours AS (
    SELECT device, timestamp_ms // 3600000 AS hour, min(timestamp_ms) AS from_ms, max(timestamp_ms) AS to_ms
    FROM readings GROUP BY ALL
    UNION ALL
    SELECT r.device, r.from_ms // 3600000, min(r.from_ms), max(r.last_ms) FROM rollups_15m r
    JOIN days d ON d.day = r.day AND d.generation = r.generation WHERE d.kept <> 'table' GROUP BY ALL),
  marked AS (
    SELECT device, from_ms, to_ms,
      (from_ms - lag(to_ms) OVER (PARTITION BY device ORDER BY from_ms) <= 3600000) IS NOT TRUE AS is_first
    FROM hours),
  numbered AS (
    SELECT device, from_ms, to_ms, sum(is_first::INTEGER) OVER (PARTITION BY device ORDER BY from_ms) AS stretch
    FROM marked)
  SELECT device, min(from_ms), max(to_ms) FROM numbered GROUP BY device, stretch ORDER BY device, min(from_ms)`

function dayRow(row: readonly unknown[]): ClosedDay {
  const [day, generation, file, rows, bytes, sha256, isStale, archived, kept] = row
  return {
    day: Number(day),
    generation: Number(generation),
    file: String(file),
    rows: Number(rows),
    bytes: Number(bytes),
    sha256: String(sha256),
    isStale: isStale === true,
    archived: archived === null ? undefined : Number(archived),
    kept: kept as ClosedDay['kept'], // written from one
  }
}

const lotColumns = [text<Lot>(({ lotId }) => lotId), text<Lot>((lot) => JSON.stringify(lot))]
const assignmentColumns = [
  text<Assignment>(({ deviceId }) => deviceId),
  text<Assignment>(({ lotId }) => lotId),
  bigint<Assignment>(({ fromMs }) => fromMs),
  bigint<Assignment>(({ toMs }) => toMs ?? undefined),
]

const deviceColumns = [
  text<Device>(({ deviceId }) => deviceId),
  text<Device>((device) => JSON.stringify(device)),
]
const presenceColumns = [
  text<Presence>(({ deviceId }) => deviceId),
  bigint<Presence>(({ atMs }) => atMs),
  text<Presence>((presence) => JSON.stringify(presence)),
]

/** A database that was put back from a backup has to be what was copied, before anything is done with it. */
async function checkRestored(connection: DuckDBConnection, file: string): Promise<void> {
  const marker = `${file}${restoredEnding}`
  const text = await readFile(marker, 'utf8').catch(() => undefined) // it was not restored
  if (text === undefined) return
  await verifyTables(connection, (JSON.parse(text) as BackupManifest).tables) // lotctl has checked it
  await rm(marker)
}

function openFault(cause: unknown, file: string): unknown {
  const { message } = cause as Error
  if (/lock/i.test(message))
    return new FleetError('store.locked', `${file} belongs to another process`, { cause })
  return cause
}

/**
 * After a fatal error DuckDB answers nothing any more until it is opened anew: that is a crash, whoever met it first,
 * and goes on as it is. Everything else (disk full, out of memory) may pass.
 */
function createRethrow(onFatal: DuckDBOptions['onFatal']): (error: unknown) => never {
  return (error) => {
    if (isFleetError(error)) throw error
    const { message } = error as Error
    if (!/^(FATAL|INTERNAL)|invalidated/.test(message))
      throw new FleetError('store.unavailable', 'the database refused', { cause: error })
    onFatal?.(error)
    throw error
  }
}
