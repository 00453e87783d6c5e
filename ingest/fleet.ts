/**
 * The devices as provisioning tells them: names, tags, states, and who is connected. Where they count is in
 * `places.ts`, what they say of themselves in `statuses.ts`. Pure.
 */
import type { DeviceId } from '../core/contract/device.ts'
import type { Presence } from '../core/contract/downlink.ts'
import type { Device } from '../core/contract/registry.ts'

export class Fleet {
  readonly #devices = new Map<DeviceId, Device>()
  readonly #presence = new Map<DeviceId, Presence>()

  replaceDevices(devices: readonly Device[]): void {
    this.#devices.clear()
    for (const device of devices) this.putDevice(device)
  }

  putDevice(device: Device): void {
    this.#devices.set(device.deviceId as DeviceId, device) // the feed's schema has the same grammar
  }

  device(deviceId: DeviceId): Device | undefined {
    return this.#devices.get(deviceId)
  }

  /** By identifier. */
  devices(): Device[] {
    return [...this.#devices.values()].sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1))
  }

  /** Whether a device has one of these tags. */
  hasTag(deviceId: DeviceId, tags: readonly string[]): boolean {
    const device = this.#devices.get(deviceId)
    return device?.tags.some((tag) => tags.includes(tag)) === true
  }

  presence(deviceId: DeviceId): Presence | undefined {
    return this.#presence.get(deviceId)
  }

  loadPresence(presence: readonly Presence[]): void {
    for (const one of presence) this.#presence.set(one.deviceId as DeviceId, one) // as above
  }

  /** @returns what is news, to be kept */
  putPresence(presence: Presence): Presence[] {
    const deviceId = presence.deviceId as DeviceId // as above
    const known = this.#presence.get(deviceId)
    if (known !== undefined && isKnown(known, presence)) return []
    this.#presence.set(deviceId, presence)
    return [presence]
  }

  /**
   * A snapshot names those that are connected; who was and is not named has left, at a time nobody saw.
   * @returns what is news, to be kept
   */
  replacePresence(connected: readonly Presence[], nowMs: number): Presence[] {
    const named = new Set(connected.map(({ deviceId }) => deviceId))
    const left = [...this.#presence.values()].filter((known) => known.connected && !named.has(known.deviceId))
    return [
      ...left.flatMap((known) =>
        this.putPresence({ ...known, connected: false, atMs: Math.max(nowMs, known.atMs) }),
      ),
      ...connected.flatMap((presence) => this.putPresence(presence)),
    ]
  }
}

/** Told again, older than what is known, or the end of a connection that another has replaced. */
function isKnown(known: Presence, presence: Presence): boolean {
  if (presence.atMs < known.atMs) return true
  const isSame = presence.connectionId === known.connectionId
  if (isSame && presence.connected === known.connected) return true
  return !isSame && known.connected && !presence.connected
}
