/** So many at a time, in the order in which they came; the others wait. Pure: what a turn is for is the caller's. */
export class Turns {
  readonly #max: number
  readonly #waiting: (() => void)[] = []
  #taken = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Resolves when it is one's turn. @returns what ends the turn; to be called once */
  async take(): Promise<() => void> {
    if (this.#taken < this.#max) this.#taken++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return () => {
      const next = this.#waiting.shift()
      // A turn that is handed on stays taken.
      if (next === undefined) this.#taken--
      else next()
    }
  }
}
