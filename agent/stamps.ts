/**
 * Time stamps for readings of a device that counts before it knows the time and whose clock may be set back.
 * A device has one reading at an instant, so no stamp is given twice; what was taken before the time was known is dated
 * by the time since boot. Of what the sensors saw nothing is known here.
 */

/** What must be remembered with the readings it was given to. */
export interface StampState {
  /** The second of the last stamp. */
  readonly lastMs: number
  /** No stamp was given in a second after this one. */
  readonly highestMs: number
  /** How often time went back. */
  readonly steps: number
}

export const noStamps: StampState = { lastMs: 0, highestMs: 0, steps: 0 }

const secondMs = 1000

/**
 * The stamp for an instant, to the second: the instant itself as long as time goes forward. In time that comes again
 * after the clock went back, each time back has a millisecond of its own within the seconds, which tells the same
 * instants apart and stays true; after a thousand of them, stamps follow the latest that was given.
 */
export function stampAt(timestampMs: number, state: StampState): { stampMs: number; state: StampState } {
  const second = Math.round(timestampMs / secondMs) * secondMs
  const steps = second <= state.lastMs ? state.steps + 1 : state.steps
  if (second > state.highestMs)
    return { stampMs: second, state: { lastMs: second, highestMs: second, steps } }
  if (steps < secondMs) return { stampMs: second + steps, state: { ...state, lastMs: second, steps } }
  const next = state.highestMs + secondMs
  return { stampMs: next, state: { lastMs: next, highestMs: next, steps: state.steps } }
}

/** When a reading was taken, by a device that does not know the time: so long after a boot of that name. */
export interface SinceBoot {
  readonly boot: string
  readonly sinceMs: number
}

/** What is known of a boot once the time is known. */
export interface DatedBoot {
  /** Unix time of its start. */
  readonly atMs: number
  /** It is the boot in which the clock was set: its readings are as exact as the clock. */
  readonly isExact: boolean
}

/**
 * When the boots of undated readings began. The one that runs is exact. Of one before it there is only the order: it
 * is taken to have ended with its last reading right where the next boot began, the latest it can have been.
 * @param undated the last reading of each boot, oldest boot first
 * @param now how long the present boot has run, and what time it is
 */
export function dateBoots(
  undated: readonly SinceBoot[],
  now: SinceBoot & { readonly timestampMs: number },
): ReadonlyMap<string, DatedBoot> {
  let startMs = now.timestampMs - now.sinceMs
  const boots = new Map([[now.boot, { atMs: startMs, isExact: true }]])
  for (const { boot, sinceMs } of [...undated].reverse()) {
    if (boot === now.boot) continue
    startMs -= sinceMs
    boots.set(boot, { atMs: startMs, isExact: false })
  }
  return boots
}
