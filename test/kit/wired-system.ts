/** A running system whose devices reach their broker over a bad wire, with the fleet that plays there. */
import { type BadWire, startBadWire } from './bad-wire.ts'
import { type Fleet, type FleetOptions, prepareFleet, type Recording } from './replayed-fleet.ts'
import { System } from './system.ts'

export interface WiredSystem {
  readonly wire: BadWire
  readonly system: System
  /** A fleet that is registered and not started yet; one at a time. */
  prepareFleet(recording: Recording, options?: FleetOptions): Promise<Fleet>
  /** The fleet too. */
  stop(): Promise<void>
}

/** @param host what devices are told of the wire */
export async function startWiredSystem(host = '127.0.0.1'): Promise<WiredSystem> {
  const wire = await startBadWire()
  const brokerUrl = `mqtt://${host}:${wire.port}`
  const system = await System.start({
    env: { provisioning: { LOTWATCH_PROVISIONING_BROKER_URL: brokerUrl } },
  })
  wire.leadsTo = system.mqttPort
  let fleet: Fleet | undefined
  return {
    wire,
    system,
    async prepareFleet(recording, options) {
      fleet = await prepareFleet(system, recording, options)
      return fleet
    },
    async stop() {
      await fleet?.program?.kill()
      await wire.stop()
      await system.stop()
    },
  }
}
