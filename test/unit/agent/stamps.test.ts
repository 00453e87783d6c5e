import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dateBoots, noStamps, type StampState, stampAt } from '../../../agent/stamps.ts'

const second = 1000
const noon = Date.UTC(2026, 10, 23, 12)

function stampsOf(instants: readonly number[], from: StampState = noStamps) {
  let state = from
  const stamps = instants.map((timestampMs) => {
    const given = stampAt(timestampMs, state)
    state = given.state
    return given.stampMs
  })
  return { stamps, state }
}

describe('a stamp', () => {
  it('is the instant itself, to the second, as long as time goes forward', () => {
    expect(stampsOf([noon, noon + 60_000, noon + 120_400]).stamps).toEqual([
      noon,
      noon + 60_000,
      noon + 120_000,
    ])
  })

  it('tells the same instants apart after the clock was set back, and stays within their second', () => {
    const ahead = stampsOf([noon, noon + 60_000, noon + 120_000])
    const back = stampsOf([noon, noon + 60_000, noon + 120_000, noon + 180_000], ahead.state)
    expect(back.stamps).toEqual([noon + 1, noon + 60_001, noon + 120_001, noon + 180_000])
    expect(stampsOf([noon], back.state).stamps).toEqual([noon + 2])
  })

  it('is never given twice, wherever the clock is set and however often', () => {
    const walk = fc.array(
      fc.oneof(
        { arbitrary: fc.integer({ min: 0, max: 3 }).map((n) => ({ by: n * second })), weight: 6 },
        { arbitrary: fc.integer({ min: -40, max: 40 }).map((n) => ({ by: n * second })), weight: 2 },
      ),
      { maxLength: 3000, size: 'max' },
    )
    fc.assert(
      fc.property(walk, (steps) => {
        let nowMs = noon
        const instants = steps.map(({ by }) => {
          nowMs += by
          return nowMs
        })
        const { stamps } = stampsOf(instants)
        expect(new Set(stamps).size).toBe(stamps.length)
      }),
      { numRuns: 200 },
    )
  })
})

describe('the boots of undated readings', () => {
  const now = { boot: 'now', sinceMs: 90_000, timestampMs: noon }

  it('are exact for the one that runs: its start is now less what it has run', () => {
    expect(dateBoots([{ boot: 'now', sinceMs: 30_000 }], now).get('now')).toEqual({
      atMs: noon - 90_000,
      isExact: true,
    })
  })

  it('are as late as they can have been for those before it, in their order', () => {
    const boots = dateBoots(
      [
        { boot: 'first', sinceMs: 600_000 },
        { boot: 'second', sinceMs: 60_000 },
      ],
      now,
    )
    expect(boots.get('second')).toEqual({ atMs: noon - 90_000 - 60_000, isExact: false })
    expect(boots.get('first')).toEqual({ atMs: noon - 90_000 - 60_000 - 600_000, isExact: false })
  })
})
