/**
 * What single readings of a stretch say that sums of its devices do not: the running sum of several devices, its
 * quantiles, and the cars that came and went. Readings are taken one by one in order of time. Pure.
 */
import type { DeviceId, Epoch } from '../core/contract/device.ts'
import type { Stretch } from './places.ts'
import type { SpanWindow, StoredReading } from './store/store.ts'

export interface Extremes {
  readonly min: number | null
  readonly max: number | null
  readonly first: number | null
  readonly last: number | null
  /** Every value of the window, where quantiles are asked for. */
  readonly samples: readonly number[]
}

export interface Folded {
  /** The running sum in each window, where every device has counted in it. */
  readonly sums: ReadonlyMap<number, Extremes>
  /** Of each device, in the order of `deviceIds`, its windows. */
  readonly cells: readonly ReadonlyMap<number, SpanWindow>[]
  /** Cars in each window, where every device says. */
  readonly entries: ReadonlyMap<number, number>
  readonly exits: ReadonlyMap<number, number>
}

type Counter = 'entries' | 'exits'
type Totals = { readonly [Key in Counter]: number | undefined } & { readonly epoch: Epoch | undefined }

export class StretchFold {
  readonly #stretch: Stretch
  readonly #edges: readonly number[]
  readonly #keepsSamples: boolean
  readonly #sums = new Map<
    number,
    { min: number; max: number; first: number; last: number; samples: number[] }
  >()
  readonly #cells: Map<number, SpanWindow>[]
  readonly #flows: Record<Counter, Map<number, number>[]>
  readonly #totals = new Map<DeviceId, Totals>()
  #window = 0
  /** What each device counted last in this window; none while it is silent. */
  readonly #counts = new Map<DeviceId, number>()
  /** What happens at one instant counts together. */
  #pendingMs: number | undefined

  constructor(stretch: Stretch, edges: readonly number[], options: { keepsSamples: boolean }) {
    this.#stretch = stretch
    this.#edges = edges
    this.#keepsSamples = options.keepsSamples
    const each = () => stretch.deviceIds.map(() => new Map<number, number>())
    this.#cells = stretch.deviceIds.map(() => new Map())
    this.#flows = { entries: each(), exits: each() }
    this.#window = this.#windowAt(Math.max(stretch.fromMs, edges[0] ?? 0))
  }

  /** One before the first window is what cars are counted from, and nothing else. */
  add({ deviceId, reading, epoch }: Pick<StoredReading, 'deviceId' | 'reading' | 'epoch'>): void {
    const { timestampMs, occupied } = reading
    const device = this.#stretch.deviceIds.indexOf(deviceId)
    if (device < 0) return
    if (timestampMs >= (this.#edges[0] ?? 0) && timestampMs >= this.#stretch.fromMs) {
      if (this.#pendingMs !== undefined && this.#pendingMs !== timestampMs) this.#sample()
      while (timestampMs >= (this.#edges[this.#window + 1] ?? Number.POSITIVE_INFINITY)) {
        this.#window++
        this.#counts.clear()
      }
      if (occupied === null) this.#counts.delete(deviceId)
      else this.#counts.set(deviceId, occupied)
      this.#pendingMs = timestampMs
      this.#addToCell(device, reading)
      this.#flow(device, { reading, epoch })
    }
    this.#totals.set(deviceId, { entries: reading.entriesTotal, exits: reading.exitsTotal, epoch })
  }

  end(): Folded {
    if (this.#pendingMs !== undefined) this.#sample()
    this.#pendingMs = undefined
    return {
      sums: this.#sums,
      cells: this.#cells,
      entries: common(this.#flows.entries),
      exits: common(this.#flows.exits),
    }
  }

  #windowAt(atMs: number): number {
    const after = this.#edges.findIndex((edge) => edge > atMs)
    return Math.max(0, after < 0 ? this.#edges.length - 2 : after - 1)
  }

  /** The instant is over: the sum of all, when each of them has counted. */
  #sample(): void {
    if (this.#counts.size < this.#stretch.deviceIds.length) return
    let sum = 0
    for (const count of this.#counts.values()) sum += count
    const known = this.#sums.get(this.#window)
    if (known === undefined) {
      const samples = this.#keepsSamples ? [sum] : []
      this.#sums.set(this.#window, { min: sum, max: sum, first: sum, last: sum, samples })
      return
    }
    known.min = Math.min(known.min, sum)
    known.max = Math.max(known.max, sum)
    known.last = sum
    if (this.#keepsSamples) known.samples.push(sum)
  }

  #addToCell(device: number, { occupied, capacity }: StoredReading['reading']): void {
    const cells = this.#cells[device]
    const cell: SpanWindow = cells?.get(this.#window) ?? {
      span: device,
      window: this.#window,
      count: 0,
      silent: 0,
      sum: 0,
      min: null,
      max: null,
      first: null,
      last: null,
      late: 0,
      capacity: null,
    }
    const withCapacity = {
      ...cell,
      capacity: capacity === undefined ? cell.capacity : Math.max(cell.capacity ?? capacity, capacity),
    }
    cells?.set(
      this.#window,
      occupied === null
        ? { ...withCapacity, silent: cell.silent + 1 }
        : {
            ...withCapacity,
            count: cell.count + 1,
            sum: cell.sum + occupied,
            min: Math.min(cell.min ?? occupied, occupied),
            max: Math.max(cell.max ?? occupied, occupied),
            first: cell.first ?? occupied,
            last: occupied,
          },
    )
  }

  /** Totals count from the beginning of an epoch: what a new one shows came after the old one ended. */
  #flow(device: number, { reading, epoch }: Pick<StoredReading, 'reading' | 'epoch'>): void {
    const before = this.#totals.get(this.#stretch.deviceIds[device] as DeviceId) // in range
    if (before === undefined) return
    for (const [counter, total] of [
      ['entries', reading.entriesTotal],
      ['exits', reading.exitsTotal],
    ] as const) {
      const last = before.epoch === epoch ? before[counter] : 0
      if (total === undefined || last === undefined || total < last) continue
      const flows = this.#flows[counter][device]
      flows?.set(this.#window, (flows.get(this.#window) ?? 0) + total - last)
    }
  }
}

/** Sums of windows that every device has. */
function common(devices: readonly ReadonlyMap<number, number>[]): Map<number, number> {
  const sums = new Map<number, number>()
  const [first, ...others] = devices
  for (const [window, value] of first ?? []) {
    const rest = others.map((other) => other.get(window))
    if (rest.every((one) => one !== undefined))
      sums.set(
        window,
        rest.reduce((sum, one) => sum + one, value),
      )
  }
  return sums
}
