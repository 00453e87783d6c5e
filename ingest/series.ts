/**
 * Windows of a lot from the windows of its devices. Pure, and the same for every store.
 *
 * A lot's time is cut wherever a device begins or ends to count for it, and where its capacity changes (`Stretch`).
 * Within a stretch the lot has the sum of its devices: `mean` and `sum` of theirs; `min`, `max`, `first`, `last`, `p95`
 * over the running sum; nothing where one of them has nothing. A window across several stretches takes its mean from
 * those that have one, by their length in it.
 */
import type { Metric } from '../core/contract/query.ts'
import type { Extremes, Folded } from './fold.ts'
import type { Stretch } from './places.ts'
import { quantile } from './quantile.ts'
import type { WindowsOfSpan } from './store/store.ts'

export interface LotWindow {
  readonly mean: number | null
  readonly min: number | null
  readonly max: number | null
  readonly first: number | null
  readonly last: number | null
  readonly sum: number | null
  readonly p95: number | null
  /** Readings with a count. */
  readonly count: number
}

/** What is known of one stretch. */
export interface MeasuredStretch extends Stretch {
  /** Of each device, in the order of `deviceIds`: its windows by number. */
  readonly devices: readonly WindowsOfSpan[]
  /** What single readings say, where they were read. */
  readonly folded?: Folded | undefined
  /** The lot's, where readings bring none. */
  readonly capacity?: number | undefined
}

const nobody: LotWindow = {
  mean: null,
  min: null,
  max: null,
  first: null,
  last: null,
  sum: null,
  p95: null,
  count: 0,
}
const nothing: Extremes = { min: null, max: null, first: null, last: null, samples: [] }

/** @param edges where windows start, and where the last one ends */
export function lotWindows(
  stretches: readonly MeasuredStretch[],
  edges: readonly number[],
  metric: Metric = 'occupied',
): LotWindow[] {
  const [stretch] = stretches
  if (stretch !== undefined && stretches.length === 1 && metric === 'occupied' && isPlain(stretch, edges))
    return plainWindows(stretch, edges.length - 1)
  return edges.slice(0, -1).map((fromMs, window) => {
    const toMs = edges[window + 1] ?? fromMs
    const parts = stretches
      .filter((stretch) => stretch.fromMs < toMs && fromMs < stretch.toMs)
      .map((stretch) => {
        const lengthMs = Math.min(toMs, stretch.toMs) - Math.max(fromMs, stretch.fromMs)
        return partOf(stretch, { window, lengthMs }, metric)
      })
    return combine(parts)
  })
}

/** Whether there is nothing to put together: one device, all of the time, and no single readings of it. */
function isPlain({ fromMs, toMs, devices, folded }: MeasuredStretch, edges: readonly number[]): boolean {
  return (
    devices.length === 1 &&
    folded === undefined &&
    fromMs <= (edges[0] ?? fromMs) &&
    toMs >= (edges.at(-1) ?? toMs)
  )
}

/** What the general way comes to then, a window as its device has it; most lots have one: 0.04 µs in place of 2.3. */
function plainWindows({ devices: [windows] }: MeasuredStretch, count: number): LotWindow[] {
  const lot: LotWindow[] = []
  for (let i = 0; i < count; i++) {
    const cell = windows?.get(i)
    if (cell === undefined || cell.count === 0) lot.push(nobody)
    else {
      const { sum, min, max, first, last } = cell
      lot.push({ mean: sum / cell.count, min, max, first, last, sum, p95: null, count: cell.count })
    }
  }
  return lot
}

interface Part {
  readonly lengthMs: number
  readonly mean: number | null
  readonly sum: number | null
  readonly extremes: Extremes
  readonly count: number
}

function partOf(
  stretch: MeasuredStretch,
  { window, lengthMs }: { window: number; lengthMs: number },
  metric: Metric,
): Part {
  const cells = stretch.devices.map((windows) => windows.get(window))
  const count = cells.reduce((sum, cell) => sum + (cell?.count ?? 0), 0)
  if (metric === 'entries' || metric === 'exits') {
    const sum = stretch.folded?.[metric].get(window) ?? null
    return { lengthMs, mean: null, sum, extremes: nothing, count }
  }
  const counted = cells.map((cell) => (cell === undefined || cell.count === 0 ? null : cell))
  const mean = total(counted.map((cell) => cell && cell.sum / cell.count))
  const single = cells.length === 1 ? cells[0] : undefined
  const folded = stretch.folded?.sums.get(window)
  const extremes: Extremes = folded ?? (single === undefined ? nothing : { ...single, samples: [] })
  const part = { lengthMs, mean, sum: total(counted.map((cell) => cell?.sum ?? null)), extremes, count }
  if (metric === 'occupied') return part
  const capacity = total(counted.map((cell) => cell?.capacity ?? null)) ?? stretch.capacity
  return capacity === undefined
    ? { ...part, mean: null, sum: null, extremes: nothing }
    : ofCapacity(part, capacity, metric)
}

/** Cars beyond the lines leave no space, and not less than none. */
function ofCapacity(part: Part, capacity: number, metric: 'free' | 'utilisation'): Part {
  const of = (value: number | null): number | null => {
    if (value === null) return null
    if (metric === 'free') return Math.max(0, capacity - value)
    return capacity === 0 ? null : (100 * value) / capacity
  }
  const { min, max, first, last, samples } = part.extremes
  // The most cars leave the least space.
  const [least, most] = metric === 'free' ? [max, min] : [min, max]
  const extremes = {
    min: of(least),
    max: of(most),
    first: of(first),
    last: of(last),
    samples: samples.map(of).filter((value) => value !== null),
  }
  return { ...part, mean: of(part.mean), sum: null, extremes }
}

function combine(parts: readonly Part[]): LotWindow {
  const [single] = parts
  if (single !== undefined && parts.length === 1) return alone(single)
  const known = parts.filter((part): part is Part & { mean: number } => part.mean !== null)
  const lengthMs = known.reduce((sum, part) => sum + part.lengthMs, 0)
  const [only] = known
  const pick = (of: 'min' | 'max' | 'first' | 'last') =>
    parts.map(({ extremes }) => extremes[of]).filter((value): value is number => value !== null)
  const sums = parts.map(({ sum }) => sum).filter((sum) => sum !== null)
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
    sum: sums.length === 0 ? null : sums.reduce((sum, one) => sum + one, 0),
    p95: quantile(
      parts.flatMap(({ extremes }) => extremes.samples),
      0.95,
    ),
    count: parts.reduce((sum, part) => sum + part.count, 0),
  }
}

/** A window within one stretch, which most are: as it is. */
function alone({ mean, sum, count, extremes }: Part): LotWindow {
  const { min, max, first, last, samples } = extremes
  return { mean, min, max, first, last, sum, p95: quantile(samples, 0.95), count }
}

/** Null where one is not there. */
function total(values: readonly (number | null)[]): number | null {
  if (values.length === 0) return null
  return values.reduce<number | null>((sum, one) => (sum === null || one === null ? null : sum + one), 0)
}

function least(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.min(...values)
}

function greatest(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.max(...values)
}
