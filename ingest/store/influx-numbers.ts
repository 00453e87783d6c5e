/**
 * Numbers in place of times, for rows that are only ever added: a number is never given twice, so no row takes the
 * place of another, and of rows that say the same thing anew the highest number is the newest.
 */
import type { InfluxClient } from './influx-client.ts'
import { measurements } from './influx-points.ts'

/** Rows that the last commit of an ingest before may still bring, and many more. */
const passedOver = 100_000

/** The numbered measurements, each with a field that none of its rows lacks. */
const numbered: readonly (readonly [measurement: string, field: string])[] = [
  [measurements.ledger, 'toSeq'],
  [measurements.ledgerFrom, '"first"'],
  [measurements.ends, 'lastSeq'],
  [measurements.places, 'body'],
  [measurements.placesHeld, '"first"'],
  [measurements.days, 'generation'],
  [measurements.closings, 'generation'],
  [measurements.quarantineRepeats, '"count"'],
]

export class InfluxNumbers {
  #next: number

  private constructor(next: number) {
    this.#next = next
  }

  /** Goes on well beyond the highest number that is there. */
  static async load(client: InfluxClient): Promise<InfluxNumbers> {
    const last = await client.ask(
      numbered.map(([measurement, field]) => `SELECT last(${field}) FROM ${measurement}`),
    )
    return new InfluxNumbers(Math.max(0, ...last.flat().map(({ time }) => Number(time))) + passedOver)
  }

  /** @returns the first of so many; they are gone even when their write fails, which may take effect later */
  take(count = 1): number {
    const first = this.#next
    this.#next += count
    return first
  }
}
