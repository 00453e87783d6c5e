/**
 * Time as people write it: instants with the offset of a zone, dates in it, `-7d` before now.
 * A local time that clocks skip means the one after the gap, one that they show twice means the first.
 */
import { Temporal } from 'temporal-polyfill'
import { FleetError } from '../core/contract/errors.ts'

const minuteMs = 60_000
/** Stretches of time that a zone remembers: as many as it changes its clocks in thirty years, mostly. */
const stretchesMax = 64

/** A stretch in which clocks are not changed; `toMs` exclusive. */
interface Stretch {
  readonly fromMs: number
  readonly toMs: number
  readonly offsetMs: number
}

export type CalendarUnit = 'd' | 'w'
export type TimeUnit = 'm' | 'h' | CalendarUnit

/** Elapsed milliseconds of the units that have a fixed length. */
export const unitMs = { m: minuteMs, h: 60 * minuteMs } as const

export class Zone {
  readonly id: string
  readonly #stretches: Stretch[] = []
  #latest: Stretch = { fromMs: 0, toMs: 0, offsetMs: 0 }

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
    const offsetMs = this.#offsetMs(atMs)
    const local = new Date(atMs + offsetMs).toISOString()
    const minutes = Math.abs(offsetMs) / minuteMs
    const offset = `${offsetMs < 0 ? '-' : '+'}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`
    return `${local.slice(0, local.endsWith('.000Z') ? 19 : 23)}${offset}`
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

  /** The hour of the local week that an instant lies in. */
  hourOf(atMs: number): { weekday: number; hour: number } {
    const local = new Date(atMs + this.#offsetMs(atMs))
    return { weekday: ((local.getUTCDay() + 6) % 7) + 1, hour: local.getUTCHours() }
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
  #offsetMs(atMs: number): number {
    const holds = ({ fromMs, toMs }: Stretch) => fromMs <= atMs && atMs < toMs
    if (!holds(this.#latest)) this.#latest = this.#stretches.find(holds) ?? this.#stretchAt(atMs)
    return this.#latest.offsetMs
  }

  #stretchAt(atMs: number): Stretch {
    const offsetMs = this.#zoned(atMs).offsetNanoseconds / 1e6
    // A change at this very instant is behind us already: what came before is another stretch.
    const previous = this.#zoned(atMs + 1).getTimeZoneTransition('previous')
    const next = this.#zoned(atMs).getTimeZoneTransition('next')
    const stretch = {
      fromMs: previous?.epochMilliseconds ?? Number.NEGATIVE_INFINITY,
      toMs: next?.epochMilliseconds ?? Number.POSITIVE_INFINITY,
      offsetMs,
    }
    if (this.#stretches.length >= stretchesMax) this.#stretches.length = 0
    this.#stretches.push(stretch)
    return stretch
  }
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
