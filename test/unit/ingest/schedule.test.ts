import fc from 'fast-check'
import { createTask } from 'node-cron'
import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import { createTickCounter, expectedIn } from '../../../ingest/schedule.ts'

const a = 'a' as DeviceId
const countTicks = createTickCounter()
const startMs = Date.UTC(2026, 1, 27)
const minuteMs = 60_000

describe('ticks of a schedule', () => {
  test.each([
    '* * * * *',
    '*/5 * * * *',
    '0 7-19 * * 1-5',
    '30 6 1 * *',
    '0 12 L * *',
    '0 0 1 * 1',
    '15 3 * 3 *',
  ])('are those that the library itself names: %s', (cron) => {
    const task = createTask(cron, () => undefined, { timezone: 'UTC' })
    void task.destroy()
    const minutes = fc.nat(6 * 1440)
    fc.assert(
      fc.property(minutes, minutes, (from, length) => {
        const range = [startMs + from * minuteMs, startMs + (from + (length % 500)) * minuteMs] as const
        let ticks = 0
        for (let atMs = range[0]; atMs < range[1]; atMs += minuteMs) if (task.match(new Date(atMs))) ticks++

        expect(countTicks(cron, ...range)).toBe(ticks)
      }),
      { numRuns: 20 },
    )
  })

  test('of seconds are counted, and both ends are exact', () => {
    expect(countTicks('*/10 * * * * *', startMs, startMs + minuteMs)).toBe(6)
    expect(countTicks('*/10 * * * * *', startMs + 1, startMs + minuteMs + 1)).toBe(6)
    expect(countTicks('* * * * *', startMs, startMs)).toBe(0)
  })

  test('of years are counted at once', () => {
    expect(countTicks('* * * * *', Date.UTC(2020, 0, 1), Date.UTC(2026, 0, 1))).toBe(2192 * 1440)
  })

  test('of what is no schedule are none', () => {
    expect(countTicks('every now and then', startMs, startMs + minuteMs)).toBe(0)
  })
})

describe('what is to be expected', () => {
  const schedules = [
    { deviceId: a, sinceMs: startMs, cron: '* * * * *' },
    { deviceId: a, sinceMs: startMs + 10 * minuteMs, cron: '*/5 * * * *' },
  ]
  const inMinutes = (from: number, to: number) =>
    expectedIn(schedules, { fromMs: startMs + from * minuteMs, toMs: startMs + to * minuteMs }, countTicks)

  test('follows the schedule that held then', () => {
    expect([inMinutes(0, 10), inMinutes(10, 20), inMinutes(5, 20)]).toEqual([10, 2, 7])
  })

  test('is not known before the first one, which is another matter than nothing', () => {
    expect([inMinutes(-20, -10), inMinutes(-5, 5), inMinutes(11, 12)]).toEqual([null, 5, 0])
    expect(expectedIn([], { fromMs: 0, toMs: 1 }, countTicks)).toBeNull()
  })
})
