/** Waiting before another try: exponential with full jitter, so that many who failed together do not come back together. */

export interface Backoff {
  /** The next wait in milliseconds, between 0 and a ceiling that doubles with each call. */
  next(): number
  /** Call when things have gone well for a while, not at the first success. */
  reset(): void
}

/** @param random uniform in [0, 1) */
export function createBackoff(options: { minMs: number; maxMs: number; random: () => number }): Backoff {
  let ceilingMs = options.minMs
  return {
    next() {
      const waitMs = Math.round(options.random() * ceilingMs)
      ceilingMs = Math.min(ceilingMs * 2, options.maxMs)
      return waitMs
    },
    reset() {
      ceilingMs = options.minMs
    },
  }
}
