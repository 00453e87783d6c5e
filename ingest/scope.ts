/**
 * What a question is about, and what of it the one who asks may see: lots, the devices that count for them and when,
 * devices by themselves. A token's `lots` limit everything; a lot it may not see is as one that does not exist.
 */
import type { DeviceId, LotId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { Lot } from '../core/contract/registry.ts'
import type { TimeRange } from './completeness.ts'
import type { Fleet } from './fleet.ts'
import type { Places } from './places.ts'
import type { DeviceSpan } from './store/store.ts'

/** Undefined: all of them. */
export interface Among {
  readonly lots: readonly LotId[] | undefined
  readonly devices: readonly DeviceId[] | undefined
  readonly tags: readonly string[] | undefined
}

/** A lot, with the devices that count for it and are asked for. */
export interface LotSpans {
  readonly lot: Lot
  readonly lotId: LotId
  readonly spans: readonly DeviceSpan[]
}

/** A device in a time, and the lot it counts for then; null: none, or it does not matter. */
export interface Subject {
  readonly span: DeviceSpan
  readonly lotId: LotId | null
}

/** Readings of a device that was never assigned belong to no lot. */
const always = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }

export class Scope {
  readonly #places: Places
  readonly #fleet: Fleet

  constructor({ places, fleet }: { places: Places; fleet: Fleet }) {
    this.#places = places
    this.#fleet = fleet
  }

  /** @throws FleetError `request.not_found` alike for a lot that does not exist and one the token may not see */
  lots(principal: Principal, asked: readonly LotId[] | undefined): Lot[] {
    const maySee = (lotId: string) => principal.lots === undefined || principal.lots.has(lotId as LotId) // only looked up
    if (asked === undefined) return this.#places.lots().filter(({ lotId }) => maySee(lotId))
    return [...new Set(asked)].map((lotId) => {
      const lot = maySee(lotId) ? this.#places.lot(lotId) : undefined
      if (lot === undefined)
        throw new FleetError('request.not_found', 'no such lot', { safeDetail: `there is no lot ${lotId}` })
      return lot
    })
  }

  /** Lots with their devices in a time; where devices or tags are named, lots that have none of them are left out. */
  lotSpans(among: Among, range: TimeRange, principal: Principal): LotSpans[] {
    const lots = this.lots(principal, among.lots).map((lot) => {
      const lotId = lot.lotId as LotId // the feed's schema has the same grammar
      const spans = this.#places.spansOf(lotId, range.fromMs, range.toMs)
      return { lot, lotId, spans: spans.filter(({ deviceId }) => isAmong(this.#fleet, among, deviceId)) }
    })
    const isNarrowed = among.devices !== undefined || among.tags !== undefined
    return isNarrowed ? lots.filter(({ spans }) => spans.length > 0) : lots
  }

  /** Lots with the whole spans of the devices that count for them at an instant. */
  lotSpansAt(among: Among, atMs: number, principal: Principal): LotSpans[] {
    return this.lotSpans(among, { fromMs: atMs, toMs: atMs + 1 }, principal).map(({ spans, ...of }) => {
      const deviceIds = new Set(spans.map(({ deviceId }) => deviceId))
      return {
        ...of,
        spans: this.#places.spansAt(of.lotId, atMs).filter(({ deviceId }) => deviceIds.has(deviceId)),
      }
    })
  }

  /** Undefined: every device at any time. */
  spans(among: Among, range: TimeRange, principal: Principal): DeviceSpan[] | undefined {
    if (among.lots !== undefined || principal.lots !== undefined)
      return this.lotSpans(among, range, principal).flatMap(({ spans }) => spans)
    if (among.devices === undefined && among.tags === undefined) return undefined
    const named = among.devices ?? this.#fleet.devices().map(({ deviceId }) => deviceId as DeviceId) // as above
    return [...new Set(named)]
      .filter((deviceId) => isAmong(this.#fleet, among, deviceId))
      .map((deviceId) => ({ deviceId, ...always }))
  }

  /** Devices that count for a lot now, or are registered, or have sent something; by identifier. */
  devices(among: Among, seen: Iterable<DeviceId>, nowMs: number, principal: Principal): DeviceId[] {
    const ids =
      among.lots !== undefined || principal.lots !== undefined
        ? this.lotSpansAt(among, nowMs, principal).flatMap(({ spans }) =>
            spans.map(({ deviceId }) => deviceId),
          )
        : [...this.#fleet.devices().map(({ deviceId }) => deviceId as DeviceId), ...seen] // as above
    return [...new Set(ids)].filter((deviceId) => isAmong(this.#fleet, among, deviceId)).sort()
  }

  /** Devices whose every reading the token may see at some time; undefined: all. */
  visibleDevices(
    principal: Principal,
    asked: readonly DeviceId[] | undefined,
  ): readonly DeviceId[] | undefined {
    if (principal.lots === undefined) return asked
    const spans = this.spans({ lots: undefined, devices: asked, tags: undefined }, always, principal) ?? []
    return [...new Set(spans.map(({ deviceId }) => deviceId))]
  }
}

function isAmong(fleet: Fleet, { devices, tags }: Among, deviceId: DeviceId): boolean {
  return (
    (devices === undefined || devices.includes(deviceId)) &&
    (tags === undefined || fleet.hasTag(deviceId, tags))
  )
}
