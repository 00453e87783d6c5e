/**
 * Rows as JSON: within a frame, or one a line (NDJSON), as they come. Pure.
 * Members are written one after the other: `JSON.stringify` of an object made for it takes a third longer.
 */
import { type Column, cellOf, type Pages } from './table.ts'

/** What needs no escape in JSON (RFC 8259 §7), and no look at surrogates. */
const plainText = /^[ !#-[\]-~]*$/

/** `{ …frame, "rows": […] }` */
export async function* jsonOf(
  pages: Pages,
  columns: readonly Column[],
  frame: object,
): AsyncGenerator<string> {
  const head = JSON.stringify(frame)
  yield `${head.slice(0, -1)}${head === '{}' ? '' : ','}"rows":[`
  const lineOf = writerOf(columns)
  let separator = ''
  for await (const rows of pages) {
    if (rows.length === 0) continue
    yield separator + joined(rows, lineOf, ',')
    separator = ','
  }
  yield ']}'
}

export async function* ndjsonOf(pages: Pages, columns: readonly Column[]): AsyncGenerator<string> {
  const lineOf = writerOf(columns)
  for await (const rows of pages) if (rows.length > 0) yield `${joined(rows, lineOf, '\n')}\n`
}

function joined(rows: readonly object[], lineOf: (row: object) => string, separator: string): string {
  let text = ''
  for (const row of rows) text += text === '' ? lineOf(row) : separator + lineOf(row)
  return text
}

/** A function that writes a row; what is undefined is left out. */
function writerOf(columns: readonly Column[]): (row: object) => string {
  const members = columns.map((column) => ({ column, key: `${JSON.stringify(column.name)}:` }))
  return (row) => {
    let text = ''
    for (const { column, key } of members) {
      const value = cellOf(row, column)
      if (value !== undefined) text += (text === '' ? '{' : ',') + key + textOfValue(value)
    }
    return text === '' ? '{}' : `${text}}`
  }
}

function textOfValue(value: unknown): string {
  if (typeof value === 'string') return plainText.test(value) ? `"${value}"` : JSON.stringify(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  return JSON.stringify(value)
}
