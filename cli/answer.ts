/**
 * Answers of the registry for people and for programs: any list or thing, told by the names of its members. What ends
 * in `Ms` is shown as a time in the zone that was asked for. The analysts' answers have tables of their own (`queries.ts`).
 */
import { dash, ndjson, type Output, sheet, table } from './output.ts'

export interface Look {
  readonly output: Output
  /** Ids alone, one a line. */
  readonly quiet: boolean
  /** IANA time zone of times. */
  readonly tz: string
}

type Row = Readonly<Record<string, unknown>>

/** What is printed of a list. */
export interface Listing {
  readonly rows: readonly object[]
  /** Members shown as columns of the table, in this order. */
  readonly columns: readonly string[]
  readonly id: string
  /** What JSON shows instead of the rows alone. */
  readonly whole?: object
}

/** @returns undefined when there is nothing to print: an empty table */
export function listing({ rows, columns, id, whole }: Listing, look: Look): string | undefined {
  const items = rows as readonly Row[] // objects have members by name
  if (look.quiet) return items.length === 0 ? undefined : items.map((row) => String(row[id])).join('\n')
  const clock = clockOf(look.tz)
  switch (look.output) {
    case 'json':
      return JSON.stringify(whole ?? rows, undefined, 2)
    case 'ndjson':
      return items.length === 0 ? undefined : ndjson(items)
    case 'csv':
      return csv(items, columns, clock)
    case 'table': {
      const shown = columns.map((key) => ({
        head: headOf(key),
        cell: (row: Row) => shownValue(key, row[key], clock) ?? null,
      }))
      return items.length === 0 ? undefined : table(shown, items)
    }
    default: {
      const never: never = look.output
      return never
    }
  }
}

/** One thing: its members by name, and each list of things within as a table of its own. */
export function thing(value: object, id: string, look: Look): string {
  const row = value as Row // objects have members by name
  if (look.quiet) return String(row[id])
  if (look.output === 'json') return JSON.stringify(value, undefined, 2)
  if (look.output === 'ndjson') return JSON.stringify(value)
  const clock = clockOf(look.tz)
  if (look.output === 'csv') return csv([row], Object.keys(row), clock)
  const members = Object.entries(row)
  const lists = members.filter((entry): entry is [string, Row[]] => isListOfThings(entry[1]))
  const plain = members
    .filter(([, member]) => !isListOfThings(member))
    .map(([key, member]) => [headOf(key), shownValue(key, member, clock) ?? dash] as const)
  return [
    ...(plain.length === 0 ? [] : [sheet(plain)]),
    ...lists.map(([key, rows]) => `${headOf(key)}\n${tableOfAll(rows, look)}`),
  ].join('\n\n')
}

/** RFC 3339 with the offset of the zone, to the second. */
export function clockOf(tz: string): (timestampMs: number) => string {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: tz,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'longOffset',
  })
  return (timestampMs) => {
    const part = Object.fromEntries(format.formatToParts(timestampMs).map(({ type, value }) => [type, value]))
    const offset = (part.timeZoneName ?? '').replace('GMT', '') || '+00:00'
    return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}:${part.second}${offset}`
  }
}

function tableOfAll(rows: readonly Row[], look: Look): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  return listing({ rows, columns, id: '', whole: rows }, { ...look, quiet: false }) ?? ''
}

/** RFC 4180; a field that a spreadsheet would take for a formula is made text. */
function csv(rows: readonly Row[], first: readonly string[], clock: (ms: number) => string): string {
  const keys = [...new Set([...first, ...rows.flatMap((row) => Object.keys(row))])]
  const line = (fields: readonly string[]) => fields.map(csvField).join(',')
  return [
    line(keys.map(headOf)),
    ...rows.map((row) => line(keys.map((key) => String(shownValue(key, row[key], clock) ?? '')))),
  ].join('\r\n')
}

function csvField(text: string): string {
  const safe = /^[=+@\t\r]/.test(text) || /^-[^0-9]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function shownValue(key: string, value: unknown, clock: (ms: number) => string): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number') return key.endsWith('Ms') ? clock(value) : String(value)
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object'))
    return value.length === 0 ? undefined : value.join(' ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function isListOfThings(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'object')
}

function headOf(key: string): string {
  return key.replace(/Ms$/, '')
}
