/**
 * Tables: sorted by a click on a head, and of many rows only those in sight are in the page, so that ten thousand scroll
 * as ten do. What a row is stays a table for screen readers, which are told how many there are.
 */
import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'

export interface Column<Row> {
  readonly name: string
  readonly head: string
  readonly cell: (row: Row) => ComponentChildren
  /** What it is sorted by; absent: it is not. */
  readonly by?: (row: Row) => string | number | null | undefined
  readonly align?: 'end'
}

export interface TableProps<Row> {
  /** For screen readers. */
  readonly label: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  readonly sortedBy?: string
  readonly descending?: boolean
  /** CSS; with it the table scrolls in itself. */
  readonly height?: string
  /** With it rows can be chosen, each by a box at its beginning, and all by the one in the head. */
  readonly choice?: Choice
}

export interface Choice {
  /** Keys of rows. */
  readonly chosen: ReadonlySet<string>
  readonly choose: (keys: ReadonlySet<string>) => void
}

const rowPx = 40
/** Fewer rows than this are all in the page. */
const manyRows = 120
const spareRows = 12

export function Table<Row>(props: TableProps<Row>) {
  const { columns, rows, keyOf, label, choice } = props
  const [sort, setSort] = useState({ name: props.sortedBy, descending: props.descending ?? false })
  const sorted = useMemo(() => sortRows(rows, columns, sort), [rows, columns, sort])
  const keys = useMemo(() => (choice === undefined ? [] : rows.map(keyOf)), [rows, choice === undefined])
  const box = useRef<HTMLDivElement>(null)
  const isMany = sorted.length > manyRows
  const [seen, setSeen] = useState({ from: 0, to: manyRows })
  const look = () => {
    const { scrollTop = 0, clientHeight = 0 } = box.current ?? {}
    const from = Math.max(0, Math.floor(scrollTop / rowPx) - spareRows)
    const to = Math.ceil((scrollTop + clientHeight) / rowPx) + spareRows
    setSeen((before) => (before.from === from && before.to === to ? before : { from, to }))
  }
  useLayoutEffect(look, [sorted.length])

  const shown = isMany ? sorted.slice(seen.from, seen.to) : sorted
  const above = isMany ? seen.from * rowPx : 0
  const below = isMany ? Math.max(0, sorted.length - seen.to) * rowPx : 0
  const height = props.height ?? (isMany ? '70vh' : undefined)
  return (
    <section
      class="scroll"
      ref={box}
      onScroll={look}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
      tabIndex={0}
      aria-label={label}
      style={{ maxHeight: height }}
    >
      <table aria-rowcount={sorted.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {choice !== undefined && (
              <th scope="col" class="choice">
                <ChoiceOfAll keys={keys} {...choice} />
              </th>
            )}
            {columns.map((column) => (
              <th
                key={column.name}
                scope="col"
                class={column.align}
                aria-sort={
                  sort.name === column.name ? (sort.descending ? 'descending' : 'ascending') : undefined
                }
              >
                {column.by === undefined ? (
                  column.head
                ) : (
                  <button
                    type="button"
                    onClick={() =>
                      setSort({
                        name: column.name,
                        descending: sort.name === column.name && !sort.descending,
                      })
                    }
                  >
                    {column.head}
                    <span aria-hidden="true">
                      {sort.name === column.name ? (sort.descending ? ' ▾' : ' ▴') : ''}
                    </span>
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {above > 0 && <Spacer px={above} columns={columns.length + 1} />}
          {shown.map((row, i) => (
            <tr key={keyOf(row)} aria-rowindex={(isMany ? seen.from : 0) + i + 2}>
              {choice !== undefined && (
                <td class="choice">
                  <ChoiceOfOne name={keyOf(row)} {...choice} />
                </td>
              )}
              {columns.map((column) => (
                <td key={column.name} class={column.align}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {below > 0 && <Spacer px={below} columns={columns.length + 1} />}
        </tbody>
      </table>
    </section>
  )
}

/** All rows there are, also those out of sight. */
function ChoiceOfAll({ keys, chosen, choose }: Choice & { keys: readonly string[] }) {
  const count = keys.filter((key) => chosen.has(key)).length
  const isAll = count === keys.length
  return (
    <input
      type="checkbox"
      aria-label="Choose all rows"
      checked={isAll}
      indeterminate={count > 0 && !isAll}
      onChange={() => choose(new Set(isAll ? [] : keys))}
    />
  )
}

function ChoiceOfOne({ name, chosen, choose }: Choice & { name: string }) {
  return (
    <input
      type="checkbox"
      aria-label={`Choose ${name}`}
      checked={chosen.has(name)}
      onChange={(event) => {
        const next = new Set(chosen)
        if (event.currentTarget.checked) next.add(name)
        else next.delete(name)
        choose(next)
      }}
    />
  )
}

function Spacer({ px, columns }: { px: number; columns: number }) {
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: an empty row takes no focus
    <tr aria-hidden="true">
      <td colSpan={columns} style={{ height: `${px}px`, padding: 0, border: 0 }} />
    </tr>
  )
}

/** Those without a value come last, whichever way. */
function sortRows<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { name, descending }: { name: string | undefined; descending: boolean },
): readonly Row[] {
  const by = columns.find((column) => column.name === name)?.by
  if (by === undefined) return rows
  const sign = descending ? -1 : 1
  return rows.toSorted((one, other) => {
    const [a, b] = [by(one), by(other)]
    if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1
    if (b === null || b === undefined) return -1
    if (typeof a === 'number' && typeof b === 'number') return sign * (a - b)
    return sign * collator.compare(String(a), String(b))
  })
}

const collator = new Intl.Collator('en', { numeric: true })
