/**
 * The InfluxDB store: versions 2 and 3 by the API of version 2, version 1 by `/write`; a database or bucket of our own
 * that keeps its points for ever, and one ingest over it at a time (`influx-holder.ts`), whose memory of the ledger is
 * what it read at start.
 * Why the order of writes keeps the promises is said in `influx-writer.ts`, what is asked in `influx-reader.ts`.
 *
 * Readings have the tag `device` alone. Their lot is found when they are asked for, from dated assignments, as with
 * every store: a lot written beside a reading would stay wrong when an assignment is corrected.
 */
import { randomInt, randomUUID } from 'node:crypto'
import type { DeviceId } from '../../core/contract/device.ts'
import { FleetError } from '../../core/contract/errors.ts'
import type { Assignment, Device, Lot } from '../../core/contract/registry.ts'
import { createInfluxClient, type InfluxClient, type InfluxOptions, type Row } from './influx-client.ts'
import { createInfluxDays, loadDays } from './influx-days.ts'
import { takeBucket } from './influx-holder.ts'
import { InfluxNumbers } from './influx-numbers.ts'
import { endOf, ledgerFields, ledgerRowOf, measurements, presenceLine, presenceOf } from './influx-points.ts'
import { createInfluxReader } from './influx-reader.ts'
import { InfluxWriter } from './influx-writer.ts'
import { lineOf, slotsMax } from './line-protocol.ts'
import type { Store } from './store.ts'

export interface InfluxStoreOptions extends InfluxOptions {
  readonly quarantinePerDeviceMax: number
  /** Another ingest has taken the bucket: nothing can be written any more. */
  readonly onFatal?: ((error: unknown) => void) | undefined
}

/** How long a start may take to read the ledger and the highest instants. */
const loadMs = 600_000

/**
 * @throws FleetError `store.unavailable`; `config.invalid` when InfluxDB would forget old points
 */
