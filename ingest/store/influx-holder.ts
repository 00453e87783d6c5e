/**
 * Who writes to the bucket: the ingest that came last. InfluxDB locks nothing, and two over one bucket would give the
 * same numbers to their rows of the ledger, and judge readings by a ledger that lacks the other's. So each leaves its
 * mark when it opens, and before each commit looks whether it is still its own.
 *
 * A commit that is under way when another comes is still carried out: it is the old one's last. Its readings are stored,
 * and the numbers it may use are passed over.
 */
import { randomInt, randomUUID } from 'node:crypto'
import { FleetError } from '../../core/contract/errors.ts'
import type { InfluxClient } from './influx-client.ts'
import { measurements } from './influx-points.ts'
import { lineOf, slotsMax } from './line-protocol.ts'

/**
 * Takes the bucket.
 * @returns to be asked before writing; rejects with FleetError `store.locked` when another ingest has taken it
 */
export async function takeBucket(
  client: InfluxClient,
  onTaken: ((error: unknown) => void) | undefined,
): Promise<() => Promise<void>> {
  const id = randomUUID()
  const last = async () => {
    const [[row] = []] = await client.ask([
      `SELECT id FROM ${measurements.holder} ORDER BY time DESC LIMIT 1`,
    ])
    return row
  }
  // Of two that come at once, one is the last for both.
  const timeMs = Number((await last())?.time ?? 0) + 1
  await client.write([
    lineOf({ measurement: measurements.holder, tags: {}, fields: { id }, timeMs, slot: randomInt(slotsMax) }),
  ])
  return async () => {
    if ((await last())?.id === id) return
    const error = new FleetError('store.locked', 'another ingest has taken the bucket')
    onTaken?.(error)
    throw error
  }
}
