/**
 * A recorded CSV file, read once for all devices of a fleet: the rows of each car park, ordered by time.
 * A line that cannot be played is named and left out; the rest plays. Values are not judged: duplicates and negative
 * counts are rows like any others. Held as columns of numbers, 28 bytes a row, because a paced replay needs the
 * rows of all car parks side by side and a file may have them one after the other.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { parse } from 'csv-parse/sync'
import { FleetError } from '../../core/contract/errors.ts'
import type { ReplayColumns } from '../../core/contract/fleet.ts'
import type { Zone } from '../zone.ts'

export interface RecordedRow {
  /** In the file, from 1: the header. */
  readonly line: number
  readonly timestampMs: number
  /** Null when the cell is empty. */
  readonly occupied: number | null
  readonly capacity: number | undefined
}

/** The rows of one car park, by time; rows of the same time as they stand in the file. */
export interface RecordedRows {
  readonly length: number
  at(index: number): RecordedRow
}

export interface Recording {
  /** The first and the last instant of the whole file; undefined when it has no rows. */
  readonly span: { readonly firstMs: number; readonly lastMs: number } | undefined
  /** How many lines could not be played. */
  readonly brokenLines: number
  /** Empty for a car park the file does not have. */
  rowsOf(key: string): RecordedRows
}

export interface BrokenLine {
  readonly line: number
  readonly fault: string
}

const linesPerBlock = 1000
const numberShape = /^-?\d+(\.\d+)?$/

/**
 * Reads a file to its end.
 * @param onBrokenLine each line that cannot be played, in order
 * @throws FleetError `file.invalid` when it cannot be read or its header lacks a column
 */
export async function readRecording(
  path: string,
  options: { columns: ReplayColumns; zone: Zone; onBrokenLine: (broken: BrokenLine) => void },
): Promise<Recording> {
  const parks = new Map<string, Columns>()
  let cellsOf: ((fields: readonly string[]) => Cells) | undefined
  let brokenLines = 0
  let firstMs = Number.POSITIVE_INFINITY
  let lastMs = Number.NEGATIVE_INFINITY

  function take(fields: readonly string[] | undefined, line: number): void {
    if (fields?.length === 1 && fields[0]?.trim() === '') return
    const row = fields === undefined ? 'the quotes do not match' : readRow(fields, line)
    if (typeof row === 'string') {
      brokenLines++
      options.onBrokenLine({ line, fault: row })
      return
    }
    let park = parks.get(row.key)
    if (park === undefined) {
      park = new Columns()
      parks.set(row.key, park)
    }
    park.add(row)
    firstMs = Math.min(firstMs, row.timestampMs)
    lastMs = Math.max(lastMs, row.timestampMs)
  }

  function readRow(fields: readonly string[], line: number): (RecordedRow & { key: string }) | string {
    const { key, time, occupied, capacity } = (cellsOf as NonNullable<typeof cellsOf>)(fields) // the header came first
    if (key === undefined || time === undefined || occupied === undefined) return 'columns are missing'
    if (key === '') return 'the car park has no name'
    const timestampMs = options.zone.parse(time)
    if (timestampMs === undefined) return 'the time cannot be read'
    if (occupied !== '' && !numberShape.test(occupied)) return 'the count is not a number'
    if (capacity !== undefined && capacity !== '' && !numberShape.test(capacity))
      return 'the capacity is not a number'
    return {
      key,
      line,
      timestampMs,
      occupied: occupied === '' ? null : Number(occupied),
      capacity: capacity === undefined || capacity === '' ? undefined : Number(capacity),
    }
  }

  let line = 0
  for await (const block of blocksOf(path)) {
    for (const fields of parseLines(block)) {
      line++
      if (cellsOf === undefined) cellsOf = readHeader(path, fields, options.columns)
      else take(fields, line)
    }
  }
  if (cellsOf === undefined) throw new FleetError('file.invalid', `${path} is empty`)
  for (const park of parks.values()) park.sort()
  return {
    span: firstMs <= lastMs ? { firstMs, lastMs } : undefined,
    brokenLines,
    rowsOf: (key) => parks.get(key) ?? new Columns(),
  }
}

interface Cells {
  readonly key: string | undefined
  readonly time: string | undefined
  readonly occupied: string | undefined
  readonly capacity: string | undefined
}