export async function openInflux(options: InfluxStoreOptions): Promise<Store> {
  const client = createInfluxClient(options)
  if (client.isMutable) await requireKeeping(client, options.bucket)
  const storeId = await loadId(client, options.bucket)
  const requireHeld = await takeBucket(client, options.onFatal)
  const numbers = await InfluxNumbers.load(client)
  const notes = await loadDays(client, numbers, loadMs)
  const writer = new InfluxWriter({ ...options, client, numbers, book: notes.book, requireHeld })
  const reader = createInfluxReader(client, notes.book)
  let presenceSlot = 0

  return {
    ...reader,
    storeId,
    days: createInfluxDays({ client, numbers, writer, notes }),
    backUp: undefined,
    get ledgerRowCount() {
      return writer.ledgerRowCount
    },

    async lookup(instants) {
      await writer.settle()
      return reader.lookup(instants)
    },

    async load() {
      const [from] = await client.ask([newest(measurements.ledgerFrom, '"first"')])
      const [ledger = [], ends = [], highs = [], statuses = [], schedules = [], presence = []] =
        await client.ask(
          [
            `SELECT ${ledgerFields} FROM ${measurements.ledger} WHERE time >= ${Number(from?.[0]?.first ?? 0)}ms`,
            `SELECT device, epoch, lastSeq FROM ${measurements.ends}`,
            `SELECT last(receivedAtMs) FROM ${measurements.readings} GROUP BY device`,
            `SELECT last(receivedAtMs) AS receivedAtMs, body FROM ${measurements.newestStatuses} GROUP BY device`,
            `SELECT device, cron FROM ${measurements.schedules} ORDER BY time`,
            `SELECT last(body) AS body FROM ${measurements.presence} GROUP BY device`,
          ],
          AbortSignal.timeout(loadMs),
        )
      writer.ledgerRowCount = ledger.length
      return {
        ledger: ledger.map(ledgerRowOf),
        ends: ends.map(endOf),
        highs: highs.map(({ device, time }) => ({
          deviceId: device as DeviceId, // written from one
          timestampMs: Number(time),
        })),
        statuses: statuses.map(({ device, receivedAtMs, body }) => ({
          deviceId: device as DeviceId, // as above
          receivedAtMs: Number(receivedAtMs),
          body: String(body),
        })),
        schedules: schedules.map(({ device, time, cron }) => ({
          deviceId: device as DeviceId, // as above
          sinceMs: Number(time),
          cron: String(cron),
        })),
        presence: presence.map(presenceOf),
      }
    },

    commit: (batch) => writer.commit(batch),
    compact: (rows) => writer.compact(rows),

    async loadPlaces() {
      const [held] = await client.ask([newest(measurements.placesHeld, '"first", "count"')])
      const [from, count] = [Number(held?.[0]?.first ?? 0), Number(held?.[0]?.count ?? 0)]
      if (count === 0) return { lots: [], assignments: [], devices: [] }
      const [rows = []] = await client.ask([
        `SELECT kind, body FROM ${measurements.places} WHERE time >= ${from}ms AND time < ${from + count}ms`,
      ])
      return {
        lots: bodiesOf<Lot>(rows, 'lot'),
        assignments: bodiesOf<Assignment>(rows, 'assignment'),
        devices: bodiesOf<Device>(rows, 'device'),
      }
    },

    /** The new rows, then the one that says which rows hold, then the old rows are no longer needed. */
    async savePlaces({ lots, assignments, devices }) {
      const rows = [
        ...lots.map((lot) => ({ kind: 'lot', body: JSON.stringify(lot) })),
        ...assignments.map((assignment) => ({ kind: 'assignment', body: JSON.stringify(assignment) })),
        ...devices.map((device) => ({ kind: 'device', body: JSON.stringify(device) })),
      ]
      const first = numbers.take(rows.length)
      const number = numbers.take()
      await client.write(
        rows.map(({ kind, body }, i) =>
          lineOf({ measurement: measurements.places, tags: { kind }, fields: { body }, timeMs: first + i }),
        ),
      )
      await client.write([
        lineOf({
          measurement: measurements.placesHeld,
          tags: {},
          fields: { first, count: rows.length },
          timeMs: number,
        }),
      ])
      await client.forget([
        `DELETE FROM ${measurements.places} WHERE time < ${first}ms`,
        `DELETE FROM ${measurements.placesHeld} WHERE time < ${number}ms`,
      ])
    },

    async savePresence(presence) {
      await client.write(
        presence.map((one) => {
          presenceSlot = (presenceSlot + 1) % slotsMax
          return presenceLine(one, presenceSlot)
        }),
      )
    },

    async pruneHistory({ beatsMs, changesMs }) {
      await client.forget([
        `DELETE FROM ${measurements.statuses} WHERE kind = 'beat' AND time < ${beatsMs}ms`,
        `DELETE FROM ${measurements.statuses} WHERE kind = 'change' AND time < ${changesMs}ms`,
        `DELETE FROM ${measurements.presence} WHERE time < ${changesMs}ms`,
      ])
    },

    async check() {
      await client.ask(['SHOW MEASUREMENTS LIMIT 1'])
    },

    async close() {
      // Nothing is open between requests.
    },
  }
}

/**
 * Numbered rows have times in 1970, and readings may come from 2000 on: neither may expire. Version 3 has no such
 * statement; there it shows with `loadId`.
 */
async function requireKeeping(client: InfluxClient, bucket: string): Promise<void> {
  const [policies = []] = await client.ask(['SHOW RETENTION POLICIES'])
  const passing = policies.find((policy) => policy.default === true && policy.duration !== '0s')
  if (passing !== undefined) throw forgetful(`${bucket} keeps its points for ${passing.duration} only`)
}

/** At the beginning of 1970: where it is not found again, no old point would be. */
async function loadId(client: InfluxClient, bucket: string): Promise<string> {
  const find = async () => {
    const [[row] = []] = await client.ask([`SELECT first(id) AS id FROM ${measurements.store}`])
    return row
  }
  const found = await find()
  if (found !== undefined) return String(found.id)
  await client.write([
    lineOf({
      measurement: measurements.store,
      tags: {},
      fields: { id: randomUUID() },
      timeMs: 0,
      slot: randomInt(slotsMax),
    }),
  ])
  // Of two that come at once, the first holds for both.
  const written = await find()
  if (written === undefined) throw forgetful(`${bucket} does not give back what was written to it`)
  return String(written.id)
}

function forgetful(fault: string): FleetError {
  return new FleetError('config.invalid', 'InfluxDB forgets', {
    faults: [`${fault}; its retention has to be infinite`],
  })
}

/** The newest of rows that are numbered. */
function newest(measurement: string, fields: string): string {
  return `SELECT ${fields} FROM ${measurement} ORDER BY time DESC LIMIT 1`
}

function bodiesOf<Body>(rows: readonly Row[], kind: string): Body[] {
  return rows.filter((row) => row.kind === kind).map(({ body }) => JSON.parse(String(body)) as Body) // written by savePlaces
}
