import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Coverage } from '../../../ingest/coverage.ts'

const hourMs = 3600_000

describe('coverage', () => {
  test('has every instant that was added, in whatever order, and those between close ones at most', () => {
    const instants = fc.array(
      fc.integer({ min: 0, max: 100 }).map((i) => i * 20 * 60_000),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(instants, (added) => {
        const coverage = new Coverage()
        for (const at of added) coverage.add(at)

        const sorted = added.toSorted((a, b) => a - b)
        for (let at = -hourMs; at <= 36 * hourMs; at += 10 * 60_000) {
          const before = sorted.findLast((one) => one <= at)
          const after = sorted.find((one) => one >= at)
          const isBetween = before !== undefined && after !== undefined && after - before <= hourMs
          expect([at, coverage.has(at)]).toEqual([at, isBetween])
        }
      }),
    )
  })

  test('is too wide rather than too narrow when there are very many stretches', () => {
    const coverage = new Coverage()
    for (let i = 0; i < 3000; i++) coverage.add(i * 10 * hourMs)

    for (let i = 0; i < 3000; i++) expect(coverage.has(i * 10 * hourMs)).toBe(true)
    expect(coverage.has(-1)).toBe(false)
  })

  test('takes stretches as they are loaded', () => {
    const coverage = new Coverage()
    coverage.add(10 * hourMs, 12 * hourMs)
    coverage.add(0, hourMs)
    coverage.add(Number.NEGATIVE_INFINITY, -5 * hourMs)

    expect([-6, -4, 0.5, 5, 11, 13].map((hour) => coverage.has(hour * hourMs))).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
    ])
  })
})
