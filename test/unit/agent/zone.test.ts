import { describe, expect, it } from 'vitest'
import { createZone } from '../../../agent/zone.ts'

const london = createZone('Europe/London')
const iso = (timestampMs: number | undefined) =>
  timestampMs === undefined ? undefined : new Date(timestampMs).toISOString()

describe('zone', () => {
  it('reads local times on both sides of the end of daylight saving', () => {
    expect(iso(london.parse('2016-10-29 07:59:42'))).toBe('2016-10-29T06:59:42.000Z')
    expect(iso(london.parse('2016-10-30 00:59:59'))).toBe('2016-10-29T23:59:59.000Z')
    expect(iso(london.parse('2016-10-30 02:00:00'))).toBe('2016-10-30T02:00:00.000Z')
    expect(iso(london.parse('2016-10-31 07:59:42'))).toBe('2016-10-31T07:59:42.000Z')
  })

  it('takes an hour that comes twice as the earlier, and one that never comes as the later', () => {
    expect(iso(london.parse('2016-10-30 01:30'))).toBe('2016-10-30T00:30:00.000Z')
    expect(iso(london.parse('2016-03-27 01:30'))).toBe('2016-03-27T01:30:00.000Z')
  })

  it('believes an offset that a time brings along', () => {
    expect(iso(london.parse('2016-10-30T01:30:00Z'))).toBe('2016-10-30T01:30:00.000Z')
    expect(iso(london.parse('2016-10-30T01:30:00.250+05:30'))).toBe('2016-10-29T20:00:00.250Z')
  })

  it.each([
    '',
    'yesterday',
    '2016-02-30 10:00:00',
    '2016-10-04 25:00',
    '2016-10-04 10:00:60',
    '04/10/2016 10:00',
  ])('does not take %j for a time', (text) => expect(london.parse(text)).toBeUndefined())

  it('moves by weeks at the same time of day, whatever daylight saving does', () => {
    const before = london.parse('2016-10-25 09:00:00') ?? 0
    expect(london.addWeeks(before, 1)).toBe(london.parse('2016-11-01 09:00:00'))
    expect(london.addWeeks(before, -30)).toBe(london.parse('2016-03-29 09:00:00'))
  })

  it('knows how far to move so that now falls into the last week', () => {
    const last = london.parse('2016-12-19 16:30:00') ?? 0
    for (const now of ['2026-11-23T22:00:00Z', '2026-06-01T00:00:00Z', '2016-12-19T16:30:00Z']) {
      const moved = london.addWeeks(last, london.weeksToReach(last, Date.parse(now)))
      expect(moved).toBeGreaterThanOrEqual(Date.parse(now))
      expect(moved - Date.parse(now)).toBeLessThan(7 * 24 * 3600_000 + 3600_000)
    }
    expect(london.weeksToReach(last, last)).toBe(0)
  })

  it('knows its offset in summer and winter', () => {
    expect(london.offsetMs(Date.parse('2026-07-01T00:00:00Z'))).toBe(3600_000)
    expect(london.offsetMs(Date.parse('2026-01-01T00:00:00Z'))).toBe(0)
  })
})
