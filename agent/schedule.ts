/** Ticks by a cron expression in UTC (node-cron), as a stream to wait on. Local time has hours that come twice or never. */
import { schedule, validate } from 'node-cron'

export function isSchedule(expression: string): boolean {
  return validate(expression)
}

/**
 * The instants a cron expression names, from now on, each later than the one before even when the clock is set back.
 * Whoever is late gets the newest tick: those before it have passed.
 */
export async function* createTicks(expression: string, signal: AbortSignal): AsyncGenerator<number> {
  let waiting: (() => void) | undefined
  let dueMs = Number.NEGATIVE_INFINITY
  let givenMs = Number.NEGATIVE_INFINITY
  const wake = () => waiting?.()
  const task = schedule(
    expression,
    ({ date }) => {
      dueMs = Math.floor(date.getTime() / 1000) * 1000
      wake()
    },
    { timezone: 'UTC', noOverlap: true, suppressMissedWarning: true },
  )
  signal.addEventListener('abort', wake)
  try {
    while (!signal.aborted) {
      if (dueMs > givenMs) {
        givenMs = dueMs
        yield dueMs
      } else {
        await new Promise<void>((resolve) => {
          waiting = resolve
        })
      }
    }
  } finally {
    signal.removeEventListener('abort', wake)
    await task.destroy()
  }
}
