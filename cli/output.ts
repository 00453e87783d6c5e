/**
 * Rows for people and for programs. A value nobody measured is a dash, an empty CSV field or null, never zero.
 * CSV is not made here: it comes from the server as it is.
 */
import Table from 'cli-table3'
import pc from 'picocolors'

export const outputs = ['table', 'json', 'ndjson', 'csv'] as const
export type Output = (typeof outputs)[number]

export interface Column<Row> {
  readonly head: string
  /** Null and undefined become a dash. */
  readonly cell: (row: Row) => string | number | boolean | null | undefined
  readonly align?: 'right'
}

export const dash = '–'

export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const view = new Table({
    head: columns.map((column) => pc.dim(column.head)),
    colAligns: columns.map((column) => column.align ?? 'left'),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: noLines,
  })
  for (const row of rows)
    view.push(columns.map(({ cell, align }) => text(cell(row), align === 'right' ? pc.bold : undefined)))
  return trimLines(view.toString())
}

/** A table whose rows are names and values. */
export function sheet(entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length))
  return entries.map(([name, value]) => `  ${pc.dim(name.padEnd(width))}  ${value}`).join('\n')
}

export function ndjson(rows: readonly unknown[]): string {
  return rows.map((row) => JSON.stringify(row)).join('\n')
}

/** `12,345`: grouped alike wherever it runs. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `1 device`, `1,200 devices`. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** `41 s`, `12 min`, `3 h`, `2 d`: how long ago, in the largest unit that is at least one. */
export function age(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

function text(value: ReturnType<Column<never>['cell']>, style = (shown: string) => shown): string {
  return value === null || value === undefined ? dash : style(String(value))
}

function trimLines(view: string): string {
  return view
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

const noLines = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid']
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])
    .concat('middle')
    .map((name) => [name, '']),
)
