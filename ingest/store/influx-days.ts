/**
 * Closed days in InfluxDB: rollups as measurements of their own, and a point per day that says which days they hold for.
 * There are no segments, and nothing is taken away: that is for InfluxDB's own means.
 *
 * Rollups are written first, and again over themselves by each later closing; then, between two commits, the point of
 * the day. A commit that brings readings of a closed day says so before it brings them.
 */
import type { DeviceId } from '../../core/contract/device.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { type DayBook, dayMs } from './day-book.ts'
import type { InfluxClient, Row } from './influx-client.ts'
import { dayLine, measurements, rollupLine } from './influx-points.ts'
import { readingSums, windowOf } from './influx-reader.ts'
import type { InfluxWriter } from './influx-writer.ts'
import { SpanSums, type WindowPart } from './span-sums.ts'
import { rollupGrainMs } from './span-windows.ts'
import type { ClosedDay, Days } from './store.ts'

/** How long all windows of a day may take. */
const sumMs = 300_000

export function createInfluxDays(options: {
  client: InfluxClient
  writer: InfluxWriter
  book: DayBook
}): Days {
  const { client, writer, book } = options

  /** @returns how many readings there are */
  async function sumUp(day: number): Promise<number> {
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
          rollupLine(measurements.rollups15m, deviceId, fromMs + window.window * rollupGrainMs, window),
        )
      const sums = new SpanSums([{ index: 0, fromMs, stepMs: dayMs, count: 1 }])
      for (const window of windows) sums.add({ ...window, window: 0 })
      const whole = sums.of(0).get(0)
      if (whole === undefined) continue
      lines.push(rollupLine(measurements.rollups1d, deviceId, fromMs, whole))
      readings += whole.count + whole.silent
    }
    await client.write(lines)
    return readings
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
      await writer.exclusive(async () => book.begin(day))
      try {
        const rows = await sumUp(day)
        return await writer.exclusive(async () => {
          const record: ClosedDay = {
            day,
            generation: (book.get(day)?.generation ?? 0) + 1,
            file: '',
            rows,
            bytes: 0,
            sha256: '',
            isStale: book.end(day),
            archived: undefined,
            kept: 'table',
          }
          await client.write([dayLine(record)])
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

/** What is known of days. */
export function daysOf(rows: readonly Row[]): { closed: ClosedDay[]; open: number[] } {
  const closed: ClosedDay[] = []
  const open: number[] = []
  for (const { time, generation, rows: count, isStale } of rows) {
    const day = Math.floor(Number(time) / dayMs)
    if (Number(generation) === 0) open.push(day)
    else
      closed.push({
        day,
        generation: Number(generation),
        file: '',
        rows: Number(count),
        bytes: 0,
        sha256: '',
        isStale: Number(isStale) === 1,
        archived: undefined,
        kept: 'table',
      })
  }
  return { closed, open }
}
