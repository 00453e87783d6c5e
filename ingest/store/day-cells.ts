/**
 * What a day adds up to, device by device: its quarters of an hour and, behind them, the whole of it. Sums take eight
 * bytes, everything else four, instants as milliseconds since the day began: 4,656 bytes for a device, so that a month of
 * a large fleet fits in memory. Pure.
 */
import { at, cellsOfWindow, mergeCells } from './span-sums.ts'

/** What a reading adds. */
export interface Counted {
  /** Milliseconds since the day began. */
  readonly atMs: number
  readonly occupied: number | null
  readonly capacity: number | undefined
  readonly isLate: boolean
}

/** Parts of a day, each with its sums: `quartersOfDay` of them, and the whole. */
const quartersOfDay = 96
export const wholeDay = quartersOfDay
const partsOfDay = quartersOfDay + 1

/** The sum is first, and takes the room of two words; each other cell is a word, in their order. */
const wordsOfPart = cellsOfWindow + 1
const wordOf = (cell: number) => cell + 1
const wordsOfDevice = partsOfDay * wordsOfPart
/** Devices are made room for together; what is not touched takes no memory. */
const devicesOfSlab = 64

/** Two views of the same bytes. */
interface Slab {
  readonly words: Uint32Array
  readonly sums: Float64Array
}

export class DayCells {
  readonly #slabs: Slab[] = []
  /** By number of the device, where it has readings. */
  readonly #places: (number | undefined)[] = []
  #deviceCount = 0
  readonly #cells = new Float64Array(cellsOfWindow)
  readonly #whole = new Float64Array(cellsOfWindow)

  get deviceCount(): number {
    return this.#deviceCount
  }

  has(device: number): boolean {
    return this.#places[device] !== undefined
  }

  /** Adds a reading to its quarter, and to the whole. */
  add(device: number, quarter: number, counted: Counted): void {
    const place = this.#placeOf(device)
    const slab = this.#slabOf(place)
    addTo(slab, wordsBefore(place, quarter), counted)
    addTo(slab, wordsBefore(place, wholeDay), counted)
  }

  /** Sets a quarter that nothing is known of yet. @param sumIn what belongs in each cell; instants since the day began */
  load(device: number, quarter: number, sumIn: (cell: number) => number): void {
    const place = this.#placeOf(device)
    const slab = this.#slabOf(place)
    for (let cell = 0; cell < cellsOfWindow; cell++) this.#cells[cell] = sumIn(cell)
    write(slab, wordsBefore(place, quarter), this.#cells)
    read(slab, wordsBefore(place, wholeDay), this.#whole)
    mergeCells(this.#whole, 0, this.#cells, 0)
    write(slab, wordsBefore(place, wholeDay), this.#whole)
  }

  /**
   * @param into the cells of a window, with instants since the day began
   * @returns false where the device has nothing in that part
   */
  read(device: number, part: number, into: Float64Array): boolean {
    const place = this.#places[device]
    if (place === undefined) return false
    const slab = this.#slabOf(place)
    const from = wordsBefore(place, part)
    if (slab.words[from + wordOf(at.count)] === 0 && slab.words[from + wordOf(at.silent)] === 0) return false
    read(slab, from, into)
    return true
  }

  #placeOf(device: number): number {
    let place = this.#places[device]
    if (place === undefined) {
      place = this.#deviceCount++
      this.#places[device] = place
      if (place % devicesOfSlab === 0) this.#slabs.push(newSlab())
    }
    return place
  }

  #slabOf(place: number): Slab {
    return this.#slabs[Math.floor(place / devicesOfSlab)] as Slab // made with the place
  }
}

function newSlab(): Slab {
  const bytes = new ArrayBuffer(devicesOfSlab * wordsOfDevice * Uint32Array.BYTES_PER_ELEMENT)
  return { words: new Uint32Array(bytes), sums: new Float64Array(bytes) }
}

function wordsBefore(place: number, part: number): number {
  return (place % devicesOfSlab) * wordsOfDevice + part * wordsOfPart
}

function addTo({ words, sums }: Slab, from: number, { atMs, occupied, capacity, isLate }: Counted): void {
  const value = (cell: number) => words[from + wordOf(cell)] as number // in range
  const set = (cell: number, to: number) => {
    words[from + wordOf(cell)] = to
  }
  if (isLate) set(at.late, value(at.late) + 1)
  if (capacity !== undefined && capacity >= value(at.capacity)) set(at.capacity, capacity + 1)
  if (occupied === null) {
    set(at.silent, value(at.silent) + 1)
    return
  }
  const isFirst = value(at.count) === 0
  set(at.count, value(at.count) + 1)
  sums[from / 2] = (sums[from / 2] as number) + occupied
  if (isFirst || occupied < value(at.min)) set(at.min, occupied)
  if (isFirst || occupied > value(at.max)) set(at.max, occupied)
  if (isFirst || atMs < value(at.firstMs)) {
    set(at.first, occupied)
    set(at.firstMs, atMs)
  }
  if (isFirst || atMs > value(at.lastMs)) {
    set(at.last, occupied)
    set(at.lastMs, atMs)
  }
}

function read({ words, sums }: Slab, from: number, into: Float64Array): void {
  into[at.sum] = sums[from / 2] as number // in range, as are the words
  for (let cell = at.sum + 1; cell < cellsOfWindow; cell++) into[cell] = words[from + wordOf(cell)] as number
}

function write({ words, sums }: Slab, from: number, cells: Float64Array): void {
  sums[from / 2] = cells[at.sum] as number // in range, as are the others
  for (let cell = at.sum + 1; cell < cellsOfWindow; cell++) words[from + wordOf(cell)] = cells[cell] as number
}
