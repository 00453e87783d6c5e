/** The writing side of the DuckDB store: one connection, one transaction per batch, durable when `COMMIT` returns. */
import type { DuckDBAppender, DuckDBConnection } from '@duckdb/node-api'
import type { DeviceId } from '../../core/contract/device.ts'
import { lateMs } from '../../core/contract/reading.ts'
import type { LedgerRow } from '../ledger.ts'
import type { DayBook, TimeRange } from './day-book.ts'
import { credentialColumns, deviceColumns, epochColumns, type Names } from './duckdb-names.ts'
import {
  appendRows,
  bigint,
  boolean,
  type Column,
  choice,
  clocks,
  integer,
  outcomes,
  sensors,
  text,
} from './duckdb-schema.ts'
import type { QuarterSums } from './quarter-sums.ts'
import type {
  ClosedDay,
  DeviceStatus,
  QuarantineEntry,
  QuarantineRecord,
  QuarantineRelease,
  ScheduleChange,
  StoreBatch,
  StoredReading,
} from './store.ts'

export interface WriterOptions {
  readonly connection: DuckDBConnection
  readonly names: Names
  readonly book: DayBook
  readonly sums: QuarterSums
  /** Entries of a device in quarantine that keep their content. */
  readonly quarantinePerDeviceMax: number
}

export class DuckDBWriter {
  /** Rows in the ledger's table. */
  ledgerRowCount = 0
  readonly #options: WriterOptions
  readonly #readingColumns: readonly Column<StoredReading>[]
  readonly #ledgerColumns: readonly Column<LedgerRow>[]
  /** Kept from batch to batch; after a failure new ones are made, since theirs may hold half a batch. */
  readonly #appenders = new Map<string, DuckDBAppender>()
  /** Contents kept in quarantine, of the devices that have sent something there. */
  readonly #shares = new Map<DeviceId, number>()
  /** Days whose first reading is about to be committed. */
  readonly #firstDays = new Set<number>()
  /** Resolves when the last of those who wait for the connection is done with it. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: WriterOptions) {
    this.#options = options
    this.#readingColumns = readingColumns(options.names)
    this.#ledgerColumns = ledgerColumns(options.names)
  }

  /** Either all of it is durable when this resolves, or nothing of it is there when it rejects. */
  async commit(batch: StoreBatch): Promise<void> {
    await this.#inTurn(() => this.#commit(batch))
  }

