/**
 * Days by the clock, in UTC (node-cron): every hour those that are over are closed, at night also those that readings
 * have come for since. One thing at a time: what fails is tried again at the next hour, and holds up nothing else.
 */
import { schedule } from 'node-cron'
import type { Log } from '../core/runtime/log.ts'
import type { Days } from './store/store.ts'

export interface DayKeeperOptions {
  readonly days: Days
  readonly closesAfterHours: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly log: Log
}

export interface DayKeeper {
  /** Does what is due. @param isNightly also closes again what has become stale */
  run(isNightly: boolean): Promise<void>
  /** Stops the clock, and resolves when nothing is under way any more. */
  stop(): Promise<void>
}

const hourMs = 3600_000
const dayMs = 24 * hourMs
/** At odd minutes, when nobody else begins something. */
const hourly = '19 0-2,4-23 * * *'
const nightly = '19 3 * * *'

export function startDayKeeper(options: DayKeeperOptions): DayKeeper {
  const { days, now, log } = options
  let isStopping = false
  let running: Promise<void> | undefined

  /** One step for each; a step that fails leaves the others alone. */
  async function each<Item>(items: readonly Item[], event: string, step: (item: Item) => Promise<void>) {
    for (const item of items) {
      if (isStopping) return
      await step(item).catch((error: unknown) => log.warn(event, { error }))
    }
  }

  async function close(day: number): Promise<void> {
    const { generation, rows, bytes, isStale } = await days.close(day)
    log.info('day.closed', { day: nameOf(day), generation, rows, bytes, isStale })
  }

  async function work(isNightly: boolean): Promise<void> {
    const firstOpen = Math.floor((now() - options.closesAfterHours * hourMs) / dayMs)
    const due = days.open().filter((day) => day < firstOpen)
    const stale = days.closed().filter(({ isStale }) => isStale && isNightly)
    await each([...due, ...stale.map(({ day }) => day)], 'day.not_closed', close)
    if (isNightly) await each([now()], 'segments.not_swept', days.sweep)
  }

  async function run(isNightly: boolean): Promise<void> {
    while (running !== undefined) await running
    running = work(isNightly)
    await running.finally(() => {
      running = undefined
    })
  }

  const tasks = [
    [hourly, false],
    [nightly, true],
  ].map(([at, isNightly]) =>
    schedule(String(at), () => run(isNightly === true), {
      timezone: 'UTC',
      noOverlap: true,
      suppressMissedWarning: true,
    }),
  )
  return {
    run,
    async stop() {
      isStopping = true
      for (const task of tasks) await task.destroy()
      await running
    },
  }
}

function nameOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}
