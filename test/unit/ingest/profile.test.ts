import { expect, test } from 'vitest'
import { profileOf } from '../../../ingest/profile.ts'
import { Zone } from '../../../ingest/zone.ts'

test('a typical week has 168 hours, each from the same hour of other weeks, and null where nobody measured', () => {
  const monday9 = [10, 20, 60, null].map((mean) => ({ weekday: 1, hour: 9, mean }))

  const rows = profileOf('north', [...monday9, { weekday: 7, hour: 23, mean: 5 }])

  expect(rows).toHaveLength(168)
  expect(rows[9]).toEqual({ lotId: 'north', weekday: 1, hour: 9, mean: 30, p10: 12, p90: 52, hours: 3 })
  expect(rows[167]).toEqual({ lotId: 'north', weekday: 7, hour: 23, mean: 5, p10: 5, p90: 5, hours: 1 })
  expect(rows[0]).toEqual({ lotId: 'north', weekday: 1, hour: 0, mean: null, p10: null, p90: null, hours: 0 })
})

test.each([
  ['Europe/Berlin', '2026-03-29T00:30:00Z', { weekday: 7, hour: 1 }],
  ['Europe/Berlin', '2026-03-29T01:30:00Z', { weekday: 7, hour: 3 }],
  ['Europe/Berlin', '2026-10-25T00:30:00Z', { weekday: 7, hour: 2 }],
  ['Europe/Berlin', '2026-10-25T01:30:00Z', { weekday: 7, hour: 2 }],
  ['America/New_York', '2026-03-02T02:00:00Z', { weekday: 7, hour: 21 }],
  ['Asia/Kathmandu', '2026-03-01T18:30:00Z', { weekday: 1, hour: 0 }],
])('the hour of a week in %s at %s is the one that clocks show', (zone, at, expected) => {
  expect(new Zone(zone).hourOf(Date.parse(at))).toEqual(expected)
})
