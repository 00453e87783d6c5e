/** So many lines a second and no more, for events that strangers can cause. Pure. */
export class LineBudget {
  readonly #perSec: number
  #secondMs = Number.NEGATIVE_INFINITY
  #written = 0
  #leftOut = 0

  constructor(perSec: number) {
    this.#perSec = perSec
  }

  /** @returns how many lines were left out since the last one that was written; undefined: this one is left out too */
  take(nowMs: number): number | undefined {
    if (nowMs - this.#secondMs >= 1000 || nowMs < this.#secondMs) {
      this.#secondMs = nowMs
      this.#written = 0
    }
    if (this.#written >= this.#perSec) {
      this.#leftOut++
      return undefined
    }
    this.#written++
    const leftOut = this.#leftOut
    this.#leftOut = 0
    return leftOut
  }
}
