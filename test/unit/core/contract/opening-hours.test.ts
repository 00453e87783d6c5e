import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openMinutesIn, parseOpeningHours, weekMinutes } from '../../../../core/contract/opening-hours.ts'

const day = 24 * 60
const at = (weekday: number, hour: number, minute = 0) => weekday * day + hour * 60 + minute

describe('opening hours', () => {
  test.each([
    ['24/7', [{ from: 0, to: weekMinutes }]],
    ['Mo 06:30-22:00', [{ from: at(0, 6, 30), to: at(0, 22) }]],
    ['Sa,Su 00:00-24:00', [{ from: at(5, 0), to: weekMinutes }]],
    [
      'Mo-Fr 06:00-22:00; We off',
      [0, 1, 3, 4].map((weekday) => ({ from: at(weekday, 6), to: at(weekday, 22) })),
    ],
    [
      '08:00-20:00; Tu-Su closed; Mo 09:00-12:00, 13:00-17:00',
      [
        { from: at(0, 9), to: at(0, 12) },
        { from: at(0, 13), to: at(0, 17) },
      ],
    ],
    // Past midnight, and past the end of the week.
    [
      'Fr-Su 22:00-02:00',
      [
        { from: 0, to: at(0, 2) },
        { from: at(4, 22), to: at(5, 2) },
        { from: at(5, 22), to: at(6, 2) },
        { from: at(6, 22), to: weekMinutes },
      ],
    ],
    // A stretch of the week that begins on Saturday.
    ['Sa-Mo 10:00-11:00', [0, 5, 6].map((weekday) => ({ from: at(weekday, 10), to: at(weekday, 11) }))],
    ['Mo off', []],
  ])('%s', (text, expected) => {
    expect(parseOpeningHours(text)).toEqual(expected)
  })

  test.each([
    '',
    'Mo',
    'Mo-',
    'Mo-Fr-Su 10:00-11:00',
    'Mon 10:00-11:00',
    'PH off',
    '6:00-22:00',
    '06:00-25:00',
    '06:60-07:00',
    '24:00-06:00',
    'Mo 10:00',
    'Mo-Fr 06:00-22:00;',
    'Jan-Mar 10:00-12:00',
    'sunrise-sunset',
  ])('are not understood as "%s", and that is said', (text) => {
    expect(() => parseOpeningHours(text)).toThrow(/is not understood; such as/)
  })

  test('are open for as many minutes of a stretch as one counts', () => {
    const minutes = Array.from({ length: weekMinutes }, () => false)
    const open = parseOpeningHours('Mo-Fr 06:10-22:05; Fr 20:00-03:20; Su 23:59-00:01')
    for (const { from, to } of open) minutes.fill(true, from, to)
    fc.assert(
      fc.property(fc.nat(weekMinutes - 1), fc.nat(weekMinutes), (from, length) => {
        let counted = 0
        for (let i = 0; i < length; i++) if (minutes[(from + i) % weekMinutes]) counted++
        expect(openMinutesIn(open, from, length)).toBe(counted)
      }),
    )
  })
})
