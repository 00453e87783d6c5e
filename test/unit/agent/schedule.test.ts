import { describe, expect, it } from 'vitest'
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
