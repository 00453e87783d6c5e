/**
 * The replay sensor: plays the rows of one car park of a recording, as fast as they are taken, at a multiple of real
 * time, or moved by whole weeks so that the recording's last week is now.
 * Its position is the next row, with what was decided at the first start (when that was, how far to move), so that a
 * killed replay goes on where it stood: nothing is skipped, repeated or waited for again.
 */
import { FleetError } from '../../core/contract/errors.ts'
import type { Zone } from '../zone.ts'
import type { RecordedRow, Recording } from './recording.ts'
import type { Observation, Sensor } from './sensor.ts'

export interface ReplayOptions {
  /** The car park, as the recording names it. */
  readonly key: string
  readonly zone: Zone
  /** Earlier rows at once, later rows when their time comes; `speed` then means nothing. */
  readonly shiftToNow: boolean
  /** Times real time, counted from the recording's first row; undefined: without waiting. */
  readonly speed: number | undefined
}

/** Where a replay stands. */
interface Place {
  /** Index of the next row. */
  readonly row: number
  /** Line of the row before it: proof that the file is still the same. 0 before the first. */
  readonly line: number
  readonly startedAtMs: number
  readonly weeks: number
}

const chunkRows = 500

/** @param recording asked for at the first observation; read once for all devices that play it */
export function createReplaySensor(recording: () => Promise<Recording>, options: ReplayOptions): Sensor {
  return {
    canWait: true,
    async *observe({ position, clock, signal }) {
      const { span, rowsOf } = await recording()
      const rows = rowsOf(options.key)
      if (span === undefined || rows.length === 0)
        throw new FleetError('file.invalid', `the recording has no rows of ${options.key}`)
      const place = parsePlace(position) ?? start(span.lastMs, clock.nowMs())
      if (place.row > 0 && (place.row > rows.length || rows.at(place.row - 1).line !== place.line))
        throw new FleetError('file.invalid', 'the recording is not the one this replay was begun with')

      const dueMs = (row: RecordedRow, timestampMs: number) => {
        if (options.shiftToNow) return timestampMs
        if (options.speed === undefined) return 0
        return place.startedAtMs + (row.timestampMs - span.firstMs) / options.speed
      }
      let next = place.row
      while (next < rows.length && !signal.aborted) {
        const nowMs = clock.nowMs()
        const observations: Observation[] = []
        let waitUntilMs = 0
        for (; next < rows.length && observations.length < chunkRows; next++) {
          const row = rows.at(next)
          const timestampMs = options.zone.addWeeks(row.timestampMs, place.weeks)
          waitUntilMs = dueMs(row, timestampMs)
          if (waitUntilMs > nowMs) break
          observations.push(observationOf(row, timestampMs))
        }
        if (observations.length === 0) await clock.until(waitUntilMs, signal)
        else
          yield { observations, position: placeText({ ...place, row: next, line: rows.at(next - 1).line }) }
      }
    },
  }

  function start(lastMs: number, nowMs: number): Place {
    return {
      row: 0,
      line: 0,
      startedAtMs: nowMs,
      weeks: options.shiftToNow ? options.zone.weeksToReach(lastMs, nowMs) : 0,
    }
  }
}

function observationOf(row: RecordedRow, timestampMs: number): Observation {
  return {
    timestampMs,
    occupied: row.occupied,
    ...(row.capacity === undefined ? {} : { capacity: row.capacity }),
    ...(row.occupied === null ? { sensor: 'silent' as const } : {}),
  }
}

function placeText({ row, line, startedAtMs, weeks }: Place): string {
  return JSON.stringify([row, line, startedAtMs, weeks])
}

function parsePlace(position: string | undefined): Place | undefined {
  if (position === undefined) return undefined
  const [row, line, startedAtMs, weeks] = JSON.parse(position) as [number, number, number, number] // ours, from `placeText`
  return { row, line, startedAtMs, weeks }
}
