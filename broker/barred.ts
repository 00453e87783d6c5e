/** The devices that the registry says may not connect: suspended, retired. Pure; told by the feed. */
import { type DeviceId, parseDeviceId } from '../core/contract/device.ts'
import type { FeedEvent } from '../core/contract/feed.ts'
import type { Device } from '../core/contract/registry.ts'

export class BarredDevices {
  readonly #devices = new Set<DeviceId>()

  has(deviceId: DeviceId): boolean {
    return this.#devices.has(deviceId)
  }

  /** A snapshot replaces all that was known; other events than `device` say nothing here. */
  hear(event: FeedEvent): void {
    if (event.type === 'snapshot') {
      this.#devices.clear()
      for (const device of event.data.devices) this.#note(device)
    } else if (event.type === 'device') {
      this.#note(event.data)
    }
  }

  #note(device: Device): void {
    const deviceId = parseDeviceId(device.deviceId)
    if (deviceId === undefined) return
    if (device.state === 'suspended' || device.state === 'retired') this.#devices.add(deviceId)
    else this.#devices.delete(deviceId)
  }
}
