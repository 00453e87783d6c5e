/** The two clocks of a device: wall time, which others may set back, and monotonic time, which only grows. */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Unix milliseconds, whole. */
  nowMs(): number
  /** Milliseconds since some moment; never steps. Token life and time-outs are measured on it. */
  monotonicMs(): number
  /** Resolves when wall time has reached `atMs`, or when the signal is aborted. */
  until(atMs: number, signal: AbortSignal): Promise<void>
}

/** Wall time may be set while we wait, so it is looked at this often. It also keeps timers below setTimeout's 2^31 ms. */
const lookMs = 60_000

export function createSystemClock(): Clock {
  return {
    nowMs: Date.now,
    monotonicMs: () => performance.now(),
    async until(atMs, signal) {
      for (let waitMs = atMs - Date.now(); waitMs > 0 && !signal.aborted; waitMs = atMs - Date.now()) {
        await delay(Math.min(waitMs, lookMs), undefined, { signal }).catch(() => undefined) // aborted: the loop ends
      }
    },
  }
}
