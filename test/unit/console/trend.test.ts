import { describe, expect, it } from 'vitest'
import { type Point, trendOf, trendWords } from '../../../console/web/trend.ts'

const minute = 60_000
const nowMs = 100 * 60 * minute
/** A point each ten minutes, the last of them now. */
const points = (...values: (number | null)[]): Point[] =>
  values.map((value, i) => ({ atMs: nowMs - (values.length - 1 - i) * 10 * minute, value }))
const clock = (atMs: number) => `${(atMs - nowMs) / minute} min`

describe('the trend of a lot', () => {
  it('is filling, and says when it is full at this pace', () => {
    const trend = trendOf(points(40, 50, 60, 70), 100, nowMs)
    expect(trendWords(trend, clock)).toBe('filling, full ≈ 30 min')
  })

  it('says nothing of an hour that is far away', () => {
    expect(trendOf(points(0, 1, 2, 3), 1000, nowMs)).toEqual({ direction: 'steady' })
    expect(trendOf(points(0, 5, 10, 15), 1000, nowMs)).toEqual({ direction: 'filling' })
  })

  it('is emptying when it is', () => {
    expect(trendOf(points(90, 70, 50, 30), 100, nowMs).direction).toBe('emptying')
  })

  it('is not known from too little, from what is long ago, or from gaps', () => {
    expect(trendOf(points(1, 50), 100, nowMs).direction).toBe('unknown')
    expect(trendOf(points(10, 50, 90), 100, nowMs + 3 * 3_600_000).direction).toBe('unknown')
    expect(trendOf(points(10, null, null, 50), 100, nowMs).direction).toBe('unknown')
  })

  it('takes no gap for a zero', () => {
    expect(trendOf(points(50, 50, null, 50, 50), 100, nowMs).direction).toBe('steady')
  })

  it('is known without a capacity, and then never full', () => {
    expect(trendOf(points(10, 20, 30, 40), null, nowMs)).toEqual({ direction: 'filling' })
  })
})
