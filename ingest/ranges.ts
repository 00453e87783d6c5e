/**
 * Ranges of sequences with their outcome: sorted, disjoint, merged where neighbours agree. Pure.
 * An outcome that was settled stays, but for two that give way: `dropped` to anything, because a reading the device
 * believed lost may still have been on its way, and what was set aside to what was stored, because it was released.
 * So the order in which things become known does not matter.
 */
import type { Outcome } from '../core/contract/reading.ts'

/** Both ends inclusive. `reason` goes with `dropped`: the device's own word. */
export interface SequenceRange {
  readonly fromSeq: number
  readonly toSeq: number
  readonly outcome: Outcome
  readonly reason?: string | undefined
  /** Instants of the first and the last, Unix milliseconds, where they are known: both or neither. */
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
}

type Mutable = { -readonly [Key in keyof SequenceRange]: SequenceRange[Key] }

export class Ranges {
  readonly #ranges: Mutable[] = []

  get count(): number {
    return this.#ranges.length
  }

  /** The highest sequence with an outcome; -1 when there is none. */
  get lastSeq(): number {
    return this.#ranges.at(-1)?.toSeq ?? -1
  }

  [Symbol.iterator](): Iterator<SequenceRange> {
    return this.#ranges[Symbol.iterator]()
  }

  outcomeOf(seq: number): Outcome | undefined {
    if (seq > this.lastSeq) return undefined
    const range = this.#ranges[this.#firstEndingAt(seq)]
    return range !== undefined && range.fromSeq <= seq ? range.outcome : undefined
  }

  isProlongedBy(range: SequenceRange): boolean {
    const last = this.#ranges.at(-1)
    return last !== undefined && last.toSeq + 1 === range.fromSeq && agree(last, range)
  }

  /** Adds what became known; parts that have an outcome keep it, unless that gives way to this one. */
  add(added: SequenceRange): void {
    const last = this.#ranges.at(-1)
    if (last === undefined || added.fromSeq > last.toSeq) {
      // The usual case, once per reading: the next in order.
      if (last !== undefined && last.toSeq + 1 === added.fromSeq && agree(last, added)) prolong(last, added)
      else this.#ranges.push({ ...added })
      return
    }
    const start = this.#firstEndingAt(added.fromSeq)
    let end = start
    while (end < this.#ranges.length && (this.#ranges[end] as Mutable).fromSeq <= added.toSeq) end++ // in range
    const overlapped = this.#ranges.slice(start, end)
    this.#replace(start, end, cover(overlapped, added))
  }

  /** Ranges without any outcome between `fromSeq` and `toSeq`, both inclusive. */
  holes(fromSeq: number, toSeq: number): { fromSeq: number; toSeq: number }[] {
    const holes = []
    let next = fromSeq
    for (const range of this.#ranges) {
      if (range.fromSeq > toSeq) break
      if (range.fromSeq > next) holes.push({ fromSeq: next, toSeq: range.fromSeq - 1 })
      next = Math.max(next, range.toSeq + 1)
    }
    if (next <= toSeq) holes.push({ fromSeq: next, toSeq })
    return holes
  }

  /** Index of the first range that ends at `seq` or later. */
  #firstEndingAt(seq: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#ranges[middle] as Mutable).toSeq < seq)
        low = middle + 1 // middle < length
      else high = middle
    }
    return low
  }

  /** Puts `parts` in place of the ranges from `start` to before `end`, and merges with both neighbours. */
  #replace(start: number, end: number, parts: readonly Mutable[]): void {
    const before = start > 0 ? 1 : 0
    const after = end < this.#ranges.length ? 1 : 0
    const merged: Mutable[] = []
    const around = [
      ...this.#ranges.slice(start - before, start),
      ...parts,
      ...this.#ranges.slice(end, end + after),
    ]
    for (const part of around) {
      const last = merged.at(-1)
      if (last !== undefined && last.toSeq + 1 === part.fromSeq && agree(last, part)) prolong(last, part)
      else merged.push(part)
    }
    this.#ranges.splice(start - before, before + (end - start) + after, ...merged)
  }
}

function prolong(range: Mutable, by: SequenceRange): void {
  range.toSeq = by.toSeq
  if (by.toMs === undefined) return
  range.fromMs ??= by.fromMs
  range.toMs = by.toMs
}

/** A part of a range, with instants in proportion. */
function partOf(range: SequenceRange, fromSeq: number, toSeq: number): Mutable {
  if (range.fromMs === undefined || range.toMs === undefined) return { ...range, fromSeq, toSeq }
  const { fromMs, toMs } = range
  const perSeq = range.toSeq === range.fromSeq ? 0 : (toMs - fromMs) / (range.toSeq - range.fromSeq)
  const at = (seq: number) => Math.round(fromMs + (seq - range.fromSeq) * perSeq)
  return { ...range, fromSeq, toSeq, fromMs: at(fromSeq), toMs: at(toSeq) }
}

function agree(a: SequenceRange, b: SequenceRange): boolean {
  return a.outcome === b.outcome && a.reason === b.reason
}

/** What is there stays, and `added` fills the holes. */
function fill(there: readonly Mutable[], added: SequenceRange): Mutable[] {
  const parts: Mutable[] = []
  let next = added.fromSeq
  for (const range of there) {
    if (range.fromSeq > next) parts.push(partOf(added, next, range.fromSeq - 1))
    parts.push(range)
    next = range.toSeq + 1
  }
  if (next <= added.toSeq) parts.push(partOf(added, next, added.toSeq))
  return parts
}

/** What an outcome gives way to: any of a higher rank. */
const ranks: Readonly<Record<Outcome, number>> = {
  dropped: 0,
  conflict: 1,
  quarantined: 1,
  duplicate: 2,
  stored: 2,
}

/** As `fill`, and what gives way to `added` becomes it where the two meet. */
function cover(there: readonly Mutable[], added: SequenceRange): Mutable[] {
  const kept = there.flatMap((range) => {
    if (ranks[range.outcome] >= ranks[added.outcome]) return [range]
    const outside: Mutable[] = []
    if (range.fromSeq < added.fromSeq) outside.push({ ...range, toSeq: added.fromSeq - 1 })
    if (range.toSeq > added.toSeq) outside.push({ ...range, fromSeq: added.toSeq + 1 })
    return outside
  })
  const head = kept.filter((range) => range.toSeq < added.fromSeq)
  const tail = kept.filter((range) => range.fromSeq > added.toSeq)
  const inside = kept.filter((range) => range.toSeq >= added.fromSeq && range.fromSeq <= added.toSeq)
  return [...head, ...fill(inside, added), ...tail]
}
