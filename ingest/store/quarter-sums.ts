/**
 * What the newest days add up to, device by device in quarters of an hour, in memory: questions about days that are not
 * closed yet would otherwise go through all of their readings, and about closed ones through their rollups. Whatever was
 * committed of a day that is held is in its sums; of a day that is not held nothing is known here. Pure.
 */
import type { Reading } from '../../core/contract/reading.ts'
import type { WindowRun } from '../windows.ts'
import { dayMs, dayOf, type TimeRange } from './day-book.ts'
import { at, cellsOfWindow, mergeCells, type SpanSums } from './span-sums.ts'
import { rollupGrainMs, type SpanPiece } from './span-windows.ts'

/** A piece of a span, and the number of its device. */
export interface DevicePiece extends SpanPiece {
  readonly device: number
}

const quartersOfDay = dayMs / rollupGrainMs
/** Where the sums of a whole day stand: behind those of its quarters. */
const wholeDay = quartersOfDay * cellsOfWindow
const cellsOfDay = wholeDay + cellsOfWindow

interface HeldDay extends TimeRange {
  readonly day: number
  /** Its sums are those of rollups, which know no instant within a quarter: nothing can be added to them. */
  readonly isRolledUp: boolean
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
  begin(day: number, isRolledUp = false): void {
    const range = { fromMs: day * dayMs, toMs: (day + 1) * dayMs }
    const held = { day, isRolledUp, ...range, devices: [], deviceCount: 0 }
    this.#held = [...this.#held, held].sort((a, b) => a.day - b.day)
    while (this.#held.length > this.#daysMax) this.#letGo()
  }

  /**
   * A quarter of an hour of a day that is held, as the database sums it up.
   * @param sumIn what belongs in each cell
   */
  load(device: number, fromMs: number, sumIn: (cell: number) => number): void {
    const held = this.#find(fromMs)
    if (held === undefined) return
    const cells = this.#cellsOf(held, device)
    const quarter = ((fromMs - held.fromMs) / rollupGrainMs) * cellsOfWindow
    for (let cell = 0; cell < cellsOfWindow; cell++) cells[quarter + cell] = sumIn(cell)
    mergeCells(cells, wholeDay, cells, quarter)
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
    if (held.isRolledUp) {
      this.#letGo(held)
      return
    }
    const cells = this.#cellsOf(held, device)
    const quarter = Math.floor((timestampMs - held.fromMs) / rollupGrainMs)
    addReading(cells, quarter * cellsOfWindow, { timestampMs, occupied, capacity, isLate })
    addReading(cells, wholeDay, { timestampMs, occupied, capacity, isLate })
  }

  /**
   * Adds up pieces of spans, which lie in days that are held and begin and end with a quarter.
   * @param runs windows that quarters do not reach out of
   */
  addTo(sums: SpanSums, pieces: readonly DevicePiece[], runs: readonly WindowRun[]): void {
    for (const piece of pieces)
      for (const held of this.#held) {
        const cells = held.devices[piece.device]
        const fromMs = Math.max(piece.fromMs, held.fromMs)
        const toMs = Math.min(piece.toMs, held.toMs)
        if (cells === undefined || fromMs >= toMs) continue
        for (const run of runs)
          addRun(sums, { span: piece.span, cells, startMs: held.fromMs, fromMs, toMs }, run)
      }
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

  #letGo(held = this.#held[0]): void {
    this.#held = this.#held.filter((one) => one !== held)
    this.#usual = undefined
  }
}

interface Part extends TimeRange {
  readonly span: number
  /** Of the device's day, which starts at `startMs`. */
  readonly cells: Float64Array
  readonly startMs: number
}

interface Counted {
  readonly timestampMs: number
  readonly occupied: number | null
  readonly capacity: number | undefined
  readonly isLate: boolean
}

function addReading(
  cells: Float64Array,
  from: number,
  { timestampMs, occupied, capacity, isLate }: Counted,
): void {
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

function addRun(sums: SpanSums, { span, cells, startMs, ...part }: Part, run: WindowRun): void {
  const toMs = Math.min(part.toMs, run.fromMs + run.stepMs * run.count)
  const isWhole = part.fromMs === startMs && toMs === startMs + dayMs && run.fromMs <= startMs
  const window = Math.floor((startMs - run.fromMs) / run.stepMs)
  if (isWhole && toMs <= run.fromMs + (window + 1) * run.stepMs) {
    sums.addCells({ span, window: run.index + window }, cells, wholeDay)
    return
  }
  for (let fromMs = Math.max(part.fromMs, run.fromMs); fromMs < toMs; fromMs += rollupGrainMs) {
    const quarter = ((fromMs - startMs) / rollupGrainMs) * cellsOfWindow
    if (cells[quarter + at.count] === 0 && cells[quarter + at.silent] === 0) continue
    const window = run.index + Math.floor((fromMs - run.fromMs) / run.stepMs)
    sums.addCells({ span, window }, cells, quarter)
  }
}
