import { describe, expect, it } from 'vitest'
import { createSimulatedSensor } from '../../../../agent/sensors/simulated.ts'
import { createTestClock, observeAll, ticksAt } from './clocks.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
const now = Date.UTC(2026, 10, 23, 12, 0, 30)
const sensor = createSimulatedSensor({
  seed: 1,
  capacity: 300,
  offsetMs: () => 0,
  historyDays: 7,
  historyEverySec: 300,
})
const instantsOf = (chunks: Awaited<ReturnType<typeof observeAll>>) =>
  chunks.flatMap(({ observations }) => observations.map(({ timestampMs }) => timestampMs))

describe('simulated sensor', () => {
  it('tells the past week first, in whole steps, then each tick', async () => {
    const clock = createTestClock(now)
    const instants = instantsOf(
      await observeAll(sensor, { clock, ticks: ticksAt(now + 30_000, now + 90_000) }),
    )
    expect(instants).toHaveLength(7 * 24 * 12 + 2)
    expect(instants[0]).toBeGreaterThan(now - 7 * dayMs)
    expect(instants.slice(0, 3).every((instant) => instant % (5 * minuteMs) === 0)).toBe(true)
    expect(instants.slice(-2)).toEqual([now + 30_000, now + 90_000])
  })

  it('goes on behind the position of the chunk that was kept last', async () => {
    const clock = createTestClock(now)
    const whole = await observeAll(sensor, { clock })
    for (const cut of [0, 2, whole.length - 1]) {
      const rest = await observeAll(sensor, { clock, position: whole[cut]?.position })
      expect(rest.flatMap(({ observations }) => observations)).toEqual(
        whole.slice(cut + 1).flatMap(({ observations }) => observations),
      )
    }
  })

  it('tells no more than a week after a longer absence', async () => {
    const clock = createTestClock(now)
    const instants = instantsOf(await observeAll(sensor, { clock, position: String(now - 30 * dayMs) }))
    expect(instants[0]).toBeGreaterThan(now - 7 * dayMs)
  })

  it('never tells an instant twice when the clock is set back', async () => {
    const clock = createTestClock(now - 3600_000)
    const ticks = ticksAt(now - 60_000, now, now + 60_000)
    const chunks = await observeAll(sensor, { clock, position: String(now), ticks })
    expect(instantsOf(chunks)).toEqual([now + 60_000])
  })
})
