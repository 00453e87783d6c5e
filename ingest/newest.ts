/**
 * The newest reading of each device, in memory: everybody asks for it, all the time. What came before the start is
 * looked up in the store once.
 */
import type { DeviceId } from '../core/contract/device.ts'
import type { LastOfDevice } from './latest.ts'
import type { Ledger } from './ledger.ts'
import type { DeviceSpan, Store, StoredReading } from './store/store.ts'

export interface NewestOptions {
  readonly store: Pick<Store, 'lookup' | 'windows' | 'days'>
  readonly ledger: Ledger
}

interface Known {
  readonly stored: StoredReading
  /** The newest count, of this reading or, where the sensor is silent, of an earlier one. */
  readonly occupied: number
  readonly countedMs: number
}

/** How far back the last count of a silent device is looked for. */
const lastCountMs = 7 * 24 * 3600_000

export class Newest {
  readonly #options: NewestOptions
  readonly #known = new Map<DeviceId, Known>()

  constructor(options: NewestOptions) {
    this.#options = options
  }

  /** Readings that were committed, and that the ledger knows. */
  took(readings: readonly StoredReading[]): void {
    for (const stored of readings) {
      const { deviceId, reading } = stored
      const { timestampMs, occupied } = reading
      const known = this.#known.get(deviceId)
      const isNewest = timestampMs === this.#options.ledger.device(deviceId).highMs
      if (isNewest && occupied !== null)
        this.#known.set(deviceId, { stored, occupied, countedMs: timestampMs })
      else if (known !== undefined) {
        const count =
          occupied !== null && timestampMs > known.countedMs ? { occupied, countedMs: timestampMs } : {}
        this.#known.set(deviceId, { ...known, ...(isNewest ? { stored } : {}), ...count })
      }
    }
  }

  /** The newest reading of each device, where that lies within its span, and its last count where that one has none. */
  async of(spans: readonly DeviceSpan[], signal: AbortSignal): Promise<Map<DeviceId, LastOfDevice>> {
    const { store, ledger } = this.#options
    const last = new Map<DeviceId, LastOfDevice>()
    const missing: DeviceSpan[] = []
    for (const span of spans) {
      const { highMs } = ledger.device(span.deviceId)
      if (highMs < span.fromMs || store.days?.isGone(highMs) === true) continue
      const known = this.#known.get(span.deviceId)
      if (known?.stored.reading.timestampMs !== highMs) missing.push({ ...span, toMs: highMs + 1 })
      else {
        const isRecent = known.countedMs >= Math.max(span.fromMs, highMs + 1 - lastCountMs)
        last.set(span.deviceId, { stored: known.stored, lastOccupied: isRecent ? known.occupied : null })
      }
    }
    for (const [deviceId, found] of await this.#lookUp(missing, signal)) last.set(deviceId, found)
    return last
  }

  /** @param spans each ends with the newest reading of its device */
  async #lookUp(spans: readonly DeviceSpan[], signal: AbortSignal): Promise<Map<DeviceId, LastOfDevice>> {
    const { store } = this.#options
    const found = new Map<DeviceId, LastOfDevice>()
    if (spans.length === 0) return found
    for (const stored of await store.lookup(
      spans.map(({ deviceId, toMs }) => ({ deviceId, timestampMs: toMs - 1 })),
    )) {
      const { occupied, timestampMs } = stored.reading
      found.set(stored.deviceId, { stored, lastOccupied: occupied })
      const isStillNewest = this.#options.ledger.device(stored.deviceId).highMs === timestampMs
      if (isStillNewest && occupied !== null)
        this.#known.set(stored.deviceId, { stored, occupied, countedMs: timestampMs })
    }
    for (const { deviceId, fromMs, toMs } of spans) {
      const silent = found.get(deviceId)
      if (silent === undefined || silent.lastOccupied !== null) continue
      const start = Math.max(fromMs, toMs - lastCountMs)
      const run = { index: 0, fromMs: start, stepMs: toMs - start, count: 1 }
      const [window] = await store.windows([{ deviceId, fromMs: start, toMs }], [run], toMs, signal)
      found.set(deviceId, { ...silent, lastOccupied: window?.last ?? null })
    }
    return found
  }
}
