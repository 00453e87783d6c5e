/**
 * Days by the clock, in UTC (node-cron): every hour those that are over are closed and their segments go to the archive,
 * at night also those that readings have come for since; then retention takes out of the table what has been kept for
 * long enough, and, where there is an archive, only what that holds. One thing at a time: what fails is tried again at
 * the next hour, and holds up nothing else.
 */
import { join } from 'node:path'
import { schedule } from 'node-cron'
import { FleetError } from '../core/contract/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Archive } from './archive/archive.ts'
import type { ClosedDay, Days } from './store/store.ts'

export interface DayKeeperOptions {
  readonly days: Days
  readonly segmentsDir: string
  readonly closesAfterHours: number
  readonly archive?: Archive | undefined
  /** Absent: for ever. */
  readonly retentionDays?: number | undefined
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
  const { days, now, log, archive, retentionDays } = options
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

  /** What is there already was put there by a run that was cut off before it could say so. */
  async function put({ day, generation, file, bytes, sha256 }: ClosedDay, to: Archive): Promise<void> {
    const sum = { bytes, sha256 }
    if (!(await to.holds(file, sum))) {
      await to.put(file, join(options.segmentsDir, file), sum)
      if (!(await to.holds(file, sum)))
        throw new FleetError('archive.unavailable', `the archive does not hold ${file} after taking it`)
    }
    await days.setArchived(day, generation)
    log.info('day.archived', { day: nameOf(day), generation, bytes })
  }

  async function evict({ day }: ClosedDay): Promise<void> {
    const isEvicted = await days.evict(day, archive === undefined ? 'nothing' : 'segment')
    if (isEvicted) log.info('day.evicted', { day: nameOf(day), isArchived: archive !== undefined })
  }

  async function work(isNightly: boolean): Promise<void> {
    const firstOpen = Math.floor((now() - options.closesAfterHours * hourMs) / dayMs)
    const due = days.open().filter((day) => day < firstOpen)
    const stale = days.closed().filter(({ isStale, kept }) => isStale && isNightly && kept !== 'nothing')
    await each([...due, ...stale.map(({ day }) => day)], 'day.not_closed', close)
    if (archive !== undefined)
      await each(days.closed().filter(isToPut), 'day.not_archived', (day) => put(day, archive))
    if (!isNightly) return
    if (retentionDays !== undefined) {
      const firstKept = Math.floor(now() / dayMs) - retentionDays
      const over = days.closed().filter((day) => day.day < firstKept && isToEvict(day))
      await each(over, 'day.not_evicted', evict)
    }
    await each([now()], 'segments.not_swept', days.sweep)
  }

  function isToEvict({ kept, isStale, rows, archived, generation }: ClosedDay): boolean {
    return kept === 'table' && !isStale && rows > 0 && (archive === undefined || archived === generation)
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

function isToPut({ kept, isStale, rows, archived, generation }: ClosedDay): boolean {
  return kept !== 'nothing' && !isStale && rows > 0 && archived !== generation
}

function nameOf(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}
