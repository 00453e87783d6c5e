/** Rows as JSON: within a frame, or one a line (NDJSON), as they come. Pure. */
import { type Column, cellOf, type Pages } from './table.ts'

/** `{ …frame, "rows": […] }` */
export async function* jsonOf(
  pages: Pages,
  columns: readonly Column[],
  frame: object,
): AsyncGenerator<string> {
  const head = JSON.stringify(frame)
  yield `${head.slice(0, -1)}${head === '{}' ? '' : ','}"rows":[`
  let separator = ''
  for await (const rows of pages) {
    if (rows.length === 0) continue
    yield separator + rows.map((row) => lineOf(row, columns)).join(',')
    separator = ','
  }
  yield ']}'
}

export async function* ndjsonOf(pages: Pages, columns: readonly Column[]): AsyncGenerator<string> {
  for await (const rows of pages) {
    if (rows.length > 0) yield `${rows.map((row) => lineOf(row, columns)).join('\n')}\n`
  }
}

function lineOf(row: object, columns: readonly Column[]): string {
  const picked: Record<string, unknown> = {}
  for (const column of columns) picked[column.name] = cellOf(row, column)
  return JSON.stringify(picked)
}
