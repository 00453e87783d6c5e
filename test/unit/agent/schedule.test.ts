import { afterEach, describe, expect, it, vi } from 'vitest'
import { createTicks, isSchedule } from '../../../agent/schedule.ts'

describe('schedule', () => {
  it('ticks at the instants its expression names, each once, until it is stopped', async () => {
    const stop = new AbortController()
    const instants: number[] = []
    for await (const tickMs of createTicks('* * * * * *', stop.signal)) {
      expect(Math.abs(Date.now() - tickMs)).toBeLessThan(1000)
      instants.push(tickMs)
      if (instants.length === 2) stop.abort()
    }
    const [first = 0, second = 0] = instants
    expect(first % 1000).toBe(0)
    expect(second).toBeGreaterThan(first)
    expect(instants).toHaveLength(2)
  })

  it('ends when it is stopped while nobody has a tick to wait for', async () => {
    const stop = new AbortController()
    const ticks = createTicks('0 0 1 1 *', stop.signal)
    const next = ticks.next()
    stop.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })

  it('knows what is a cron expression', () => {
    expect(isSchedule('*/5 * * * *')).toBe(true)
    expect(isSchedule('every minute')).toBe(false)
  })
})

describe('a schedule whose clock is set', () => {
  afterEach(() => vi.useRealTimers())

  /** The ticks of each minute, on a clock that the test has in hand. */
  function started(atMs: number) {
    vi.useFakeTimers({ now: atMs, toFake: ['Date', 'setTimeout', 'clearTimeout'] })
    const stop = new AbortController()
    const ticks: number[] = []
    const done = (async () => {
      for await (const tickMs of createTicks('* * * * *', stop.signal)) ticks.push(tickMs)
    })()
    const end = () => {
      stop.abort()
      return done
    }
    return { ticks, end }
  }
  const noon = Date.UTC(2026, 10, 23, 12)
  const minute = 60_000

  it('goes on within the minute when it was two hours ahead', async () => {
    const { ticks, end } = started(noon + 1)
    await vi.advanceTimersByTimeAsync(2 * minute)
    vi.setSystemTime(noon - 120 * minute + 1)
    await vi.advanceTimersByTimeAsync(2 * minute)
    expect(ticks).toEqual([noon + minute, noon + 2 * minute, noon - 119 * minute, noon - 118 * minute])
    await end()
  })

  it('goes on from now, and not through all minutes since then, when it was in the past', async () => {
    const { ticks, end } = started(1)
    await vi.advanceTimersByTimeAsync(minute)
    vi.setSystemTime(noon + 1)
    await vi.advanceTimersByTimeAsync(minute)
    expect(ticks).toEqual([minute, noon + minute])
    await end()
  })
})
