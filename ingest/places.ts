/**
 * Lots and assignments as provisioning tells them: which device counts for which lot, from when to when. Pure.
 * A device counts for one lot at a time; its next assignment ends the one before.
 */
import type { DeviceId, LotId } from '../core/contract/device.ts'
import type { Assignment, DatedCapacity, Lot } from '../core/contract/registry.ts'
import type { DeviceSpan } from './store/store.ts'

/** A stretch of time in which the same devices count for a lot; `toMs` exclusive. */
export interface Stretch {
  readonly fromMs: number
  readonly toMs: number
  readonly deviceIds: readonly DeviceId[]
}

interface Stay {
  readonly lotId: LotId
  readonly fromMs: number
  readonly toMs: number
}

export class Places {
  readonly #lots = new Map<LotId, Lot>()
  readonly #assignments = new Map<DeviceId, Assignment[]>()
  /** By lot; made when first asked for after a change. */
  #spans: Map<LotId, DeviceSpan[]> | undefined

  replace(lots: readonly Lot[], assignments: readonly Assignment[]): void {
    this.#lots.clear()
    this.#assignments.clear()
    for (const lot of lots) this.putLot(lot)
    for (const assignment of assignments) this.putAssignment(assignment)
  }

  putLot(lot: Lot): void {
    this.#lots.set(lot.lotId as LotId, lot) // the feed's schema has the same grammar
  }

  /** Replaces the one of the same device and `fromMs`. */
  putAssignment(assignment: Assignment): void {
    const deviceId = assignment.deviceId as DeviceId // as above
    const others = (this.#assignments.get(deviceId) ?? []).filter(
      ({ fromMs }) => fromMs !== assignment.fromMs,
    )
    this.#assignments.set(
      deviceId,
      [...others, assignment].sort((a, b) => a.fromMs - b.fromMs),
    )
    this.#spans = undefined
  }

  /** Everything, to be kept. */
  get all(): { readonly lots: readonly Lot[]; readonly assignments: readonly Assignment[] } {
    return { lots: [...this.#lots.values()], assignments: [...this.#assignments.values()].flat() }
  }

  lot(lotId: LotId): Lot | undefined {
    return this.#lots.get(lotId)
  }

  /** By identifier. */
  lots(): Lot[] {
    return [...this.#lots.values()].sort((a, b) => (a.lotId < b.lotId ? -1 : 1))
  }

  lotOf(deviceId: DeviceId, atMs: number): LotId | undefined {
    return this.#staysOf(deviceId).find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs)?.lotId
  }

  /** Which devices count for a lot between two instants, and when. */
  spansOf(lotId: LotId, fromMs: number, toMs: number): DeviceSpan[] {
    this.#spans ??= this.#makeSpans()
    return (this.#spans.get(lotId) ?? [])
      .map((span) => ({ ...span, fromMs: Math.max(span.fromMs, fromMs), toMs: Math.min(span.toMs, toMs) }))
      .filter((span) => span.fromMs < span.toMs)
  }

  /** The whole spans in which an instant lies. */
  spansAt(lotId: LotId, atMs: number): DeviceSpan[] {
    this.#spans ??= this.#makeSpans()
    return (this.#spans.get(lotId) ?? []).filter(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs)
  }

  #makeSpans(): Map<LotId, DeviceSpan[]> {
    const spans = new Map<LotId, DeviceSpan[]>()
    for (const deviceId of [...this.#assignments.keys()].sort()) {
      for (const { lotId, fromMs, toMs } of this.#staysOf(deviceId)) {
        const ofLot = spans.get(lotId) ?? []
        ofLot.push({ deviceId, fromMs, toMs })
        spans.set(lotId, ofLot)
      }
    }
    return spans
  }

  #staysOf(deviceId: DeviceId): Stay[] {
    const assignments = this.#assignments.get(deviceId) ?? []
    return assignments.map(({ lotId, fromMs, toMs }, i) => ({
      lotId: lotId as LotId, // as above
      fromMs,
      toMs: Math.min(toMs ?? Number.MAX_SAFE_INTEGER, assignments[i + 1]?.fromMs ?? Number.MAX_SAFE_INTEGER),
    }))
  }
}

/** Devices of all stretches of a lot together: thousands that came one after the other would make millions. */
export const stretchDevicesMax = 100_000

/**
 * Cuts time wherever a device of the lot begins or ends to count, and at other instants. Times without any device are
 * left out.
 * @returns undefined when that makes more than `devicesMax` devices in all stretches together
 */
export function stretchesOf(
  spans: readonly DeviceSpan[],
  cuts: readonly number[] = [],
  devicesMax = stretchDevicesMax,
): Stretch[] | undefined {
  const edges = [...new Set([...spans.flatMap(({ fromMs, toMs }) => [fromMs, toMs]), ...cuts])].sort(
    (a, b) => a - b,
  )
  const stretches: Stretch[] = []
  let devices = 0
  for (const [i, fromMs] of edges.entries()) {
    const toMs = edges[i + 1]
    if (toMs === undefined) break
    const deviceIds = spans
      .filter((span) => span.fromMs <= fromMs && fromMs < span.toMs)
      .map(({ deviceId }) => deviceId)
    devices += deviceIds.length
    if (devices > devicesMax) return undefined
    if (deviceIds.length > 0) stretches.push({ fromMs, toMs, deviceIds })
  }
  return stretches
}

/** The capacity that held at an instant: the last one dated not later. */
export function capacityAt(capacities: readonly DatedCapacity[], atMs: number): number | undefined {
  return capacities.findLast(({ fromMs }) => fromMs <= atMs)?.capacity
}