  async #commit(batch: StoreBatch): Promise<void> {
    const { names, book, sums } = this.#options
    const ledger = [...batch.ledger]
    const elsewhere = batch.readings.filter(({ reading }) => !sums.holds(reading.timestampMs))
    for (const day of book.newAmong([...instantsOf(elsewhere)])) this.#firstDays.add(day)
    const stale = book.touch(instantsOf(batch.readings))
    await this.#transaction(async () => {
      await this.#saveDays(stale)
      await this.#append('readings', this.#readingColumns, batch.readings)
      await this.#append('ledger', this.#ledgerColumns, ledger)
      await this.#append('epoch_ends', endColumns(names), batch.ends)
      // After the rows that made up new ones.
      await this.#append('devices', deviceColumns, names.unsaved.devices)
      await this.#append('epochs', epochColumns, names.unsaved.epochs)
      await this.#append('credentials', credentialColumns, names.unsaved.credentials)
      if (batch.quarantine.length > 0) await this.#quarantine(batch.quarantine)
      if (batch.released !== undefined) await this.#release(batch.released)
      for (const status of batch.statuses) await this.#status(status)
      const history = batch.statuses.filter((status) => status.history !== undefined)
      await this.#append('status_history', historyColumns, history)
      await this.#append('schedules', scheduleColumns, batch.schedules)
    })
    names.saved()
    for (const day of stale) book.put(day)
    this.#sumUp(batch.readings)
    this.ledgerRowCount += ledger.length
  }

  #sumUp(readings: readonly StoredReading[]): void {
    const { names, sums } = this.#options
    for (const day of this.#firstDays) sums.begin(day)
    this.#firstDays.clear()
    for (const { deviceId, reading, receivedAtMs } of readings)
      if (sums.holds(reading.timestampMs))
        sums.add(names.device(deviceId), reading, Math.floor(receivedAtMs) - reading.timestampMs > lateMs)
  }

  async compact(rows: Iterable<LedgerRow>): Promise<void> {
    const ledger = [...rows]
    await this.#inTurn(() =>
      this.#transaction(async () => {
        await this.#options.connection.run('DELETE FROM ledger')
        await this.#append('ledger', this.#ledgerColumns, ledger)
      }),
    )
    this.ledgerRowCount = ledger.length
  }

  /**
   * Between two commits. What `save` is given becomes durable, and known to questions, as a whole.
   * @param save days as they are from now on, and the range of which readings leave the table with that
   */
  async exclusive<T>(
    work: (save: (day: ClosedDay, leaving?: TimeRange) => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const { book, connection } = this.#options
    const save = async (day: ClosedDay, leaving: TimeRange | undefined) => {
      await this.#transaction(async () => {
        if (leaving !== undefined)
          await connection.run(
            `DELETE FROM readings WHERE timestamp_ms >= ${leaving.fromMs} AND timestamp_ms < ${leaving.toMs}`,
          )
        await this.#saveDays([day])
      })
      book.put(day)
    }
    return this.#inTurn(() =>
      work((day, leaving) => (leaving === undefined ? save(day, leaving) : book.move(save(day, leaving)))),
    )
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined) // its own caller hears of it
    return mine
  }

  async #saveDays(days: readonly ClosedDay[]): Promise<void> {
    if (days.length === 0) return
    await this.#options.connection.run(`DELETE FROM days WHERE day IN (${days.map(({ day }) => day).join()})`)
    await this.#append('days', dayColumns, days)
  }

  async #transaction(write: () => Promise<void>): Promise<void> {
    const { connection } = this.#options
    await connection.run('BEGIN')
    try {
      await write()
      await connection.run('COMMIT')
    } catch (error) {
      for (const appender of this.#appenders.values()) appender.clear()
      this.#appenders.clear()
      this.#shares.clear()
      // A failed COMMIT has rolled back by itself, and then there is nothing to roll back.
      await connection.run('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  async #append<Row>(table: string, columns: readonly Column<Row>[], rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return
    let appender = this.#appenders.get(table)
    if (appender === undefined) {
      appender = await this.#options.connection.createAppender(table)
      this.#appenders.set(table, appender)
    }
    appendRows(appender, columns, rows)
  }

  /** What is there already counts up; what is new keeps its content while its device has room. */
  async #quarantine(entries: readonly QuarantineEntry[]): Promise<void> {
    const { connection, quarantinePerDeviceMax } = this.#options
    const incoming = JSON.stringify(entries.map(({ id, count }) => ({ id, count })))
    const there = await connection.runAndReadAll(
      `SELECT q.id FROM quarantine q JOIN (${incomingCounts}) i ON q.id = i.id`,
      { incoming },
    )
    const known = new Set(there.getRows().map(([id]) => id))
    if (known.size > 0) {
      await connection.run(
        `UPDATE quarantine q SET count = q.count + i.count FROM (${incomingCounts}) i WHERE q.id = i.id`,
        { incoming },
      )
    }
    const added = entries.filter(({ id }) => !known.has(id))
    await this.#learnShares(added)
    const rows = added.map((entry): QuarantineRecord => {
      const share = this.#shares.get(entry.deviceId) ?? 0
      if (share >= quarantinePerDeviceMax) return { ...entry, content: null }
      this.#shares.set(entry.deviceId, share + 1)
      return entry
    })
    await this.#append('quarantine', quarantineColumns, rows)
  }

  /** The entries go, and their content with them: it is stored now. Who released them stays. */
  async #release(released: readonly QuarantineRelease[]): Promise<void> {
    await this.#append('quarantine_releases', releaseColumns, released)
    await this.#options.connection.run(
      `DELETE FROM quarantine WHERE id IN (SELECT unnest(from_json($ids, '["VARCHAR"]')))`,
      { ids: JSON.stringify(released.map(({ id }) => id)) },
    )
    for (const { deviceId } of released) this.#shares.delete(deviceId)
  }

  /** Counts once how many contents are kept of each device that sends something to quarantine. */
  async #learnShares(entries: readonly QuarantineEntry[]): Promise<void> {
    const devices = new Set(entries.map(({ deviceId }) => deviceId).filter((id) => !this.#shares.has(id)))
    if (devices.size === 0) return
    const found = await this.#options.connection.runAndReadAll(
      `SELECT q.device_id AS "deviceId", count(q.content)::INTEGER AS share
       FROM quarantine q JOIN (SELECT unnest(from_json($devices, '["VARCHAR"]')) AS device_id) d USING (device_id) GROUP BY ALL`,
      { devices: JSON.stringify([...devices]) },
    )
    for (const [deviceId, share] of found.getRows()) {
      this.#shares.set(deviceId as DeviceId, share as number) // as selected
    }
  }

  async #status({ deviceId, receivedAtMs, body }: DeviceStatus): Promise<void> {
    await this.#options.connection.run(
      `INSERT INTO statuses VALUES ($deviceId, $receivedAtMs, $body)
       ON CONFLICT (device_id) DO UPDATE SET received_at_ms = excluded.received_at_ms, body = excluded.body
       WHERE excluded.received_at_ms >= received_at_ms`,
      { deviceId, receivedAtMs: BigInt(Math.floor(receivedAtMs)), body },
    )
  }
}

