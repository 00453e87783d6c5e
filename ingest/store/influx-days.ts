/**
 * Closed days in InfluxDB: rollups as measurements of their own, and notes that say which days they hold for.
 * There are no segments, and no reading is taken away: that is for InfluxDB's own means.
 *
 * Rollups are written first, each closing's as a generation of their own, which no other closing ever writes to; then,
 * between two commits, a note of the day says that they hold. A commit that brings readings of a closed day says so
 * before it brings them.
 */
import type { DeviceId } from '../../core/contract/device.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { DayBook, dayMs, dayOf } from './day-book.ts'
import type { InfluxClient, Row } from './influx-client.ts'
import type { InfluxNumbers } from './influx-numbers.ts'
import { closingLine, dayLine, measurements, neverClosed, rollupLine } from './influx-points.ts'
import { readingSums, windowOf } from './influx-reader.ts'
import type { InfluxWriter } from './influx-writer.ts'
import { timeMsMax } from './line-protocol.ts'
import { SpanSums, type WindowPart } from './span-sums.ts'
import { rollupGrainMs } from './span-windows.ts'
import type { ClosedDay, Days } from './store.ts'

/** How long all windows of a day may take. */
const sumMs = 300_000

/** What is known of days at the start. */
export interface InfluxDayNotes {
  readonly book: DayBook
  /** The highest generation of each day that was begun, whether or not it was ended. */
  readonly begun: Map<number, number>
}

/** @param loadMs how long a question about all days may take */
export async function loadDays(
  client: InfluxClient,
  numbers: InfluxNumbers,
  loadMs: number,
): Promise<InfluxDayNotes> {
  const [noted = [], begun = []] = await client.ask([
    `SELECT day, generation, rows, isStale FROM ${measurements.days} ORDER BY time`,
    `SELECT day, generation FROM ${measurements.closings} ORDER BY time`,
  ])
  return {
    book: noted.length > 0 ? bookOf(noted) : await bookOfReadings(client, numbers, loadMs),
    // A day's generations only grow: the newest is the highest.
    begun: new Map(begun.map(({ day, generation }) => [Number(day), Number(generation)])),
  }
}

/** A database from before days were noted is asked once which days it has. */
async function bookOfReadings(
  client: InfluxClient,
  numbers: InfluxNumbers,
  loadMs: number,
): Promise<DayBook> {
  const [found = []] = await client.ask(
    [
      `SELECT count(receivedAtMs) FROM ${measurements.readings} WHERE time < ${timeMsMax}ms GROUP BY time(1d) fill(none)`,
    ],
    AbortSignal.timeout(loadMs),
  )
  const days = found.map(({ time }) => dayOf(Number(time)))
  await client.write(days.map((day) => dayLine(neverClosed(day), numbers.take())))
  return new DayBook([], days)
}

export function createInfluxDays(options: {
  client: InfluxClient
  numbers: InfluxNumbers
  writer: InfluxWriter
  notes: InfluxDayNotes
}): Days {
  const { client, numbers, writer, notes } = options
  const { book, begun } = notes

  /** @returns how many readings there are */
  async function sumUp(day: number, generation: number): Promise<number> {
    const fromMs = day * dayMs
    const run = { index: 0, fromMs, stepMs: rollupGrainMs, count: dayMs / rollupGrainMs }
    const range = { fromMs, toMs: fromMs + dayMs, deviceIds: undefined }
    const [rows = []] = await client.ask([readingSums(run, range)], AbortSignal.timeout(sumMs))
    const byDevice = new Map<DeviceId, WindowPart[]>()
    for (const row of rows) {
      const deviceId = row.device as DeviceId // written from one
      const windows = byDevice.get(deviceId) ?? []
      windows.push(windowOf(row, run, { span: 0, fromMs }))
      byDevice.set(deviceId, windows)
    }
    const lines: string[] = []
    let readings = 0
    for (const [deviceId, windows] of byDevice) {
      for (const window of windows)
        lines.push(
          rollupLine(
            measurements.rollups15m,
            { deviceId, generation, fromMs: fromMs + window.window * rollupGrainMs },
            window,
          ),
        )
      const sums = new SpanSums([{ index: 0, fromMs, stepMs: dayMs, count: 1 }])
      for (const window of windows) sums.add({ ...window, window: 0 })
      const whole = sums.of(0).get(0)
      if (whole === undefined) continue
      lines.push(rollupLine(measurements.rollups1d, { deviceId, generation, fromMs }, whole))
      readings += whole.count + whole.silent
    }
    await client.write(lines)
    return readings
  }

  /** Leaves a day the rollups of two generations: what is asked at this moment may still need the one before. */
  async function forgetOthers(day: number, generation: number): Promise<void> {
    const kept = [generation, book.get(day)?.generation ?? 0]
    const others = kept.map((one) => `generation <> '${one}'`).join(' AND ')
    const ofDay = `time >= ${day * dayMs}ms AND time < ${(day + 1) * dayMs}ms`
    await client.forget(
      [measurements.rollups15m, measurements.rollups1d].map(
        (measurement) => `DELETE FROM ${measurement} WHERE ${ofDay} AND ${others}`,
      ),
    )
  }

  const notHere = () =>
    Promise.reject(
      new FleetError('store.unsupported', 'InfluxDB keeps no segments', {
        safeDetail: 'readings are in InfluxDB, which keeps no segments',
      }),
    )

  return {
    hasSegments: false,
    closed: () => book.closed,
    open: () => book.open,
    isGone: () => false,

    async close(day) {
      // Between two commits: what one under way brings has been noted already, and may not be in the sums.
      const generation = await writer.exclusive(async () => {
        const next = Math.max(book.get(day)?.generation ?? 0, begun.get(day) ?? 0) + 1
        begun.set(day, next)
        await client.write([closingLine({ day, generation: next }, numbers.take())])
        book.begin(day)
        return next
      })
      try {
        const rows = await sumUp(day, generation)
        await forgetOthers(day, generation)
        return await writer.exclusive(async () => {
          const record: ClosedDay = {
            day,
            generation,
            file: '',
            rows,
            bytes: 0,
            sha256: '',
            isStale: book.end(day),
            archived: undefined,
            kept: 'table',
          }
          try {
            await client.write([dayLine(record, numbers.take())])
          } catch (error) {
            // It may be there all the same: what comes now would be missing in its sums.
            writer.noteBeforeReadings(book.get(day) ?? neverClosed(day))
            throw error
          }
          book.put(record)
          return record
        })
      } finally {
        book.end(day)
      }
    },

    setArchived: notHere,
    evict: notHere,
    snapshot: notHere,
    segmentFile: notHere,
    async sweep() {
      // There are no files.
    },
  }
}

/** @param rows notes in their order: of a day the last one holds */
function bookOf(rows: readonly Row[]): DayBook {
  const noted = new Map(rows.map((row) => [Number(row.day), row]))
  const isOpen = ({ generation }: Row) => Number(generation) === 0
  const closed = [...noted].filter(([, row]) => !isOpen(row))
  return new DayBook(
    closed.map(([day, row]) => ({
      day,
      generation: Number(row.generation),
      file: '',
      rows: Number(row.rows),
      bytes: 0,
      sha256: '',
      isStale: Number(row.isStale) === 1,
      archived: undefined,
      kept: 'table',
    })),
    [...noted].filter(([, row]) => isOpen(row)).map(([day]) => day),
  )
}
