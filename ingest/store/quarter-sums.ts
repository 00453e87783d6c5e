/**
 * What the newest days add up to, device by device in quarters of an hour, in memory: questions about days that are not
 * closed yet would otherwise go through all of their readings, and about closed ones through their rollups. Whatever was
 * committed of a day that is held is in its sums; of a day that is not held nothing is known here. Pure.
 */
import type { Reading } from '../../core/contract/reading.ts'
import type { WindowRun } from '../windows.ts'
import { dayMs, dayOf, type TimeRange } from './day-book.ts'
import { DayCells, wholeDay } from './day-cells.ts'
import { at, cellsOfWindow, type SpanSums } from './span-sums.ts'
import { rollupGrainMs, type SpanPiece } from './span-windows.ts'

/** A piece of a span, and the number of its device. */
export interface DevicePiece extends SpanPiece {
  readonly device: number
}

interface HeldDay extends TimeRange {
  readonly day: number
  /** Its sums are those of rollups, which know no instant within a quarter: nothing can be added to them. */
  readonly isRolledUp: boolean
  readonly cells: DayCells
}

export class QuarterSums {
  readonly #daysMax: number
  readonly #devicesMax: number
  /** Oldest first. */
  #held: HeldDay[] = []
  /** The day of the reading before: nearly always the next one's, too. */
  #usual: HeldDay | undefined

  /** @param limits.devicesMax over all days: with more, the oldest day is let go of; each takes 4.6 KB */
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
    const held = { day, isRolledUp, ...range, cells: new DayCells() }
    this.#held = [...this.#held, held].sort((a, b) => a.day - b.day)
    while (this.#held.length > this.#daysMax) this.#letGo()
  }

  /**
   * A quarter of an hour of a day that is held, as the database sums it up.
   * @param sumIn what belongs in each cell; instants since the day began
   */
  load(device: number, fromMs: number, sumIn: (cell: number) => number): void {
    const held = this.#find(fromMs)
    if (held === undefined) return
    this.#makeRoom(held, device)
    held.cells.load(device, quarterOf(held, fromMs), sumIn)
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
    this.#makeRoom(held, device)
    const atMs = timestampMs - held.fromMs
    held.cells.add(device, quarterOf(held, timestampMs), { atMs, occupied, capacity, isLate })
  }

  /**
   * Adds up pieces of spans, which lie in days that are held and begin and end with a quarter.
   * @param runs windows that quarters do not reach out of
   */
  addTo(sums: SpanSums, pieces: readonly DevicePiece[], runs: readonly WindowRun[]): void {
    for (const piece of pieces)
      for (const held of this.#held) {
        const fromMs = Math.max(piece.fromMs, held.fromMs)
        const toMs = Math.min(piece.toMs, held.toMs)
        if (fromMs >= toMs || !held.cells.has(piece.device)) continue
        for (const run of runs) addRun(sums, { ...piece, held, fromMs, toMs }, run)
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

  #makeRoom({ cells }: HeldDay, device: number): void {
    if (cells.has(device)) return
    const deviceCount = this.#held.reduce((sum, held) => sum + held.cells.deviceCount, 0)
    if (deviceCount >= this.#devicesMax) this.#letGo()
  }

  #letGo(held = this.#held[0]): void {
    this.#held = this.#held.filter((one) => one !== held)
    this.#usual = undefined
  }
}

function quarterOf({ fromMs }: HeldDay, timestampMs: number): number {
  return Math.floor((timestampMs - fromMs) / rollupGrainMs)
}

/** A piece of a span within a day. */
interface Part extends DevicePiece {
  readonly held: HeldDay
}

const cellsOfPart = new Float64Array(cellsOfWindow)

function addRun(sums: SpanSums, { span, device, held, ...part }: Part, run: WindowRun): void {
  const add = (quarter: number, window: number) => {
    if (!held.cells.read(device, quarter, cellsOfPart)) return
    cellsOfPart[at.firstMs] = held.fromMs + (cellsOfPart[at.firstMs] as number) // in range, as is the other
    cellsOfPart[at.lastMs] = held.fromMs + (cellsOfPart[at.lastMs] as number)
    sums.addCells({ span, window: run.index + window }, cellsOfPart, 0)
  }
  const windowAt = (ms: number) => Math.floor((ms - run.fromMs) / run.stepMs)
  const fromMs = Math.max(part.fromMs, run.fromMs)
  const toMs = Math.min(part.toMs, run.fromMs + run.stepMs * run.count)
  const isWhole = fromMs === held.fromMs && toMs === held.toMs
  if (isWhole && windowAt(fromMs) === windowAt(toMs - 1)) add(wholeDay, windowAt(fromMs))
  else for (let ms = fromMs; ms < toMs; ms += rollupGrainMs) add(quarterOf(held, ms), windowAt(ms))
}
