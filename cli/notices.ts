/** Which warnings of a running system are shown: each once in a while, and of one kind only so many; the rest is counted. Pure. */
import type { ShownLine } from './log-line.ts'

const windowMs = 10_000
const perKindMax = 5

interface Kind {
  readonly sinceMs: number
  readonly shown: Set<string>
  readonly hidden: Set<string>
}

export class Notices {
  readonly #kinds = new Map<string, Kind>()

  /** @returns whether to show it: not when the same was said lately, nor when much of its kind was */
  take({ kind, key }: Pick<ShownLine, 'kind' | 'key'>, nowMs: number): boolean {
    let seen = this.#kinds.get(kind)
    if (seen === undefined) {
      seen = { sinceMs: nowMs, shown: new Set(), hidden: new Set() }
      this.#kinds.set(kind, seen)
    }
    if (seen.shown.has(key)) return false
    const isShown = seen.shown.size < perKindMax
    seen[isShown ? 'shown' : 'hidden'].add(key)
    return isShown
  }

  /** Ends what is over. @returns of each kind that had more than was shown, how many */
  ended(nowMs: number): readonly { kind: string; more: number }[] {
    const over = [...this.#kinds].filter(([, { sinceMs }]) => nowMs >= sinceMs + windowMs)
    for (const [kind] of over) this.#kinds.delete(kind)
    return over.map(([kind, { hidden }]) => ({ kind, more: hidden.size })).filter(({ more }) => more > 0)
  }
}
