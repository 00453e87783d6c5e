/** Local time of a zone and back, with its daylight saving (Temporal). Everything else in the agent is UTC. */
import { Temporal } from 'temporal-polyfill'

const minuteMs = 60_000
const weekMs = 7 * 24 * 3600_000

export interface Zone {
  /**
   * What `2016-10-04 07:59:42` means (`T` instead of the space, fractions, and an offset of its own are fine too).
   * An hour that comes twice is taken as the earlier one, an hour that never comes as the later: "compatible" in Temporal.
   * @returns Unix milliseconds; undefined when it is not a time
   */
  parse(text: string): number | undefined
  /** The same time of day some weeks later, or earlier. */
  addWeeks(timestampMs: number, weeks: number): number
  /** Weeks to move `lastMs` by so that `nowMs` falls into the week that ends with it, in local time. */
  weeksToReach(lastMs: number, nowMs: number): number
  /** Local time minus UTC, in milliseconds. */
  offsetMs(timestampMs: number): number
}

const timeShape = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2})(?::(\d{2}(?:\.\d{1,3})?))?(Z|[+-]\d{2}:\d{2})?$/

/** @param name of IANA, such as `Europe/London`, or `UTC` */
export function createZone(name: string): Zone {
  const at = (timestampMs: number) =>
    Temporal.Instant.fromEpochMilliseconds(timestampMs).toZonedDateTimeISO(name)
  // Recorded files repeat the same minutes for every car park, and Temporal takes its time.
  const parsed = new Map<string, number | undefined>()
  const offsets = new Map<number, number>()

  function minuteOf(text: string, offset: string | undefined): number | undefined {
    try {
      if (offset !== undefined) return Temporal.Instant.from(text + offset).epochMilliseconds
      return Temporal.PlainDateTime.from(text, { overflow: 'reject' }).toZonedDateTime(name).epochMilliseconds
    } catch {
      return undefined
    }
  }

  function localMs(timestampMs: number): number {
    return timestampMs + zone.offsetMs(timestampMs)
  }

  const zone: Zone = {
    parse(text) {
      const [, day, minute, seconds, offset] = timeShape.exec(text) ?? []
      if (day === undefined || minute === undefined || Number(seconds ?? 0) >= 60) return undefined
      const key = `${day}T${minute}${offset ?? ''}`
      if (!parsed.has(key)) parsed.set(key, minuteOf(`${day}T${minute}`, offset))
      const minuteStartMs = parsed.get(key)
      return minuteStartMs === undefined ? undefined : minuteStartMs + Math.round(Number(seconds ?? 0) * 1000)
    },
    addWeeks(timestampMs, weeks) {
      return weeks === 0 ? timestampMs : at(timestampMs).add({ weeks }).epochMilliseconds
    },
    weeksToReach(lastMs, nowMs) {
      return Math.ceil((localMs(nowMs) - localMs(lastMs)) / weekMs)
    },
    offsetMs(timestampMs) {
      // Zones change their offset on whole quarters of an hour.
      const quarter = Math.floor(timestampMs / (15 * minuteMs))
      let offsetMs = offsets.get(quarter)
      if (offsetMs === undefined) {
        offsetMs = at(timestampMs).offsetNanoseconds / 1e6
        offsets.set(quarter, offsetMs)
      }
      return offsetMs
    },
  }
  return zone
}
