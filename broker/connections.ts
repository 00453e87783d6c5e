/**
 * Which connection stands on which token, and which to cut now. Pure; the caller cuts.
 * Our own registry, because the engine's list is known to lose live connections when one device comes and goes in one turn.
 */
import type { DeviceId } from '../core/contract/device.ts'
import type { Principal } from '../core/contract/principal.ts'

/** What the registry needs to know of a connection. */
export interface Standing {
  readonly deviceId: DeviceId
  readonly principal: Principal
}

export class Connections<Connection extends Standing> {
  readonly #byDevice = new Map<DeviceId, Connection>()

  get size(): number {
    return this.#byDevice.size
  }

  of(deviceId: DeviceId): Connection | undefined {
    return this.#byDevice.get(deviceId)
  }

  /** Enters a connection. @throws when the device still has one: it has to be gone first */
  add(connection: Connection): void {
    if (this.#byDevice.has(connection.deviceId)) throw new Error(`${connection.deviceId} is still connected`)
    this.#byDevice.set(connection.deviceId, connection)
  }

  /** Takes a connection out; one that was replaced in the meantime takes nothing else with it. */
  remove(connection: Connection): void {
    if (this.#byDevice.get(connection.deviceId) === connection) this.#byDevice.delete(connection.deviceId)
  }

  /** Connections whose token has been expired for longer than the skew. */
  expired(nowMs: number, skewSec: number): Connection[] {
    return this.where((principal) => (principal.expiresAtSec + skewSec) * 1000 <= nowMs)
  }

  where(isMeant: (principal: Principal) => boolean): Connection[] {
    return this.all().filter((connection) => isMeant(connection.principal))
  }

  all(): Connection[] {
    return [...this.#byDevice.values()]
  }
}
