/**
 * What the newest days add up to, device by device in quarters of an hour, in memory: questions about days that are not
 * closed yet would otherwise go through all of their readings. Whatever was committed of a day that is held is in its
 * sums; of a day that is not held nothing is known here. Pure.
 */
import type { Reading } from '../../core/contract/reading.ts'
import type { WindowRun } from '../windows.ts'
import { dayMs, dayOf, type TimeRange } from './day-book.ts'
import { rollupGrainMs, type SpanPiece, type WindowPart } from './span-windows.ts'

/** A piece of a span, and the number of its device. */
export interface DevicePiece extends SpanPiece {
  readonly device: number
}

/** A quarter of an hour of a device, as the database sums it up. */
export type QuarterRow = Omit<WindowPart, 'span' | 'window'> & {
  readonly device: number
  readonly fromMs: number
}

const quartersOfDay = dayMs / rollupGrainMs
/** Where in a quarter's cells what stands; what is of counts means nothing where there are none. */
const at = {
  count: 0,
  silent: 1,
  late: 2,
  sum: 3,
  min: 4,
  max: 5,
  first: 6,
  last: 7,
  firstMs: 8,
  lastMs: 9,
  /** One more than the highest capacity; 0 where there is none. */
  capacity: 10,
} as const
const cellsOfQuarter = 11
const cellsOfDay = quartersOfDay * cellsOfQuarter

interface HeldDay extends TimeRange {
  readonly day: number
  /** By number of the device, where it has readings. */
  readonly devices: (Float64Array | undefined)[]
  deviceCount: number
}

export class QuarterSums {
  readonly #daysMax: number
  readonly #devicesMax: number
  /** Oldest first. */
  #held: HeldDay[] = []
  /** The day of the reading before: nearly always the next one's, too. */
  #usual: HeldDay | undefined

  /** @param limits.devicesMax over all days: with more, the oldest day is let go of; each takes 8 KiB */
  constructor({ daysMax, devicesMax }: { daysMax: number; devicesMax: number }) {
    this.#daysMax = daysMax
    this.#devicesMax = devicesMax
  }

  /** Days that are held, oldest first. */
  get days(): readonly TimeRange[] {
    return this.#held
  }

  /** Holds a day from its first reading on; an old day beside newer ones is not worth it. */
  begin(day: number): void {
    const range = { fromMs: day * dayMs, toMs: (day + 1) * dayMs }
    this.#held = [...this.#held, { day, ...range, devices: [], deviceCount: 0 }].sort((a, b) => a.day - b.day)
    while (this.#held.length > this.#daysMax) this.#letGo()
  }

  /** A day as the database has it. */
  load(day: number, rows: Iterable<QuarterRow>): void {
    this.begin(day)
    const held = this.#find(day * dayMs)
    if (held === undefined) return
    for (const { device, fromMs, ...row } of rows) {
      const cells = this.#cellsOf(held, device)
      const from = ((fromMs - held.fromMs) / rollupGrainMs) * cellsOfQuarter
      cells[from + at.count] = row.count
      cells[from + at.silent] = row.silent
      cells[from + at.late] = row.late
      cells[from + at.sum] = row.sum
      cells[from + at.min] = row.min ?? 0
      cells[from + at.max] = row.max ?? 0
      cells[from + at.first] = row.first ?? 0
      cells[from + at.last] = row.last ?? 0
      cells[from + at.firstMs] = row.firstMs ?? 0
      cells[from + at.lastMs] = row.lastMs ?? 0
      cells[from + at.capacity] = row.capacity === null ? 0 : row.capacity + 1
    }
  }

  holds(timestampMs: number): boolean {
    return this.#find(timestampMs) !== undefined
  }

  /** A reading that was committed. */
  add(
    device: number,
    { timestampMs, occupied, capacity }: Pick<Reading, 'timestampMs' | 'occupied' | 'capacity'>,
    isLate: boolean,
  ): void {
    const held = this.#find(timestampMs)
    if (held === undefined) return
    const cells = this.#cellsOf(held, device)
    const from = Math.floor((timestampMs - held.fromMs) / rollupGrainMs) * cellsOfQuarter
    const value = (cell: number) => cells[from + cell] as number // in range
    if (isLate) cells[from + at.late] = value(at.late) + 1
    if (capacity !== undefined && capacity >= value(at.capacity)) cells[from + at.capacity] = capacity + 1
    if (occupied === null) {
      cells[from + at.silent] = value(at.silent) + 1
      return
    }
    const count = value(at.count)
    cells[from + at.count] = count + 1
    cells[from + at.sum] = value(at.sum) + occupied
    if (count === 0 || occupied < value(at.min)) cells[from + at.min] = occupied
    if (count === 0 || occupied > value(at.max)) cells[from + at.max] = occupied
    if (count === 0 || timestampMs < value(at.firstMs)) {
      cells[from + at.first] = occupied
      cells[from + at.firstMs] = timestampMs
    }
    if (count === 0 || timestampMs > value(at.lastMs)) {
      cells[from + at.last] = occupied
      cells[from + at.lastMs] = timestampMs
    }
  }

  /**
   * Sums of pieces of spans, which lie in days that are held and begin and end with a quarter.
   * @param runs windows that quarters do not reach out of
   */
  windows(pieces: readonly DevicePiece[], runs: readonly WindowRun[]): WindowPart[] {
    const parts: WindowPart[] = []
    for (const piece of pieces)
      for (const held of this.#held) {
        const cells = held.devices[piece.device]
        const fromMs = Math.max(piece.fromMs, held.fromMs)
        const toMs = Math.min(piece.toMs, held.toMs)
        if (cells === undefined || fromMs >= toMs) continue
        for (const run of runs) addWindows(parts, { span: piece.span, cells, held, fromMs, toMs }, run)
      }
    return parts
  }

  #find(timestampMs: number): HeldDay | undefined {
    const usual = this.#usual
    if (usual !== undefined && timestampMs >= usual.fromMs && timestampMs < usual.toMs) return usual
    const day = dayOf(timestampMs)
    const found = this.#held.find((held) => held.day === day)
    if (found !== undefined) this.#usual = found
    return found
  }

