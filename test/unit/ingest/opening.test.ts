import { describe, expect, test } from 'vitest'
import { isOpenAt, openingOf } from '../../../ingest/opening.ts'

const hourMs = 3600_000
const openingHours = 'Mo-Sa 06:30-22:00'

/** Minutes in which it is open, by hours of UTC. */
function openMinutes(zone: string, date: string): number[] {
  const opening = openingOf({ openingHours, zone })
  return Array.from({ length: 24 }, (_, hour) => {
    const fromMs = Date.parse(`${date}T00:00:00Z`) + hour * hourMs
    return opening.openMsIn(fromMs, fromMs + hourMs) / 60_000
  })
}

/** Of a day of UTC: closed before and after, half of the first hour, then open. */
const between = (first: number, last: number) =>
  Array.from({ length: 24 }, (_, hour) => (hour < first || hour >= last ? 0 : hour === first ? 30 : 60))

describe('a lot is open by its own clocks', () => {
  test.each([
    ['Europe/Athens', '2026-03-28', between(4, 20)],
    // A Monday, after the Sunday on which clocks are put forward.
    ['Europe/Athens', '2026-03-30', between(3, 19)],
    ['Europe/Athens', '2026-10-24', between(3, 19)],
    ['Europe/Athens', '2026-10-26', between(4, 20)],
    ['Europe/Athens', '2026-10-25', Array.from({ length: 24 }, () => 0)],
    [
      'America/Anchorage',
      '2026-07-01',
      [...between(14, 24).map((minutes, hour) => (hour < 6 ? 60 : minutes))],
    ],
    // Half an hour off the hours of UTC.
    [
      'Asia/Kolkata',
      '2026-07-01',
      Array.from({ length: 24 }, (_, hour) => (hour === 16 ? 30 : hour >= 1 && hour < 16 ? 60 : 0)),
    ],
  ])('in %s on %s', (zone, date, expected) => {
    expect(openMinutes(zone, date)).toEqual(expected)
  })

  test('always, where it has no hours', () => {
    expect(openingOf({}).openMsIn(0, hourMs)).toBe(hourMs)
    expect(isOpenAt({ zone: 'Europe/Athens' }, 0)).toBe(true)
  })

  test('at this minute, or not', () => {
    const lot = { openingHours, zone: 'Europe/Athens' }
    const at = (time: string) => isOpenAt(lot, Date.parse(`2026-03-30T${time}+03:00`))
    expect([at('06:29:59'), at('06:30:00'), at('21:59:59'), at('22:00:00')]).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  test('and as far as nobody understands its hours', () => {
    expect(isOpenAt({ openingHours: 'when we like', zone: 'Europe/Athens' }, 0)).toBe(true)
    expect(() => openingOf({ openingHours: 'when we like', zone: 'Europe/Athens' })).toThrow('not understood')
  })
})
