/**
 * Which days are closed and which are open, as commits and questions need to know it: in memory, beside the tables that
 * say the same. A commit may bring a reading of a closed day, or of one that is being closed at this moment; both are
 * noticed here.
 */
import type { ClosedDay } from './store.ts'

export const dayMs = 86_400_000

/** `toMs` exclusive. */
export interface TimeRange {
  readonly fromMs: number
  readonly toMs: number
}

export function dayOf(timestampMs: number): number {
  return Math.floor(timestampMs / dayMs)
}

export class DayBook {
  readonly #closed = new Map<number, ClosedDay>()
  /** Days that have readings, or may have, and were never closed. */
  readonly #open = new Set<number>()
  /** Days that are being closed, and whether readings have come since that began. */
  readonly #closing = new Map<number, { isTouched: boolean }>()
  #moves = 0
  #moving: Promise<unknown> = Promise.resolve()
  /** An open day: nearly every reading is of the newest one, and needs no further look. */
  #usual: TimeRange = { fromMs: 0, toMs: 0 }

  constructor(closed: readonly ClosedDay[], open: readonly number[]) {
    for (const day of closed) this.put(day)
    for (const day of open) this.#open.add(day)
  }

  /** Oldest first. */
  get closed(): readonly ClosedDay[] {
    return [...this.#closed.values()].sort((a, b) => a.day - b.day)
  }

  /** Oldest first. */
  get open(): readonly number[] {
    return [...this.#open].sort((a, b) => a - b)
  }

  get(day: number): ClosedDay | undefined {
    return this.#closed.get(day)
  }

  put(record: ClosedDay): void {
    this.#closed.set(record.day, record)
    this.#open.delete(record.day)
  }

  /** A day begins to be closed: what comes from now on is not in it. */
  begin(day: number): void {
    this.#closing.set(day, { isTouched: false })
    this.#usual = { fromMs: 0, toMs: 0 }
  }

  /** @returns whether readings have come since `begin` */
  end(day: number): boolean {
    const isTouched = this.#closing.get(day)?.isTouched ?? false
    this.#closing.delete(day)
    return isTouched
  }

  /** Days among these instants of which nothing was known so far. */
  newAmong(timestampsMs: readonly number[]): number[] {
    return [...new Set(timestampsMs.map(dayOf))].filter(
      (day) => !this.#closed.has(day) && !this.#open.has(day),
    )
  }

  /** A commit is about to bring readings of these instants. @returns the closed days that it makes stale, as they are then */
  touch(timestampsMs: Iterable<number>): ClosedDay[] {
    const touched = new Set<number>()
    for (const timestampMs of timestampsMs)
      if (timestampMs < this.#usual.fromMs || timestampMs >= this.#usual.toMs) touched.add(dayOf(timestampMs))
    const stale: ClosedDay[] = []
    for (const day of touched) {
      const closing = this.#closing.get(day)
      if (closing !== undefined) closing.isTouched = true
      const record = this.#closed.get(day)
      if (record === undefined) this.#open.add(day)
      else if (!record.isStale) stale.push({ ...record, isStale: true })
      if (record === undefined && closing === undefined)
        this.#usual = { fromMs: day * dayMs, toMs: (day + 1) * dayMs }
    }
    return stale
  }

  /** Readings go from the table into a segment, or away; it is done when the promise is settled. */
  move<T>(done: Promise<T>): Promise<T> {
    this.#moves++
    this.#moving = done.catch(() => undefined) // whoever began it hears of it
    return done
  }

  /** Asks again when readings have moved meanwhile: a question that was planned before would look for them in the wrong place. */
  async steady<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#moving
      const before = this.#moves
      const answer = await ask()
      if (this.#moves === before) return answer
    }
  }

  /** Stretches of whole days between two instants of which rollups say all there is, oldest first: of days without readings, too. */
  rolledUp(fromMs: number, toMs: number): TimeRange[] {
    const first = Math.ceil(fromMs / dayMs)
    const end = Math.floor(toMs / dayMs)
    const stretches: TimeRange[] = []
    let start = first
    const stale = [...this.#closed.values()].filter(({ isStale }) => isStale).map(({ day }) => day)
    for (const day of [...this.#open, ...stale, end]
      .filter((at) => at >= first && at <= end)
      .sort((a, b) => a - b)) {
      if (day > start) stretches.push({ fromMs: start * dayMs, toMs: day * dayMs })
      start = Math.max(start, day + 1)
    }
    return stretches
  }

  /** Days between two instants whose readings are in their segment and not in the table, oldest first. */
  inSegments({ fromMs, toMs }: TimeRange): readonly ClosedDay[] {
    return this.closed.filter(
      ({ day, kept }) => kept === 'segment' && day * dayMs < toMs && (day + 1) * dayMs > fromMs,
    )
  }

  /** Whether the readings of this instant's day are nowhere any more. */
  isGone(timestampMs: number): boolean {
    return this.#closed.get(dayOf(timestampMs))?.kept === 'nothing'
  }
}

/** What is left of a range outside of some stretches in it, which are in order. */
export function without({ fromMs, toMs }: TimeRange, stretches: readonly TimeRange[]): TimeRange[] {
  const rest: TimeRange[] = []
  let start = fromMs
  for (const stretch of stretches) {
    if (stretch.fromMs > start) rest.push({ fromMs: start, toMs: stretch.fromMs })
    start = Math.max(start, stretch.toMs)
  }
  if (start < toMs) rest.push({ fromMs: start, toMs })
  return rest
}
