/**
 * The stretches of time in which a device may have readings in the store: outside of them nothing has to be looked up.
 * They may be too wide, never too narrow. Pure.
 */

/** Readings closer than this are one stretch. */
const gapMs = 3600_000
/** Stretches of a device; with more, those with the least between them become one. */
const stretchesMax = 1000

interface Stretch {
  fromMs: number
  /** Inclusive. */
  toMs: number
}

export class Coverage {
  /** In order, more than `gapMs` apart. */
  readonly #stretches: Stretch[] = []

  has(timestampMs: number): boolean {
    const last = this.#stretches.at(-1)
    // The usual case: newer than everything.
    if (last === undefined || timestampMs > last.toMs) return false
    const stretch = this.#stretches[this.#firstEndingAt(timestampMs)]
    return stretch !== undefined && stretch.fromMs <= timestampMs
  }

  add(fromMs: number, toMs = fromMs): void {
    const last = this.#stretches.at(-1)
    if (last !== undefined && fromMs >= last.fromMs && fromMs <= last.toMs + gapMs) {
      last.toMs = Math.max(last.toMs, toMs)
      return
    }
    const start = this.#firstEndingAt(fromMs - gapMs)
    let end = start
    const added = { fromMs, toMs }
    for (; end < this.#stretches.length; end++) {
      const stretch = this.#stretches[end] as Stretch // end < length
      if (stretch.fromMs > toMs + gapMs) break
      added.fromMs = Math.min(added.fromMs, stretch.fromMs)
      added.toMs = Math.max(added.toMs, stretch.toMs)
    }
    this.#stretches.splice(start, end - start, added)
    if (this.#stretches.length > stretchesMax) this.#joinNearest()
  }

  /** Index of the first stretch that ends at an instant or later. */
  #firstEndingAt(timestampMs: number): number {
    let low = 0
    let high = this.#stretches.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#stretches[middle] as Stretch).toMs < timestampMs)
        low = middle + 1 // middle < length
      else high = middle
    }
    return low
  }

  #joinNearest(): void {
    let nearest = 1
    let least = Number.POSITIVE_INFINITY
    for (let i = 1; i < this.#stretches.length; i++) {
      const gap = (this.#stretches[i] as Stretch).fromMs - (this.#stretches[i - 1] as Stretch).toMs // both in range
      if (gap >= least) continue
      nearest = i
      least = gap
    }
    const [first, second] = this.#stretches.slice(nearest - 1, nearest + 1)
    if (first === undefined || second === undefined) return
    this.#stretches.splice(nearest - 1, 2, { fromMs: first.fromMs, toMs: second.toMs })
  }
}
