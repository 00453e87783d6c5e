/** Observations whose time is known, as the outbox takes them, and where their sensor stands. */
import type { Place } from '../../../agent/outbox.ts'
import type { Taken } from '../../../agent/outbox-record.ts'
import type { Observation } from '../../../agent/sensors/sensor.ts'
import { noStamps } from '../../../agent/stamps.ts'

export function takenOf(observations: readonly Observation[]): Taken[] {
  return observations.map((observation) => ({ observation, clock: 'synced' }))
}

export function placeOf(position?: string): Place {
  return { position, stamps: noStamps }
}
