/**
 * Who writes to the bucket: the ingest that came last. InfluxDB locks nothing, and two over one bucket would give the
 * same numbers to their rows of the ledger, and judge readings by a ledger that lacks the other's. So each leaves its
 * mark when it opens, and before each commit looks whether it is still its own.
 *
 * A commit that is under way when another comes is still carried out: it is the old one's last. Its readings are stored,
 * and the numbers it may use are passed over.
 */
import { randomUUID } from 'node:crypto'
import { FleetError } from '../../core/contract/errors.ts'
import type { InfluxClient } from './influx-client.ts'
import { measurements } from './influx-points.ts'
import { lineOf } from './line-protocol.ts'

/** Rows of the ledger that a last commit may bring, and many more. */
export const numbersPassedOver = 100_000

/**
 * Takes the bucket.
 * @returns to be asked before writing; rejects with FleetError `store.locked` when another ingest has taken it
 */
export async function takeBucket(
  client: InfluxClient,
  onTaken: ((error: unknown) => void) | undefined,
): Promise<() => Promise<void>> {
  const id = randomUUID()
  await client.write([lineOf({ measurement: measurements.holder, tags: {}, fields: { id }, timeMs: 0 })])
  return async () => {
    const [[row] = []] = await client.ask([`SELECT last(id) AS id FROM ${measurements.holder}`])
    if (row?.id === id) return
    const error = new FleetError('store.locked', 'another ingest has taken the bucket')
    onTaken?.(error)
    throw error
  }
}
