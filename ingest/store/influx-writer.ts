/**
 * The writing side of the InfluxDB store. InfluxDB has no transaction, so the order of writes keeps the promises:
 *
 * 1. What a batch brings is written first: readings, quarantine, statuses. Only after the server's 204 to all of it
 *    comes what is said of it: ledger and ends. So the ledger never claims what is not stored, and a batch is
 *    acknowledged only when both are.
 * 2. When the process dies, or a write fails, between the two, readings are there that the ledger does not know. They
 *    were never acknowledged, so they come again, are looked up at their instants (after a restart every device's
 *    highest instant is loaded from the readings; after a failure `Ledger` remembers the doubt), and carry epoch and
 *    sequence: `decide.ts` knows them by these, and only their row of the ledger is written.
 * 3. A write that was never answered may take effect at any later time, and InfluxDB overwrites silently: another
 *    reading of the same instant, stored and acknowledged meanwhile, would be lost. So the same lines are written
 *    again until there is an answer, before anything else is read or written (`settle`). From then on it makes no
 *    difference when the first write takes effect.
 * 4. Rows of the ledger are numbered and never overwritten. Late or twice, they say the same. Nor is anything else
 *    written over that may have to say something new: which of two writes of a point stays, version 3 does not promise.
 *
 * One gap is left: a write that outlives its process in a stalled server, with another reading of the same device at
 * the same instant coming first. InfluxDB offers no way to close it; the ledger would still say `stored` of both.
 */
import type { DeviceId } from '../../core/contract/device.ts'
import type { LedgerRow } from '../ledger.ts'
import type { DayBook } from './day-book.ts'
import { type InfluxClient, inPartsOf, isInDoubt, type Row } from './influx-client.ts'
import type { InfluxNumbers } from './influx-numbers.ts'
import {
  type DayNote,
  dayLine,
  endLine,
  ledgerLine,
  measurements,
  neverClosed,
  numberOf,
  quarantineLine,
  quarantineRepeatLine,
  readingLine,
  releaseLine,
  scheduleLine,
  statusLines,
} from './influx-points.ts'
import { idsMax, oneOfIds, quoted } from './influx-reader.ts'
import { lineOf } from './line-protocol.ts'
import type { QuarantineEntry, QuarantineRelease, StoreBatch, StoredReading } from './store.ts'

export interface WriterOptions {
  readonly client: InfluxClient
  readonly book: DayBook
  /** Entries of a device in quarantine that keep their content. */
  readonly quarantinePerDeviceMax: number
  /** Rejects when the bucket is another ingest's by now. */
  readonly requireHeld: () => Promise<void>
  readonly numbers: InfluxNumbers
}

