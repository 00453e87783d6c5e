/**
 * How often somebody failed of late, and how long the refusal waits for that. Pure: the clock is an argument.
 * What is counted, and who waits, is the brake's matter.
 */

export interface FailurePolicy {
  /** That many are answered at once: people mistype, and devices are set up in pairs of attempts. */
  readonly free: number
  /** The first delay after those; each further failure doubles it. */
  readonly firstMs: number
  readonly delayMsMax: number
  /** Without a failure for so long, all is forgotten. */
  readonly quietMs: number
  /** Names remembered; beyond it the one that failed longest ago is forgotten. */
  readonly namesMax: number
}

interface Failed {
  readonly count: number
  readonly atMs: number
}

export class Failures {
  readonly #policy: FailurePolicy
  /** In the order of the last failure, oldest first. */
  readonly #failed = new Map<string, Failed>()

  constructor(policy: FailurePolicy) {
    this.#policy = policy
  }

  get size(): number {
    return this.#failed.size
  }

  /**
   * Counts one failure.
   * @param nowMs of a clock that goes forward
   * @returns how long its refusal waits, milliseconds
   */
  note(name: string, nowMs: number): number {
    const { namesMax } = this.#policy
    const count = this.#countOf(name, nowMs) + 1
    this.#failed.delete(name)
    this.#failed.set(name, { count, atMs: nowMs })
    if (this.#failed.size > namesMax) {
      const [oldest] = this.#failed.keys()
      if (oldest !== undefined) this.#failed.delete(oldest)
    }
    return this.#delayOf(count)
  }

  /** Who succeeds was no guesser. */
  forget(name: string): void {
    this.#failed.delete(name)
  }

  #countOf(name: string, nowMs: number): number {
    const failed = this.#failed.get(name)
    return failed === undefined || nowMs - failed.atMs >= this.#policy.quietMs ? 0 : failed.count
  }

  #delayOf(count: number): number {
    const { free, firstMs, delayMsMax } = this.#policy
    if (count <= free) return 0
    // The exponent is held: 2 ** 1100 is no number any more.
    return Math.min(delayMsMax, firstMs * 2 ** Math.min(30, count - free - 1))
  }
}
