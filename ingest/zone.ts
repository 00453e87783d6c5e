/**
 * Time as people write it: instants with the offset of a zone, dates in it, `-7d` before now.
 * A local time that clocks skip means the one after the gap, one that they show twice means the first.
 */
import { Temporal } from 'temporal-polyfill'
import { FleetError } from '../core/contract/errors.ts'
import { weekMinutes } from '../core/contract/opening-hours.ts'

const minuteMs = 60_000
const dayMs = 24 * 3600_000
/** The first of January 1970 was a Thursday. */
const mondayMinutes = (3 * dayMs) / minuteMs
/** Stretches of time that a zone remembers: as many as it changes its clocks in thirty years, mostly. */
const stretchesMax = 64

/** A stretch in which clocks are not changed; `toMs` exclusive. */
interface Stretch {
  readonly fromMs: number
  readonly toMs: number
  readonly offsetMs: number
  /** As it is written: `+02:00`. */
  readonly offset: string
}

export type CalendarUnit = 'd' | 'w'
export type TimeUnit = 'm' | 'h' | CalendarUnit

/** Elapsed milliseconds of the units that have a fixed length. */
export const unitMs = { m: minuteMs, h: 60 * minuteMs } as const

export class Zone {
  readonly id: string
  readonly #stretches: Stretch[] = []
  #latest: Stretch = { fromMs: 0, toMs: 0, offsetMs: 0, offset: '' }
  /** The local day that was written last, and how. */
  #day = Number.NaN
  #date = ''

  /** @throws FleetError `request.invalid` for a zone nobody knows */
  constructor(id: string) {
    try {
      // Throws for a name that is not a zone.
      this.id = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(id).timeZoneId
    } catch {
      throw invalid(`tz: ${id} is not an IANA time zone`)
    }
  }

  /** RFC 3339 with the offset in force, milliseconds only where there are any. */
  format(atMs: number): string {
    const { offsetMs, offset } = this.#stretchOf(atMs)
    const localMs = Math.trunc(atMs + offsetMs)
    const day = Math.floor(localMs / dayMs)
    // A date is written once for all times of its day: an answer has thousands of them.
    if (day !== this.#day) {
      this.#day = day
      this.#date = new Date(day * dayMs).toISOString().slice(0, -'00:00:00.000Z'.length)
    }
    const ofDayMs = localMs - day * dayMs
    const ofMinuteMs = ofDayMs % minuteMs
    const minutes = (ofDayMs - ofMinuteMs) / minuteMs
    const ms = ofMinuteMs % 1000
    const time = `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}:${twoDigits((ofMinuteMs - ms) / 1000)}`
    return `${this.#date}${time}${ms === 0 ? '' : `.${String(ms).padStart(3, '0')}`}${offset}`
  }

  /**
   * A time from a request, already of the pattern `timePattern`.
   * @throws FleetError `request.invalid` for what does not exist, such as a 31st of June
   */
  parse(text: string, parameter: string, nowMs: number): number {
    try {
      const relative = /^(?:now)?(?:-([0-9]+)([mhdw]))?(?:\/([mhdw]))?$/.exec(text)
      if (relative === null) return this.#parseAbsolute(text)
      const [, count = '0', unit = 'm', floor] = relative as (string | undefined)[] // groups may be absent
      const atMs = this.add(nowMs, -Number(count), unit as TimeUnit) // as matched
      return floor === undefined ? atMs : this.startOf(floor as TimeUnit, atMs)
    } catch {
      throw invalid(`${parameter}: ${text} is not a time`)
    }
  }

  /** Minutes and hours are elapsed time; days and weeks keep the time of day. */
  add(atMs: number, count: number, unit: TimeUnit): number {
    if (unit === 'm' || unit === 'h') return atMs + count * unitMs[unit]
    return this.#zoned(atMs).add(unit === 'd' ? { days: count } : { weeks: count }).epochMilliseconds
  }

  /** The start of the local minute, hour, day or week (Monday) an instant lies in. */
  startOf(unit: TimeUnit, atMs: number): number {
    const zoned = this.#zoned(atMs)
    switch (unit) {
      case 'm':
        return zoned.round({ smallestUnit: 'minute', roundingMode: 'floor' }).epochMilliseconds
      case 'h':
        return zoned.round({ smallestUnit: 'hour', roundingMode: 'floor' }).epochMilliseconds
      case 'd':
        return zoned.startOfDay().epochMilliseconds
      case 'w':
        return zoned.subtract({ days: zoned.dayOfWeek - 1 }).startOfDay().epochMilliseconds
      default: {
        const never: never = unit
        return never
      }
    }
  }

  /** Minutes since the local week began, on Monday at midnight, as the clocks show it. */
  minuteOfWeek(atMs: number): number {
    const minutes = Math.floor((atMs + this.#stretchOf(atMs).offsetMs) / minuteMs)
    return (minutes + mondayMinutes) % weekMinutes
  }

  /** The hour of the local week that an instant lies in. */
  hourOf(atMs: number): { weekday: number; hour: number } {
    const hour = Math.floor(this.minuteOfWeek(atMs) / 60)
    return { weekday: Math.floor(hour / 24) + 1, hour: hour % 24 }
  }

  #parseAbsolute(text: string): number {
    if (/(Z|[+-][0-9]{2}:[0-9]{2})$/.test(text) && text.length > 10)
      return Temporal.Instant.from(text.replace(' ', 'T')).epochMilliseconds
    const local = Temporal.PlainDateTime.from(text.replace(' ', 'T'), { overflow: 'reject' })
    if (text.length === 10) return local.toPlainDate().toZonedDateTime(this.id).epochMilliseconds
    return local.toZonedDateTime(this.id).epochMilliseconds
  }

  #zoned(atMs: number): Temporal.ZonedDateTime {
    return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(this.id)
  }

  /** Asked of the calendar once between two changes of the clocks: it costs more than everything else of a row. */
  #stretchOf(atMs: number): Stretch {
    const holds = ({ fromMs, toMs }: Stretch) => fromMs <= atMs && atMs < toMs
    if (!holds(this.#latest)) this.#latest = this.#stretches.find(holds) ?? this.#stretchAt(atMs)
    return this.#latest
  }

  #stretchAt(atMs: number): Stretch {
    const offsetMs = this.#zoned(atMs).offsetNanoseconds / 1e6
    const minutes = Math.abs(offsetMs) / minuteMs
    // A change at this very instant is behind us already: what came before is another stretch.
    const previous = this.#zoned(atMs + 1).getTimeZoneTransition('previous')
    const next = this.#zoned(atMs).getTimeZoneTransition('next')
    const stretch = {
      fromMs: previous?.epochMilliseconds ?? Number.NEGATIVE_INFINITY,
      toMs: next?.epochMilliseconds ?? Number.POSITIVE_INFINITY,
      offsetMs,
      offset: `${offsetMs < 0 ? '-' : '+'}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`,
    }
    if (this.#stretches.length >= stretchesMax) this.#stretches.length = 0
    this.#stretches.push(stretch)
    return stretch
  }
}

const digits = Array.from({ length: 100 }, (_, value) => String(value).padStart(2, '0'))

function twoDigits(value: number): string {
  return digits[value] ?? String(value)
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
