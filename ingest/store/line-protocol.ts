/**
 * Lines of InfluxDB's line protocol. Pure.
 * Every number is written as an integer: what is not one would come back as another type, or as another number.
 */

/** `undefined` and `null` are left out: InfluxDB has no word for them. */
export type FieldValue = string | number | null | undefined

export interface Point {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  /** At least one that is not left out. */
  readonly fields: Readonly<Record<string, FieldValue>>
  /** Unix milliseconds, or a plain number where order is all that time is used for. */
  readonly timeMs: number
  /** Nanoseconds within that millisecond, up to 999,999: points that share the rest are kept apart by it. */
  readonly slot?: number
}

/** The last millisecond InfluxDB knows: its time is nanoseconds in 64 bits. The first one is its negative. */
export const timeMsMax = 9_223_372_036_854

/** A millisecond has so many slots. */
export const slotsMax = 1_000_000

/** @throws RangeError for a number that is not a safe integer, and for a time beyond `timeMsMax` */
export function lineOf({ measurement, tags, fields, timeMs, slot = 0 }: Point): string {
  let line = measurement
  for (const name in tags) line += `,${name}=${escapeTag(tags[name] ?? '')}`
  let separator = ' '
  for (const name in fields) {
    const value = fields[name]
    if (value === undefined || value === null) continue
    line += `${separator}${name}=${typeof value === 'string' ? `"${escapeText(value)}"` : `${integer(value)}i`}`
    separator = ','
  }
  if (Math.abs(timeMs) > timeMsMax) throw new RangeError(`${timeMs} is beyond InfluxDB's time`)
  // As text: nanoseconds are more than a number holds exactly.
  return `${line} ${integer(timeMs)}${String(slot).padStart(6, '0')}`
}

function integer(value: number): number {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`)
  return value
}

function escapeTag(value: string): string {
  return value.replace(/[,= ]/g, '\\$&')
}

function escapeText(value: string): string {
  return value.replace(/["\\]/g, '\\$&')
}
