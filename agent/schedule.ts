/**
 * Ticks by a cron expression in UTC (node-cron), as a stream to wait on. Local time has hours that come twice or never.
 * node-cron names the instants and is not let wait for them: it would go through every minute since 1970 once the
 * clock is set right, and be silent for two hours after it was set back by two.
 */
import { createTask, validate } from 'node-cron'

export function isSchedule(expression: string): boolean {
  return validate(expression)
}

/** The clock may be set while we wait, so it is looked at this often. */
const lookMs = 5000
/** A tick that comes later than this is passed over: whoever was busy gets the next one. */
const lateMsMax = 1000

/**
 * The instants a cron expression names, each when the clock reaches it. They ascend until the clock is set back; then
 * they come again, since whoever counts does not stop for that.
 */
export async function* createTicks(expression: string, signal: AbortSignal): AsyncGenerator<number> {
  const task = createTask(expression, () => undefined, { timezone: 'UTC' })
  const nextAfterNow = () => task.getNextRuns(1)[0]?.getTime() ?? Number.POSITIVE_INFINITY
  let wake: (() => void) | undefined
  const onAbort = () => wake?.()
  signal.addEventListener('abort', onAbort)
  const wait = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  try {
    let dueMs = nextAfterNow()
    let lookedMs = Date.now()
    while (!signal.aborted) {
      const nowMs = Date.now()
      if (nowMs < lookedMs || nowMs - dueMs > lateMsMax) dueMs = nextAfterNow()
      lookedMs = nowMs
      if (nowMs >= dueMs) {
        const tickMs = dueMs
        // Before the sensor takes its time: one that needs a little longer than a second misses few.
        dueMs = nextAfterNow()
        yield tickMs
      } else {
        await wait(Math.min(dueMs - nowMs, lookMs))
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    await task.destroy()
  }
}
