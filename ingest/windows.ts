/**
 * Windows of time: minutes and hours of elapsed time, days and weeks of a zone's calendar, one after the other from
 * the start of the question to its end.
 *
 * They are kept as runs of windows of equal length: one run for elapsed time, and for a calendar a new one wherever
 * a day is shorter or longer than the one before, which is when clocks are changed. So a store finds the window of
 * an instant by a division, whatever the zone.
 */
import { type TimeUnit, unitMs, type Zone } from './zone.ts'

/** `count` windows of `stepMs`, the first from `fromMs` on, numbered from `index`. */
export interface WindowRun {
  readonly index: number
  readonly fromMs: number
  readonly stepMs: number
  readonly count: number
}

export interface Every {
  readonly count: number
  readonly unit: TimeUnit
}

export interface Windows {
  readonly runs: readonly WindowRun[]
  /** Where each window starts, and at the end where the last one ends: at the end of the question, full or not. */
  readonly edges: readonly number[]
}

/** What `auto` chooses from, with their usual length. */
const autoSteps: readonly (readonly [Every, number])[] = [
  [{ count: 1, unit: 'm' }, 60_000],
  [{ count: 5, unit: 'm' }, 300_000],
  [{ count: 15, unit: 'm' }, 900_000],
  [{ count: 1, unit: 'h' }, 3600_000],
  [{ count: 6, unit: 'h' }, 6 * 3600_000],
  [{ count: 1, unit: 'd' }, 86_400_000],
  [{ count: 1, unit: 'w' }, 7 * 86_400_000],
]
/** As many as a chart has room for. */
const autoWindowsMax = 400

/** @param text already of the pattern `everyPattern` */
export function parseEvery(text: string, range: { fromMs: number; toMs: number }): Every {
  if (text === 'auto') {
    const lengthMs = range.toMs - range.fromMs
    const fits = autoSteps.find(([, stepMs]) => lengthMs <= stepMs * autoWindowsMax)
    return fits?.[0] ?? { count: Math.ceil(lengthMs / (7 * 86_400_000 * autoWindowsMax)), unit: 'w' }
  }
  return { count: Number(text.slice(0, -1)), unit: text.slice(-1) as TimeUnit } // as the pattern has it
}

export function everyText({ count, unit }: Every): string {
  return `${count}${unit}`
}

/**
 * Where the clock begins the window that an instant lies in: a quarter of an hour at :00, :15, :30 and :45, six hours at
 * midnight. Windows that do not fill a day, such as seven minutes, have no such places and begin with their unit.
 */
export function startOfWindow({ count, unit }: Every, atMs: number, zone: Zone): number {
  const startMs = zone.startOf(unit, atMs)
  if (unit === 'd' || unit === 'w') return startMs
  const stepMs = count * unitMs[unit]
  if ((24 * unitMs.h) % stepMs !== 0) return startMs
  const midnightMs = zone.startOf('d', atMs)
  return midnightMs + Math.floor((atMs - midnightMs) / stepMs) * stepMs
}

/** @returns undefined when there would be more than `windowsMax` */
export function windowsOf(
  question: { fromMs: number; toMs: number; every: Every; zone: Zone },
  windowsMax: number,
): Windows | undefined {
  const { fromMs, toMs, every, zone } = question
  const edges = [fromMs]
  for (let i = 1; (edges.at(-1) ?? toMs) < toMs; i++) {
    if (i > windowsMax) return undefined
    // From the start each time: adding a month of days one by one would carry a skipped hour along.
    edges.push(zone.add(fromMs, i * every.count, every.unit))
  }
  const runs = runsOf(edges)
  if (edges.length > 1) edges[edges.length - 1] = toMs
  return { runs, edges }
}

function runsOf(edges: readonly number[]): WindowRun[] {
  const runs: { -readonly [Key in keyof WindowRun]: WindowRun[Key] }[] = []
  for (const [index, fromMs] of edges.slice(0, -1).entries()) {
    const stepMs = (edges[index + 1] ?? fromMs) - fromMs
    const run = runs.at(-1)
    if (run !== undefined && run.stepMs === stepMs) run.count++
    else runs.push({ index, fromMs, stepMs, count: 1 })
  }
  return runs
}
