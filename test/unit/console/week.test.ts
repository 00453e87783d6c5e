import { describe, expect, it } from 'vitest'
import { hourOfWeek } from '../../../console/web/week.ts'

describe('an hour of the week', () => {
  it('is counted from Monday at midnight of the local time', () => {
    expect(hourOfWeek('2026-11-23T00:00:00+02:00')).toBe(0)
    expect(hourOfWeek('2026-11-29T23:00:00+02:00')).toBe(167)
  })
})