function* instantsOf(readings: readonly StoredReading[]): Iterable<number> {
  for (const { reading } of readings) yield reading.timestampMs
}

/** The parameter `incoming`, a JSON array of ids and counts, as rows. */
const incomingCounts = `
  SELECT unnest(e, max_depth := 2)
  FROM (SELECT from_json($incoming, '[{"id":"VARCHAR","count":"BIGINT"}]') AS e)`

const historyColumns: readonly Column<DeviceStatus>[] = [
  text(({ deviceId }) => deviceId),
  bigint(({ receivedAtMs }) => Math.floor(receivedAtMs)),
  boolean(({ history }) => history === 'change'),
  text(({ body }) => body),
]

const scheduleColumns: readonly Column<ScheduleChange>[] = [
  text(({ deviceId }) => deviceId),
  bigint(({ sinceMs }) => sinceMs),
  text(({ cron }) => cron),
]

const quarantineColumns: readonly Column<QuarantineRecord>[] = [
  text(({ id }) => id),
  text(({ deviceId }) => deviceId),
  text(({ credentialId }) => credentialId),
  bigint(({ receivedAtMs }) => Math.floor(receivedAtMs)),
  text(({ reason }) => reason),
  text(({ epoch }) => epoch),
  bigint(({ seq }) => seq),
  bigint(({ timestampMs }) => timestampMs),
  bigint(({ count }) => count),
  text(({ content }) => content),
  text(({ contentHash }) => contentHash),
  integer(({ storedOccupied }) => storedOccupied),
]

const releaseColumns: readonly Column<QuarantineRelease>[] = [
  text(({ id }) => id),
  text(({ deviceId }) => deviceId),
  bigint(({ releasedAtMs }) => releasedAtMs),
  text(({ releasedBy }) => releasedBy),
]

const dayColumns: readonly Column<ClosedDay>[] = [
  integer(({ day }) => day),
  integer(({ generation }) => generation),
  text(({ file }) => file),
  bigint(({ rows }) => rows),
  bigint(({ bytes }) => bytes),
  text(({ sha256 }) => sha256),
  boolean(({ isStale }) => isStale),
  integer(({ archived }) => archived),
  text(({ kept }) => kept),
]

function readingColumns(names: Names): Column<StoredReading>[] {
  return [
    integer(({ deviceId }) => names.device(deviceId)),
    bigint(({ reading }) => reading.timestampMs),
    integer(({ reading }) => reading.occupied),
    integer(({ reading }) => reading.capacity),
    bigint(({ reading }) => reading.entriesTotal),
    bigint(({ reading }) => reading.exitsTotal),
    choice(clocks, ({ reading }) => reading.clock),
    choice(sensors, ({ reading }) => reading.sensor),
    bigint(({ receivedAtMs }) => Math.floor(receivedAtMs)),
    integer(({ deviceId, epoch }) => (epoch === undefined ? null : names.epoch(deviceId, epoch))),
    bigint(({ reading }) => reading.seq),
    integer(({ credentialId }) => names.credential(credentialId)),
  ]
}

function ledgerColumns(names: Names): Column<LedgerRow>[] {
  return [
    integer(({ deviceId, epoch }) => names.epoch(deviceId, epoch)),
    bigint(({ fromSeq }) => fromSeq),
    bigint(({ toSeq }) => toSeq),
    choice(outcomes, ({ outcome }) => outcome),
    text(({ reason }) => reason),
    bigint(({ fromMs }) => fromMs),
    bigint(({ toMs }) => toMs),
  ]
}

function endColumns(names: Names): Column<StoreBatch['ends'][number]>[] {
  return [integer(({ deviceId, epoch }) => names.epoch(deviceId, epoch)), bigint(({ lastSeq }) => lastSeq)]
}
