/** The car parks of a recorded CSV file: who is in it, before anybody plays it. Broken lines are the player's to name. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { parse } from 'csv-parse'
import { FleetError } from '../core/contract/errors.ts'
import { type ReplayColumns, replayColumnsDefault } from '../core/contract/fleet.ts'
import type { CarPark } from './fleet-plan.ts'

export interface Recording {
  readonly carParks: readonly CarPark[]
  /** The columns that are there. */
  readonly columns: ReplayColumns
  /** SHA-256 of the file, in hex. */
  readonly contentHash: string
}

/** @throws FleetError `file.invalid` when it cannot be read, or a column is missing, which is named with those there are */
export async function readRecording(path: string, wanted: Required<ReplayColumns>): Promise<Recording> {
  const hash = createHash('sha256')
  const capacities = new Map<string, number | undefined>()
  let columns: ReplayColumns | undefined
  let places: { key: number; capacity: number; width: number } | undefined
  try {
    const file = createReadStream(path).on('data', (chunk) => hash.update(chunk))
    const parser = file.pipe(
      parse({ bom: true, trim: true, relax_column_count: true, skip_records_with_error: true }),
    )
    file.once('error', (error) => parser.destroy(error))
    for await (const record of parser as AsyncIterable<string[]>) {
      if (places === undefined) {
        columns = presentColumns(record, wanted)
        places = {
          key: record.indexOf(columns.key),
          capacity: columns.capacity === undefined ? -1 : record.indexOf(columns.capacity),
          width: record.length,
        }
        continue
      }
      const name = record[places.key]
      if (record.length !== places.width || name === undefined || name === '') continue
      const text = record[places.capacity]
      capacities.set(name, text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : capacities.get(name))
    }
  } catch (cause) {
    if (cause instanceof FleetError) throw cause
    throw new FleetError('file.invalid', `${path} ${unreadable(cause)}`, { cause })
  }
  if (columns === undefined || capacities.size === 0)
    throw new FleetError('file.invalid', `${path} has no rows`)
  return {
    carParks: [...capacities].map(([name, capacity]) => ({ name, capacity })),
    columns,
    contentHash: hash.digest('hex'),
  }
}

function unreadable(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException // of a stream or of the parser
  if (code === 'ENOENT') return 'does not exist'
  return code === 'EISDIR' ? 'is a folder, not a CSV file' : `cannot be read: ${message}`
}

/** The capacity may be missing when nobody asked for its column by name. */
function presentColumns(header: readonly string[], wanted: Required<ReplayColumns>): ReplayColumns {
  const { capacity, ...needed } = wanted
  const hasCapacity = header.includes(capacity)
  const asked = hasCapacity || capacity !== replayColumnsDefault.capacity ? wanted : needed
  const missing = Object.values(asked).filter((name) => !header.includes(name))
  if (missing.length === 0) return asked
  throw new FleetError('file.invalid', 'the file lacks columns; --column-… names others', {
    faults: [
      ...missing.map((name) => `${name}: is not in the header line`),
      `there are: ${header.join(', ')}`,
    ],
  })
}
