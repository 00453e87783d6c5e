import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBackoff } from '../../../../core/runtime/backoff.ts'

const waits = (count: number, backoff: { next(): number }) =>
  Array.from({ length: count }, () => backoff.next())

describe('waiting before another try', () => {
  it('has a ceiling that doubles up to the longest wait', () => {
    const backoff = createBackoff({ minMs: 100, maxMs: 1000, random: () => 1 })
    expect(waits(6, backoff)).toEqual([100, 200, 400, 800, 1000, 1000])
  })

  it('may be anything from nothing to the ceiling, so that many do not come back together', () => {
    const randoms = [0, 0.5, 0.25]
    const backoff = createBackoff({ minMs: 100, maxMs: 1000, random: () => randoms.shift() ?? 1 })
    expect(waits(3, backoff)).toEqual([0, 100, 100])
  })

  it('starts over when things have gone well', () => {
    const backoff = createBackoff({ minMs: 100, maxMs: 1000, random: () => 1 })
    waits(4, backoff)
    backoff.reset()
    expect(waits(2, backoff)).toEqual([100, 200])
  })

  it('never leaves its bounds', () => {
    const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 50 })
    fc.assert(
      fc.property(draws, (list) => {
        const left = [...list]
        const backoff = createBackoff({ minMs: 50, maxMs: 3000, random: () => left.shift() ?? 0 })
        for (const waitMs of waits(list.length, backoff)) {
          expect(waitMs).toBeGreaterThanOrEqual(0)
          expect(waitMs).toBeLessThanOrEqual(3000)
        }
      }),
    )
  })
})
