/**
 * What spans come to in their windows, put together of parts that have no instant in common: in plain numbers, since a
 * question about every lot has a hundred thousand windows, and an object for each was most of what it cost. Pure.
 */
import type { WindowRun } from '../windows.ts'
import type { SpanWindow, SpanWindows, WindowsOfSpan } from './store.ts'

/** A part of a window, and the instants that its first and its last value stand at; null when it has no value. */
export interface WindowPart extends SpanWindow {
  readonly firstMs: number | null
  readonly lastMs: number | null
}

/** Where in the cells of a window what stands; from `min` to `lastMs` nothing is said where there is no count. */
export const at = {
  sum: 0,
  count: 1,
  silent: 2,
  late: 3,
  min: 4,
  max: 5,
  first: 6,
  last: 7,
  firstMs: 8,
  lastMs: 9,
  /** One more than the highest capacity; 0 where there is none. */
  capacity: 10,
} as const
export const cellsOfWindow = 11

export class SpanSums implements SpanWindows {
  readonly #windowCount: number
  /** By span, where there is anything in it. */
  readonly #spans: (Float64Array | undefined)[] = []
  readonly #part = new Float64Array(cellsOfWindow)

  constructor(runs: readonly WindowRun[]) {
    const last = runs.at(-1)
    this.#windowCount = last === undefined ? 0 : last.index + last.count
  }

  add(part: WindowPart): void {
    putCells(this.#part, 0, part)
    this.addCells(part, this.#part, 0)
  }

  /** @param from where in `cells` those begin that are added */
  addCells({ span, window }: { span: number; window: number }, cells: Float64Array, from: number): void {
    let sums = this.#spans[span]
    if (sums === undefined) {
      sums = new Float64Array(this.#windowCount * cellsOfWindow)
      this.#spans[span] = sums
    }
    mergeCells(sums, window * cellsOfWindow, cells, from)
  }

  of(span: number): WindowsOfSpan {
    const cells = this.#spans[span]
    return { get: (window) => (cells === undefined ? undefined : windowOf(cells, span, window)) }
  }

  *[Symbol.iterator](): Iterator<SpanWindow> {
    for (const [span, cells] of this.#spans.entries())
      for (let window = 0; cells !== undefined && window < this.#windowCount; window++) {
        const found = windowOf(cells, span, window)
        if (found !== undefined) yield found
      }
  }
}

/** Sets the cells from a place on. */
export function putCells(cells: Float64Array, to: number, part: Omit<WindowPart, 'span' | 'window'>): void {
  cells[to + at.count] = part.count
  cells[to + at.silent] = part.silent
  cells[to + at.late] = part.late
  cells[to + at.sum] = part.sum
  cells[to + at.min] = part.min ?? 0
  cells[to + at.max] = part.max ?? 0
  cells[to + at.first] = part.first ?? 0
  cells[to + at.last] = part.last ?? 0
  cells[to + at.firstMs] = part.firstMs ?? 0
  cells[to + at.lastMs] = part.lastMs ?? 0
  cells[to + at.capacity] = part.capacity === null ? 0 : part.capacity + 1
}

/** Adds a window's cells to those of another part of the same window. */
export function mergeCells(cells: Float64Array, to: number, others: Float64Array, from: number): void {
  const mine = (cell: number) => cells[to + cell] as number // both in range
  const other = (cell: number) => others[from + cell] as number
  const isFirst = mine(at.count) === 0
  cells[to + at.count] = mine(at.count) + other(at.count)
  cells[to + at.silent] = mine(at.silent) + other(at.silent)
  cells[to + at.late] = mine(at.late) + other(at.late)
  cells[to + at.capacity] = Math.max(mine(at.capacity), other(at.capacity))
  if (other(at.count) === 0) return
  cells[to + at.sum] = mine(at.sum) + other(at.sum)
  if (isFirst || other(at.min) < mine(at.min)) cells[to + at.min] = other(at.min)
  if (isFirst || other(at.max) > mine(at.max)) cells[to + at.max] = other(at.max)
  if (isFirst || other(at.firstMs) < mine(at.firstMs)) {
    cells[to + at.first] = other(at.first)
    cells[to + at.firstMs] = other(at.firstMs)
  }
  if (isFirst || other(at.lastMs) > mine(at.lastMs)) {
    cells[to + at.last] = other(at.last)
    cells[to + at.lastMs] = other(at.lastMs)
  }
}

/** Whole numbers of 32 bits but for the sum, and said so to the engine: others would be an object each. */
function windowOf(cells: Float64Array, span: number, window: number): SpanWindow | undefined {
  const from = window * cellsOfWindow
  const value = (cell: number) => cells[from + cell] as number // undefined beyond the end, which is 0 below
  const count = value(at.count) | 0
  const silent = value(at.silent) | 0
  if (count + silent === 0) return undefined
  const capacity = value(at.capacity)
  const isCounted = count > 0
  return {
    span,
    window,
    count,
    silent,
    sum: value(at.sum),
    min: isCounted ? value(at.min) | 0 : null,
    max: isCounted ? value(at.max) | 0 : null,
    first: isCounted ? value(at.first) | 0 : null,
    last: isCounted ? value(at.last) | 0 : null,
    late: value(at.late) | 0,
    capacity: capacity === 0 ? null : (capacity - 1) | 0,
  }
}
