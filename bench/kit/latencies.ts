/** Latencies in steps of 0.1 ms up to 10 s: counting one costs nothing, however many there are. */

const steps = 100_000

export class Latencies {
  readonly #counts = new Uint32Array(steps)
  #total = 0

  add(ms: number): void {
    const step = Math.min(steps - 1, Math.max(0, Math.floor(ms * 10)))
    this.#counts[step] = (this.#counts[step] as number) + 1 // step < steps
    this.#total++
  }

  clear(): void {
    this.#counts.fill(0)
    this.#total = 0
  }

  get total(): number {
    return this.#total
  }

  /** @param share 0 to 1 @returns milliseconds */
  percentile(share: number): number {
    let seen = 0
    for (let step = 0; step < steps; step++) {
      seen += this.#counts[step] as number // step < steps
      if (seen >= this.#total * share && seen > 0) return step / 10
    }
    return 0
  }
}
