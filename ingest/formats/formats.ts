/** The forms an answer can have: which one is asked for, what it is called on the wire, and the text forms themselves. */
import type { Format } from '../../core/contract/query.ts'
import { csvOf } from './csv.ts'
import { jsonOf, ndjsonOf } from './json.ts'
import type { Column, Pages } from './table.ts'

export const mediaTypes = {
  json: 'application/json; charset=utf-8',
  ndjson: 'application/x-ndjson; charset=utf-8',
  csv: 'text/csv; charset=utf-8; header=present',
  'csv-excel': 'text/csv; charset=utf-8; header=present',
  parquet: 'application/vnd.apache.parquet',
} as const satisfies Record<Format, string>

/** What `Accept` may name; the first that fits is taken, whatever its weight. */
const accepted: readonly (readonly [RegExp, Format])[] = [
  [/\bapplication\/(vnd\.apache\.|x-)?parquet\b/, 'parquet'],
  [/\bapplication\/(x-)?ndjson\b/, 'ndjson'],
  [/\btext\/csv\b/, 'csv'],
]

export function formatOf(asked: Format | undefined, accept = ''): Format {
  return asked ?? accepted.find(([pattern]) => pattern.test(accept))?.[1] ?? 'json'
}

/** @param frame what JSON says beside the rows */
export function textPages(
  pages: Pages,
  {
    format,
    columns,
    frame,
  }: { format: Exclude<Format, 'parquet'>; columns: readonly Column[]; frame: object },
): AsyncGenerator<string> {
  switch (format) {
    case 'json':
      return jsonOf(pages, columns, frame)
    case 'ndjson':
      return ndjsonOf(pages, columns)
    case 'csv':
    case 'csv-excel':
      return csvOf(pages, columns, { forExcel: format === 'csv-excel' })
    default: {
      const never: never = format
      return never
    }
  }
}