  #cellsOf(held: HeldDay, device: number): Float64Array {
    let cells = held.devices[device]
    if (cells === undefined) {
      cells = new Float64Array(cellsOfDay)
      held.devices[device] = cells
      held.deviceCount++
      if (this.#held.reduce((sum, { deviceCount }) => sum + deviceCount, 0) > this.#devicesMax) this.#letGo()
    }
    return cells
  }

  #letGo(): void {
    this.#held = this.#held.slice(1)
    this.#usual = undefined
  }
}

interface Part extends TimeRange {
  readonly span: number
  readonly held: HeldDay
  readonly cells: Float64Array
}

function addWindows(parts: WindowPart[], part: Part, run: WindowRun): void {
  const start = Math.max(part.fromMs, run.fromMs)
  const end = Math.min(part.toMs, run.fromMs + run.stepMs * run.count)
  for (let number = Math.floor((start - run.fromMs) / run.stepMs); ; number++) {
    const fromMs = Math.max(start, run.fromMs + number * run.stepMs)
    if (fromMs >= end) return
    const toMs = Math.min(end, run.fromMs + (number + 1) * run.stepMs)
    const window = sumOf(part, { fromMs, toMs }, run.index + number)
    if (window !== undefined) parts.push(window)
  }
}

/** @returns undefined where there is no reading */
function sumOf(
  { span, held, cells }: Part,
  { fromMs, toMs }: TimeRange,
  window: number,
): WindowPart | undefined {
  const last = ((toMs - held.fromMs) / rollupGrainMs) * cellsOfQuarter
  let [count, silent, late, sum, capacity] = [0, 0, 0, 0, 0]
  let [min, max, first, latest, firstMs, lastMs] = [0, 0, 0, 0, 0, 0]
  for (
    let from = ((fromMs - held.fromMs) / rollupGrainMs) * cellsOfQuarter;
    from < last;
    from += cellsOfQuarter
  ) {
    const value = (cell: number) => cells[from + cell] as number // in range
    silent += value(at.silent)
    late += value(at.late)
    capacity = Math.max(capacity, value(at.capacity))
    const counted = value(at.count)
    if (counted === 0) continue
    if (count === 0) {
      min = value(at.min)
      max = value(at.max)
      first = value(at.first)
      firstMs = value(at.firstMs)
    } else {
      min = Math.min(min, value(at.min))
      max = Math.max(max, value(at.max))
    }
    latest = value(at.last)
    lastMs = value(at.lastMs)
    count += counted
    sum += value(at.sum)
  }
  if (count + silent === 0) return undefined
  const isCounted = count > 0
  return {
    span,
    window,
    count,
    silent,
    sum,
    min: isCounted ? min : null,
    max: isCounted ? max : null,
    first: isCounted ? first : null,
    last: isCounted ? latest : null,
    late,
    capacity: capacity === 0 ? null : capacity - 1,
    firstMs: isCounted ? firstMs : null,
    lastMs: isCounted ? lastMs : null,
  }
}
