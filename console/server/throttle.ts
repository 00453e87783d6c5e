/**
 * Failed sign-ins: after a few, a name and an address have to wait, ever longer. Bounded: of too many names the oldest
 * are forgotten. Pure state; time is an argument.
 */
export interface ThrottleOptions {
  /** Failures that cost nothing. */
  readonly free: number
  readonly firstWaitMs: number
  readonly waitMsMax: number
  /** Failures are forgotten after so long without another. */
  readonly forgetMs: number
  readonly keysMax: number
}

interface Failures {
  readonly count: number
  readonly lastAtMs: number
}

export class Throttle {
  readonly #options: ThrottleOptions
  readonly #failures = new Map<string, Failures>()

  constructor(options: ThrottleOptions) {
    this.#options = options
  }

  /** How long until another attempt is heard; 0: now. */
  waitMs(key: string, nowMs: number): number {
    const known = this.#known(key, nowMs)
    const { free, firstWaitMs, waitMsMax } = this.#options
    if (known === undefined || known.count < free) return 0
    const waitMs = Math.min(waitMsMax, firstWaitMs * 2 ** Math.min(30, known.count - free))
    return Math.max(0, known.lastAtMs + waitMs - nowMs)
  }

  failed(key: string, nowMs: number): void {
    const count = (this.#known(key, nowMs)?.count ?? 0) + 1
    this.#failures.delete(key)
    this.#failures.set(key, { count, lastAtMs: nowMs })
    const [oldest] = this.#failures.keys()
    if (this.#failures.size > this.#options.keysMax && oldest !== undefined) this.#failures.delete(oldest)
  }

  succeeded(key: string): void {
    this.#failures.delete(key)
  }

  #known(key: string, nowMs: number): Failures | undefined {
    const known = this.#failures.get(key)
    return known === undefined || nowMs - known.lastAtMs > this.#options.forgetMs ? undefined : known
  }
}
