import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, test } from 'vitest'
import { Zone } from '../../../ingest/zone.ts'

const nowMs = Date.UTC(2026, 6, 15, 12, 34, 56)

describe('a zone', () => {
  test.each([
    ['Europe/London', Date.UTC(2026, 0, 1, 12), '2026-01-01T12:00:00+00:00'],
    ['Europe/London', Date.UTC(2026, 6, 1, 12, 0, 0, 5), '2026-07-01T13:00:00.005+01:00'],
    ['America/New_York', Date.UTC(2026, 2, 8, 6, 59, 59), '2026-03-08T01:59:59-05:00'],
    ['America/New_York', Date.UTC(2026, 2, 8, 7), '2026-03-08T03:00:00-04:00'],
    ['Australia/Lord_Howe', Date.UTC(2026, 0, 1), '2026-01-01T11:00:00+11:00'],
    ['Australia/Lord_Howe', Date.UTC(2026, 6, 1), '2026-07-01T10:30:00+10:30'],
    ['Asia/Kathmandu', Date.UTC(2026, 0, 1), '2026-01-01T05:45:00+05:45'],
  ])('writes an instant in %s with its offset: %i', (id, atMs, text) => {
    expect(new Zone(id).format(atMs)).toBe(text)
  })

  test.each([
    ['now', nowMs],
    ['-90m', nowMs - 90 * 60_000],
    ['2026-01-01', Date.UTC(2026, 0, 1, 5)],
    ['2026-01-01T10:00:00', Date.UTC(2026, 0, 1, 15)],
    ['2026-01-01 10:00', Date.UTC(2026, 0, 1, 15)],
    ['2026-01-01T10:00:00.250Z', Date.UTC(2026, 0, 1, 10, 0, 0, 250)],
    ['2026-01-01T10:00:00+02:00', Date.UTC(2026, 0, 1, 8)],
    // Clocks skip from 2 to 3, and show 1 twice.
    ['2026-03-08T02:30:00', Date.UTC(2026, 2, 8, 7, 30)],
    ['2026-11-01T01:30:00', Date.UTC(2026, 10, 1, 5, 30)],
  ])('reads %s', (text, atMs) => {
    expect(new Zone('America/New_York').parse(text, 'from', nowMs)).toBe(atMs)
  })

  test('goes back by days on the calendar and by hours on the clock', () => {
    const zone = new Zone('Europe/London')
    const afterChangeMs = Date.UTC(2026, 2, 30, 11)

    expect(zone.parse('-2d', 'from', afterChangeMs)).toBe(Date.UTC(2026, 2, 28, 12))
    expect(zone.parse('-48h', 'from', afterChangeMs)).toBe(Date.UTC(2026, 2, 28, 11))
  })

  test.each(['2026-02-30', '2026-01-01T25:00:00', '2026-13-01T00:00:00Z'])(
    'refuses %s, which does not exist',
    (text) => {
      expect(() => new Zone('UTC').parse(text, 'from', nowMs)).toThrow(/from: .* is not a time/)
    },
  )

  test('that nobody knows is refused', () => {
    expect(() => new Zone('Mars/Olympus')).toThrow(/not an IANA time zone/)
  })
})

describe('an offset', () => {
  const zones = [
    'UTC',
    'Europe/London',
    'America/St_Johns',
    'Australia/Lord_Howe',
    'Africa/Casablanca',
    'Asia/Kolkata',
  ]

  test.each(zones)('in %s is the calendar’s own, in whatever order instants come', (id) => {
    const changes = changesOf(id)
    const instant = fc.oneof(
      fc.integer({ min: 0, max: 4_000_000_000_000 }),
      // At a change of the clocks, and just beside it.
      ...(changes.length === 0
        ? []
        : [
            fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -1, max: 1 })).map(([at, by]) => at + by),
          ]),
    )
    fc.assert(
      fc.property(fc.array(instant, { minLength: 1, maxLength: 20 }), (instants) => {
        const zone = new Zone(id)
        for (const atMs of instants) {
          const offset = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(id).offset
          expect(zone.format(atMs).slice(-6)).toBe(offset)
        }
      }),
      { numRuns: 50 },
    )
  })

  /** When clocks are changed, found by looking at every hour of some years. */
  function changesOf(id: string): number[] {
    const found: number[] = []
    const offsetAt = (ms: number) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(id).offset
    const halfHourMs = 1_800_000
    for (let dayMs = Date.UTC(2026, 0, 1); dayMs < Date.UTC(2027, 0, 1); dayMs += 86_400_000) {
      if (offsetAt(dayMs) === offsetAt(dayMs + 86_400_000)) continue
      for (let ms = dayMs; ms < dayMs + 86_400_000; ms += halfHourMs)
        if (offsetAt(ms) !== offsetAt(ms + halfHourMs)) found.push(ms + halfHourMs)
    }
    return found
  }
})
