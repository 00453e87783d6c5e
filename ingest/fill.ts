/**
 * Windows that nobody measured, filled from their neighbours, and marked: a filled value is an opinion, not a reading.
 * Sums and counts are not filled, nor is what comes before the first or after the last measured window in between. Pure.
 */
import type { LotWindow } from './series.ts'

export interface FilledWindow extends LotWindow {
  readonly filled: boolean
}

const values = ['mean', 'min', 'max', 'first', 'last', 'p95'] as const

/**
 * @param edges where windows start, and where the last one ends
 * @param untilMs nothing is known of what begins later
 */
export function fillWindows(
  windows: readonly LotWindow[],
  edges: readonly number[],
  { how, untilMs }: { how: 'previous' | 'linear'; untilMs: number },
): FilledWindow[] {
  const isKnown = (window: LotWindow | undefined) =>
    window !== undefined && values.some((name) => window[name] !== null)
  let before = -1
  let after = -1
  return windows.map((window, i) => {
    if (isKnown(window)) {
      before = i
      return { ...window, filled: false }
    }
    if (after <= i) after = windows.findIndex((other, at) => at > i && isKnown(other))
    const last = windows[before]
    const next = after < 0 ? undefined : windows[after]
    const startMs = edges[i] ?? 0
    if (last === undefined || startMs >= untilMs || (how === 'linear' && next === undefined))
      return { ...window, filled: false }
    const [lastMs, nextMs] = [edges[before] ?? 0, edges[after] ?? 0]
    const share = how === 'previous' || next === undefined ? 0 : (startMs - lastMs) / (nextMs - lastMs)
    const between = (a: number | null, b: number | null | undefined) =>
      a === null || share === 0 ? a : b === null || b === undefined ? null : a + (b - a) * share
    const filled = Object.fromEntries(values.map((name) => [name, between(last[name], next?.[name])]))
    return { ...window, ...filled, filled: true }
  })
}
