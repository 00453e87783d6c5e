import { describe, expect, it } from 'vitest'
import { hourOfWeek, typicalWeek } from '../../../console/web/week.ts'

describe('the typical week', () => {
  it('begins on Monday at midnight of the local time', () => {
    expect(hourOfWeek('2026-11-23T00:00:00+02:00')).toBe(0)
    expect(hourOfWeek('2026-11-29T23:00:00+02:00')).toBe(167)
  })

  it('is made of the same hours of several weeks, and of nothing where nobody measured', () => {
    const rows = [10, 20, 30].map((mean, i) => ({
      start: `2026-11-${String(9 + 7 * i).padStart(2, '0')}T08:00:00Z`,
      mean,
    }))
    const week = typicalWeek([...rows, { start: '2026-11-09T09:00:00Z', mean: null }])
    expect(week).toHaveLength(168)
    expect(week[8]).toEqual({ weekday: 1, hour: 8, mean: 20, p10: 12, p90: 28 })
    expect(week[9]).toEqual({ weekday: 1, hour: 9, mean: null, p10: null, p90: null })
  })
})