function readHeader(
  path: string,
  header: readonly string[] | undefined,
  columns: ReplayColumns,
): (fields: readonly string[]) => Cells {
  const names = (header ?? []).map((name) => name.trim())
  const missing = Object.values(columns).filter((name) => !names.includes(name))
  if (missing.length > 0) {
    throw new FleetError('file.invalid', `${path}: its header lacks ${missing.join(', ')}`, {
      faults: missing.map((name) => `${path}: no column ${name}`),
    })
  }
  const cellOf = (name: string | undefined) => {
    const index = name === undefined ? -1 : names.indexOf(name)
    return (fields: readonly string[]) => fields[index]?.trim()
  }
  const [key, time, occupied, capacity] = [
    cellOf(columns.key),
    cellOf(columns.time),
    cellOf(columns.occupied),
    cellOf(columns.capacity),
  ]
  return (fields) => ({
    key: key(fields),
    time: time(fields),
    occupied: occupied(fields),
    capacity: capacity(fields),
  })
}

async function* blocksOf(path: string): AsyncGenerator<readonly string[]> {
  const input = createReadStream(path, 'utf8')
  let block: string[] = []
  try {
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      block.push(text)
      if (block.length < linesPerBlock) continue
      yield block
      block = []
    }
  } catch (cause) {
    throw new FleetError('file.invalid', `${path} cannot be read`, { cause })
  } finally {
    input.destroy()
  }
  yield block
}

/**
 * The fields of each line; undefined for a line whose quotes do not match.
 * A block at a time, which is ten times quicker than a line at a time; where a quote does not close it would swallow
 * the lines after it, so that block is read line by line and the quote costs only its own.
 */
function parseLines(lines: readonly string[]): readonly (readonly string[] | undefined)[] {
  try {
    const rows = parse(`${lines.join('\n')}\n`, { relax_column_count: true, bom: true }) as string[][]
    if (rows.length === lines.length) return rows
  } catch {
    // Named below, line by line.
  }
  return lines.map((text) => {
    try {
      const rows = parse(`${text}\n`, { relax_column_count: true, bom: true }) as string[][]
      return rows.length === 1 ? rows[0] : undefined
    } catch {
      return undefined
    }
  })
}

/** Rows as columns of numbers; NaN stands for a cell without a number. */
class Columns implements RecordedRows {
  length = 0
  #line = new Uint32Array(64)
  #timestampMs = new Float64Array(64)
  #occupied = new Float64Array(64)
  #capacity = new Float64Array(64)

  add(row: RecordedRow): void {
    if (this.length === this.#line.length) this.#grow()
    this.#line[this.length] = row.line
    this.#timestampMs[this.length] = row.timestampMs
    this.#occupied[this.length] = row.occupied ?? Number.NaN
    this.#capacity[this.length] = row.capacity ?? Number.NaN
    this.length++
  }

  at(index: number): RecordedRow {
    const line = this.#line[index]
    const timestampMs = this.#timestampMs[index]
    const occupied = this.#occupied[index] ?? Number.NaN
    const capacity = this.#capacity[index] ?? Number.NaN
    if (line === undefined || timestampMs === undefined || index >= this.length)
      throw new RangeError('no such row')
    return {
      line,
      timestampMs,
      occupied: Number.isNaN(occupied) ? null : occupied,
      capacity: Number.isNaN(capacity) ? undefined : capacity,
    }
  }

  /** By time; the sort is stable. Files are mostly in order already. */
  sort(): void {
    const times = this.#timestampMs
    let inOrder = true
    for (let i = 1; i < this.length && inOrder; i++)
      inOrder = (times[i - 1] as number) <= (times[i] as number) // i < length
    if (inOrder) return
    const rows = Array.from({ length: this.length }, (_, index) => this.at(index))
    rows.sort((a, b) => a.timestampMs - b.timestampMs)
    this.length = 0
    for (const row of rows) this.add(row)
  }

  #grow(): void {
    const size = this.#line.length * 2
    this.#line = enlarged(this.#line, new Uint32Array(size))
    this.#timestampMs = enlarged(this.#timestampMs, new Float64Array(size))
    this.#occupied = enlarged(this.#occupied, new Float64Array(size))
    this.#capacity = enlarged(this.#capacity, new Float64Array(size))
  }
}

function enlarged<Numbers extends Uint32Array | Float64Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from)
  return to
}
