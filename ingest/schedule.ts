/**
 * How many readings a schedule asks for in a stretch of time: cron in UTC, by the same library that devices count with.
 * A day of UTC has the same ticks as every other day that the expression names, so that years are counted by days.
 */
import { createTask, parse, validate } from 'node-cron'
import type { ScheduleChange } from './store/store.ts'

const dayMs = 86_400_000
/** Schedules remembered; a fleet has a handful. */
const knownMax = 1000

interface Schedule {
  /** Ticks of a day that has any, in milliseconds from its start, ascending. */
  readonly offsets: readonly number[]
  isDay(day: number): boolean
}

export type CountTicks = (cron: string, fromMs: number, toMs: number) => number

/** @returns a function that remembers what it has parsed; ticks from `fromMs` on and before `toMs` */
export function createTickCounter(): CountTicks {
  const known = new Map<string, Schedule | undefined>()
  return (cron, fromMs, toMs) => {
    if (!known.has(cron)) {
      if (known.size >= knownMax) known.clear()
      known.set(cron, parseSchedule(cron))
    }
    const schedule = known.get(cron)
    return schedule === undefined ? 0 : countIn(schedule, fromMs, toMs)
  }
}

/**
 * Readings due in a stretch of time.
 * @param schedules of one device, in order of time
 * @returns null where no schedule is known in any of it
 */
export function expectedIn(
  schedules: readonly ScheduleChange[],
  { fromMs, toMs }: { fromMs: number; toMs: number },
  countTicks: CountTicks,
): number | null {
  let expected: number | null = null
  for (const [i, { sinceMs, cron }] of schedules.entries()) {
    const start = Math.max(fromMs, sinceMs)
    const end = Math.min(toMs, schedules[i + 1]?.sinceMs ?? Number.POSITIVE_INFINITY)
    if (start < end) expected = (expected ?? 0) + countTicks(cron, start, end)
  }
  return expected
}

/** Undefined for what is not a schedule: a status may say anything. */
function parseSchedule(cron: string): Schedule | undefined {
  if (!validate(cron)) return undefined
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = parse(cron)
  const offsets = hour
    .flatMap((h) => minute.flatMap((m) => second.map((s) => ((h * 60 + m) * 60 + s) * 1000)))
    .sort((a, b) => a - b)
  const [first = 0] = offsets
  if (dayOfMonth.length >= 31 && month.length >= 12 && dayOfWeek.length >= 7)
    return { offsets, isDay: () => true }
  // Which days an expression means is for the library to say; its task is never started.
  const task = createTask(cron, () => undefined, { timezone: 'UTC' })
  void task.destroy()
  const days = new Map<number, boolean>()
  return {
    offsets,
    isDay(day) {
      let isOne = days.get(day)
      if (isOne === undefined) {
        isOne = task.match(new Date(day * dayMs + first))
        days.set(day, isOne)
      }
      return isOne
    },
  }
}

function countIn({ offsets, isDay }: Schedule, fromMs: number, toMs: number): number {
  if (toMs <= fromMs) return 0
  const firstDay = Math.floor(fromMs / dayMs)
  const lastDay = Math.floor((toMs - 1) / dayMs)
  let count = 0
  for (let day = firstDay; day <= lastDay; day++) {
    if (!isDay(day)) continue
    const start = day === firstDay ? firstNotBefore(offsets, fromMs - day * dayMs) : 0
    const end = day === lastDay ? firstNotBefore(offsets, toMs - day * dayMs) : offsets.length
    count += end - start
  }
  return count
}

function firstNotBefore(offsets: readonly number[], offsetMs: number): number {
  let low = 0
  let high = offsets.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((offsets[middle] ?? 0) < offsetMs) low = middle + 1
    else high = middle
  }
  return low
}
