/**
 * Windows of a lot from the windows of its devices. Pure, and the same for every store.
 *
 * A lot's time is cut wherever a device begins or ends to count for it (`Stretch`). Within a stretch the lot has the
 * sum of its devices: `mean` the sum of their means; `min`, `max`, `first`, `last` over the running sum; nothing
 * where one of them has nothing. A window across several stretches takes its mean from those that have one, by their length in it.
 */
import type { DeviceId } from '../core/contract/device.ts'
import type { Stretch } from './places.ts'
import type { SpanWindow, StoredReading } from './store/store.ts'

export interface LotWindow {
  readonly mean: number | null
  readonly min: number | null
  readonly max: number | null
  readonly first: number | null
  readonly last: number | null
  readonly count: number
}

type Extremes = Omit<LotWindow, 'mean' | 'count'>

/** What is known of one stretch. */
export interface MeasuredStretch extends Stretch {
  /** Of each device, in the order of `deviceIds`: its windows by number. */
  readonly devices: readonly ReadonlyMap<number, SpanWindow>[]
  /** With several devices: the running sum in each window, where it was asked for. */
  readonly sums?: ReadonlyMap<number, Extremes>
}

const nothing: Extremes = { min: null, max: null, first: null, last: null }

/** @param edges where windows start, and where the last one ends */
export function lotWindows(stretches: readonly MeasuredStretch[], edges: readonly number[]): LotWindow[] {
  return edges.slice(0, -1).map((fromMs, window) => {
    const toMs = edges[window + 1] ?? fromMs
    const parts = stretches
      .filter((stretch) => stretch.fromMs < toMs && fromMs < stretch.toMs)
      .map((stretch) =>
        partOf(stretch, window, Math.min(toMs, stretch.toMs) - Math.max(fromMs, stretch.fromMs)),
      )
    return combine(parts)
  })
}

interface Part {
  readonly lengthMs: number
  readonly mean: number | null
  readonly extremes: Extremes
  readonly count: number
}

function partOf(stretch: MeasuredStretch, window: number, lengthMs: number): Part {
  const cells = stretch.devices.map((windows) => windows.get(window))
  const count = cells.reduce((sum, cell) => sum + (cell?.count ?? 0), 0)
  const means = cells.map((cell) => (cell === undefined || cell.count === 0 ? null : cell.sum / cell.count))
  const mean = means.reduce<number | null>((sum, one) => (sum === null || one === null ? null : sum + one), 0)
  const extremes = cells.length === 1 ? (cells[0] ?? nothing) : (stretch.sums?.get(window) ?? nothing)
  return { lengthMs, mean, extremes, count }
}

function combine(parts: readonly Part[]): LotWindow {
  const known = parts.filter((part): part is Part & { mean: number } => part.mean !== null)
  const lengthMs = known.reduce((sum, part) => sum + part.lengthMs, 0)
  const [only] = known
  const pick = (of: keyof Extremes) =>
    parts.map(({ extremes }) => extremes[of]).filter((value): value is number => value !== null)
  return {
    // A single part as it is: weighing it would round.
    mean:
      known.length === 1 && only !== undefined
        ? only.mean
        : lengthMs === 0
          ? null
          : known.reduce((sum, { mean, lengthMs: ofPart }) => sum + (mean * ofPart) / lengthMs, 0),
    min: least(pick('min')),
    max: greatest(pick('max')),
    first: pick('first')[0] ?? null,
    last: pick('last').at(-1) ?? null,
    count: parts.reduce((sum, part) => sum + part.count, 0),
  }
}

function least(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.min(...values)
}

function greatest(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.max(...values)
}

/**
 * The running sum of several devices in each window: from the instant on at which each of them has counted in the
 * window, and not while one is silent.
 * @param readings of these devices, in order of time
 */
export function runningSums(
  readings: readonly Pick<StoredReading, 'deviceId' | 'reading'>[],
  deviceIds: readonly DeviceId[],
  edges: readonly number[],
): Map<number, Extremes> {
  const sums = new Map<number, Extremes>()
  const counts = new Map<DeviceId, number>()
  let window = 0
  for (const [i, { deviceId, reading }] of readings.entries()) {
    const { timestampMs, occupied } = reading
    while (timestampMs >= (edges[window + 1] ?? Number.POSITIVE_INFINITY)) {
      window++
      counts.clear()
    }
    if (occupied === null) counts.delete(deviceId)
    else counts.set(deviceId, occupied)
    // What happens at one instant counts together.
    if (readings[i + 1]?.reading.timestampMs === timestampMs || counts.size < deviceIds.length) continue
    let sum = 0
    for (const count of counts.values()) sum += count
    const { min, max, first } = sums.get(window) ?? nothing
    sums.set(window, {
      min: Math.min(min ?? sum, sum),
      max: Math.max(max ?? sum, sum),
      first: first ?? sum,
      last: sum,
    })
  }
  return sums
}
