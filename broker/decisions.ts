/**
 * Why the last connections of a device were let in, refused or closed: in memory, for an operator who asks.
 * Bounded twice: so many per name, and so many names, of which the one that was silent longest goes first.
 */
import type { ConnectionDecision } from '../core/contract/connection.ts'

const perDeviceMax = 10
const devicesMax = 10_000

export class ConnectionDecisions {
  /** Least recently noted first. */
  readonly #byDevice = new Map<string, ConnectionDecision[]>()

  /** @param mqttClientId as the CONNECT said it: at most 64 characters are kept */
  note(mqttClientId: string, decision: ConnectionDecision): void {
    const name = mqttClientId.slice(0, 64)
    const decisions = this.#byDevice.get(name) ?? []
    this.#byDevice.delete(name)
    this.#byDevice.set(name, [...decisions.slice(1 - perDeviceMax), decision])
    if (this.#byDevice.size <= devicesMax) return
    const [silent] = this.#byDevice.keys()
    if (silent !== undefined) this.#byDevice.delete(silent)
  }

  /** Newest first. */
  of(mqttClientId: string): readonly ConnectionDecision[] {
    return (this.#byDevice.get(mqttClientId) ?? []).toReversed()
  }
}
