/**
 * Rows as CSV (RFC 4180): a header line, CRLF, quotes where needed. Null is empty; lists are joined by a space. Pure.
 * For Excel there is a byte order mark, since it takes UTF-8 for something else without one, and an apostrophe before
 * text that it would take for a formula.
 */
import { type Column, cellOf, type Pages, textOf } from './table.ts'

/** By it Excel knows that a text is UTF-8. */
export const byteOrderMark = '\ufeff'

export interface CsvOptions {
  readonly forExcel: boolean
}

export async function* csvOf(
  pages: Pages,
  columns: readonly Column[],
  { forExcel }: CsvOptions,
): AsyncGenerator<string> {
  yield `${forExcel ? byteOrderMark : ''}${columns.map(({ name }) => name).join(',')}\r\n`
  for await (const rows of pages) {
    if (rows.length === 0) continue
    const lines = rows.map((row) => columns.map((column) => cell(row, column, forExcel)).join(','))
    yield `${lines.join('\r\n')}\r\n`
  }
}

function cell(row: object, column: Column, forExcel: boolean): string {
  const plain = textOf(cellOf(row, column))
  const isText = column.kind === 'text' || column.kind === 'texts'
  const text = forExcel && isText && /^[=+\-@\t\r]/.test(plain) ? `'${plain}` : plain
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
