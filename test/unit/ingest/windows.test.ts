import { describe, expect, test } from 'vitest'
import { startOfWindow, windowsOf } from '../../../ingest/windows.ts'
import { Zone } from '../../../ingest/zone.ts'

const nowMs = Date.UTC(2026, 6, 15, 12, 34, 56)
const hourMs = 3600_000

describe('windows', () => {
  /** Days around the change of clocks: the hours each of them has. */
  test.each([
    ['Europe/London', '2026-03-28', [24, 23, 24]],
    ['Europe/London', '2026-10-24', [24, 25, 24]],
    ['America/New_York', '2026-03-07', [24, 23, 24]],
    ['America/New_York', '2026-10-31', [24, 25, 24]],
    ['Australia/Lord_Howe', '2026-10-03', [24, 23.5, 24]],
    ['Australia/Lord_Howe', '2026-04-04', [24, 24.5, 24]],
  ])('of a day follow the calendar of %s from %s on', (id, from, hours) => {
    const zone = new Zone(id)
    const fromMs = zone.parse(from, 'from', nowMs)
    const toMs = zone.add(fromMs, 3, 'd')

    const windows = windowsOf({ fromMs, toMs, every: { count: 1, unit: 'd' }, zone }, 10)

    const edges = windows?.edges ?? []
    expect(edges.slice(1).map((edge, i) => (edge - (edges[i] ?? 0)) / hourMs)).toEqual(hours)
    expect(windows?.runs.map(({ index, stepMs, count }) => [index, stepMs / hourMs, count])).toEqual(
      hours.map((length, i) => [i, length, 1]),
    )
  })

  test('of an hour are elapsed time, also where clocks are changed', () => {
    const zone = new Zone('Europe/London')
    const fromMs = zone.parse('2026-03-29', 'from', nowMs)

    const windows = windowsOf(
      { fromMs, toMs: fromMs + 23 * hourMs, every: { count: 1, unit: 'h' }, zone },
      100,
    )

    expect(windows?.runs).toEqual([{ index: 0, fromMs, stepMs: hourMs, count: 23 }])
    expect(zone.format(windows?.edges.at(-1) ?? 0)).toBe('2026-03-30T00:00:00+01:00')
  })

  test('of a week over a change of clocks keep their time of day', () => {
    const zone = new Zone('Europe/London')
    const fromMs = zone.parse('2026-03-23', 'from', nowMs)

    const windows = windowsOf(
      { fromMs, toMs: zone.add(fromMs, 2, 'w'), every: { count: 1, unit: 'w' }, zone },
      10,
    )

    expect(windows?.edges.map((edge) => zone.format(edge))).toEqual([
      '2026-03-23T00:00:00+00:00',
      '2026-03-30T00:00:00+01:00',
      '2026-04-06T00:00:00+01:00',
    ])
  })

  /** The instant is 12:34:56 UTC. */
  test.each([
    ['UTC', 1, 'm', '2026-07-15T12:34:00+00:00'],
    ['UTC', 5, 'm', '2026-07-15T12:30:00+00:00'],
    ['UTC', 15, 'm', '2026-07-15T12:30:00+00:00'],
    ['UTC', 90, 'm', '2026-07-15T12:00:00+00:00'],
    ['UTC', 7, 'm', '2026-07-15T12:34:00+00:00'],
    ['UTC', 1, 'h', '2026-07-15T12:00:00+00:00'],
    ['UTC', 5, 'h', '2026-07-15T12:00:00+00:00'],
    ['Europe/Athens', 6, 'h', '2026-07-15T12:00:00+03:00'],
    ['America/New_York', 12, 'h', '2026-07-15T00:00:00-04:00'],
    ['Asia/Kathmandu', 15, 'm', '2026-07-15T18:15:00+05:45'],
    ['Asia/Kathmandu', 1, 'h', '2026-07-15T18:00:00+05:45'],
    ['Europe/Athens', 2, 'd', '2026-07-15T00:00:00+03:00'],
    ['Europe/Athens', 1, 'w', '2026-07-13T00:00:00+03:00'],
  ] as const)('begin by the clock of %s: %d%s at %s', (id, count, unit, expected) => {
    const zone = new Zone(id)
    expect(zone.format(startOfWindow({ count, unit }, nowMs, zone))).toBe(expected)
  })

  test('end where the question ends, and are none where it is empty', () => {
    const zone = new Zone('UTC')
    const hours = { count: 1, unit: 'h' } as const

    expect(windowsOf({ fromMs: 0, toMs: 1.5 * hourMs, every: hours, zone }, 10)?.edges).toEqual([
      0,
      hourMs,
      1.5 * hourMs,
    ])
    expect(windowsOf({ fromMs: 0, toMs: 0, every: hours, zone }, 10)).toEqual({ runs: [], edges: [0] })
    expect(windowsOf({ fromMs: 0, toMs: 11 * hourMs, every: hours, zone }, 10)).toBeUndefined()
  })
})
