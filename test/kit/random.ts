/** Chance that can be had again: the same numbers from the same seed. */
import { setTimeout as delay } from 'node:timers/promises'

/** mulberry32. @returns numbers from 0 to below 1 */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Not to wait for anything: a fault comes, or ends, at any moment within `maxMs`, after `minMs`. */
export async function anyMoment(random: () => number, maxMs: number, minMs = 0): Promise<void> {
  await delay(minMs + random() * maxMs)
}