export class InfluxWriter {
  /** Rows in the ledger's measurement. */
  ledgerRowCount = 0
  readonly #options: WriterOptions
  /** Lines whose write had no answer. */
  #inDoubt: readonly string[] = []
  /** Lines of days that the server has not said yes to, by day. */
  readonly #unnoted = new Map<number, string>()
  /** Resolves when the last of those who wait for their turn is done. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: WriterOptions) {
    this.#options = options
  }

  async commit(batch: StoreBatch): Promise<void> {
    await this.exclusive(() => this.#commit(batch))
  }

  /** Between two commits, as long as the bucket is ours. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(async () => {
      await this.#options.requireHeld()
      return work()
    })
    this.#turn = mine.catch(() => undefined) // its own caller hears of it
    return mine
  }

  async #commit(batch: StoreBatch): Promise<void> {
    const { client, numbers } = this.#options
    await this.settle()
    // Late or twice it does no harm: a day is closed once more.
    await this.#noteDays(batch.readings)
    const brought = [
      ...batch.readings.map(readingLine),
      ...(await this.#quarantineLines(batch.quarantine)),
      ...batch.statuses.flatMap((status) => statusLines(status, client.isMutable)),
      ...batch.schedules.map(scheduleLine),
    ]
    const ledger = [...batch.ledger]
    const said = [
      ...ledger.map((row) => ledgerLine(row, numbers.take())),
      ...batch.ends.map((end) => endLine(end, numbers.take())),
      ...(await this.#releaseLines(batch.released ?? [])),
    ]
    try {
      await client.write(brought)
    } catch (error) {
      if (isInDoubt(error)) this.#inDoubt = brought
      throw error
    }
    await client.write(said)
    this.ledgerRowCount += ledger.length
  }

  /** Days that are open from now on, and closed ones that are stale: before their readings, so that nobody relies on rollups without them. */
  async #noteDays(readings: readonly StoredReading[]): Promise<void> {
    const { book, client } = this.#options
    const instants = readings.map(({ reading }) => reading.timestampMs)
    for (const day of book.newAmong(instants)) this.noteBeforeReadings(neverClosed(day))
    for (const day of book.touch(instants)) {
      // Whatever becomes of the write: what was not answered may be there all the same.
      book.put(day)
      this.noteBeforeReadings(day)
    }
    if (this.#unnoted.size === 0) return
    await client.write([...this.#unnoted.values()])
    this.#unnoted.clear()
  }

  /** What is known of a day by now, said with the next readings at the latest; it is newer than whatever was said before. */
  noteBeforeReadings(day: DayNote): void {
    this.#unnoted.set(day.day, dayLine(day, this.#options.numbers.take()))
  }

  /** The new rows first, then from where on the ledger holds: until then, both say the same. */
  async compact(rows: Iterable<LedgerRow>): Promise<void> {
    const { client, numbers } = this.#options
    const ledger = [...rows]
    const first = numbers.take(ledger.length)
    const number = numbers.take()
    this.ledgerRowCount += ledger.length
    await client.write(ledger.map((row, i) => ledgerLine(row, first + i)))
    await client.write([
      lineOf({ measurement: measurements.ledgerFrom, tags: {}, fields: { first }, timeMs: number }),
    ])
    this.ledgerRowCount = ledger.length
    await client.forget([
      `DELETE FROM ${measurements.ledger} WHERE time < ${first}ms`,
      `DELETE FROM ${measurements.ledgerFrom} WHERE time < ${number}ms`,
    ])
  }

  /** Resolves when no earlier write is in doubt. */
  async settle(): Promise<void> {
    const lines = this.#inDoubt
    if (lines.length === 0) return
    try {
      await this.#options.client.write(lines)
    } catch (error) {
      if (isInDoubt(error)) throw error
      // A refusal is an answer, too: what was taken is there now and will be found.
    }
    // Questions settle, too, and another batch may have come into doubt meanwhile.
    if (this.#inDoubt === lines) this.#inDoubt = []
  }

  /** What is there already is noted as come again; what is new keeps its content while its device has room. */
  async #quarantineLines(entries: readonly QuarantineEntry[]): Promise<string[]> {
    const byDevice = new Map<DeviceId, QuarantineEntry[]>()
    for (const entry of entries) {
      const ofDevice = byDevice.get(entry.deviceId) ?? []
      ofDevice.push(entry)
      byDevice.set(entry.deviceId, ofDevice)
    }
    const lines: string[] = []
    for (const [deviceId, ofDevice] of byDevice) {
      const there = await this.#quarantineOf(deviceId, ofDevice)
      let { held } = there
      for (const entry of ofDevice) {
        if (there.known.has(entry.id)) {
          lines.push(quarantineRepeatLine(entry, this.#options.numbers.take()))
          continue
        }
        const timeMs = Math.floor(entry.receivedAtMs)
        const slot = there.slots.get(timeMs) ?? 0
        there.slots.set(timeMs, slot + 1)
        lines.push(quarantineLine(entry, slot, held < this.#options.quarantinePerDeviceMax))
        held++
      }
    }
    return lines
  }

  /** Said last, as the ledger is: what is released is stored by then. */
  async #releaseLines(released: readonly QuarantineRelease[]): Promise<string[]> {
    const lines: string[] = []
    for (const part of inPartsOf(idsMax, released)) {
      const found = await this.#options.client.ask(
        part.map(
          ({ deviceId, id }) =>
            `SELECT slot, releasedAtMs FROM ${measurements.quarantine} WHERE device = '${deviceId}' AND id = ${quoted(id)}`,
        ),
      )
      for (const [i, release] of part.entries()) {
        const row = found[i]?.[0]
        if (row !== undefined && numberOf(row.releasedAtMs) === undefined)
          lines.push(releaseLine(release, { timeMs: Number(row.time), slot: Number(row.slot) }))
      }
    }
    return lines
  }

  /** What a device has in quarantine, as far as new entries need it. */
  async #quarantineOf(deviceId: DeviceId, entries: readonly QuarantineEntry[]) {
    const where = `FROM ${measurements.quarantine} WHERE device = '${deviceId}'`
    const timesMs = [...new Set(entries.map(({ receivedAtMs }) => Math.floor(receivedAtMs)))]
    const [held = [], ...others] = await this.#options.client.ask([
      `SELECT count(content) AS held ${where}`,
      ...timesMs.map(
        (timeMs) => `SELECT max(slot) AS slot ${where} AND time >= ${timeMs}ms AND time < ${timeMs + 1}ms`,
      ),
      ...inPartsOf(idsMax, entries).map((part) => `SELECT id, slot ${where} AND ${oneOfIds(part)}`),
    ])
    const slotOf = ([row]: readonly Row[] = []) => (row === undefined ? 0 : Number(row.slot) + 1)
    return {
      held: Number(held[0]?.held ?? 0),
      /** The next free slot of each millisecond. */
      slots: new Map(timesMs.map((timeMs, i) => [timeMs, slotOf(others[i])])),
      known: new Set(others.slice(timesMs.length).flatMap((rows) => rows.map(({ id }) => String(id)))),
    }
  }
}
