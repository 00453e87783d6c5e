import { describe, expect, it } from 'vitest'
import { localTimeOf, spanOf, spellings } from '../../../console/web/ranges.ts'

describe('a range in an address', () => {
  it('is one of those offered, and a week where it is none', () => {
    expect(spanOf({ range: '-24h' })).toEqual({ value: '-24h', from: '-24h', every: '15m' })
    for (const range of [undefined, '', '-3d', 'own']) expect(spanOf({ range }).from).toBe('-7d')
  })

  it('has a beginning of its own, and an end after it or none', () => {
    const from = '2026-11-20T08:00'
    expect(spanOf({ range: 'own', from, to: '2026-11-21T08:00' })).toMatchObject({
      from,
      to: '2026-11-21T08:00',
    })
    for (const to of [undefined, '', '2026-11-19T08:00', "'; DROP"])
      expect(spanOf({ range: 'own', from, to })).toEqual({ value: 'own', from, every: 'auto' })
    expect(spanOf({ range: 'own', from: "2026'; DROP", to: undefined }).from).toBe('-7d')
  })

  it('is written in the time of its lot', () => {
    expect(localTimeOf(Date.UTC(2026, 10, 20, 23, 5), 'Europe/Athens')).toBe('2026-11-21T01:05')
  })
})

describe('a question in other words', () => {
  const question = { lots: ['north'], from: '-7d', every: '1h', agg: ['mean', 'max'], zone: 'Europe/Athens' }
  const said = (more: object) =>
    Object.fromEntries(
      spellings({ ...question, ...more }, 'http://ingest').map(({ name, text }) => [name, text]),
    )

  it('asks for the same time', () => {
    const { curl, lotctl, SQL } = said({ from: '2026-11-20T08:00', to: '2026-11-21T08:00' })
    expect(curl).toContain('from=2026-11-20T08%3A00&to=2026-11-21T08%3A00')
    expect(lotctl).toContain('--from 2026-11-20T08:00 --to 2026-11-21T08:00')
    expect(SQL).toContain(
      "time >= TIMESTAMP '2026-11-20 08:00' AT TIME ZONE 'Europe/Athens' AND time < TIMESTAMP '2026-11-21 08:00'",
    )
    expect(said({ metric: 'entries' })).toMatchObject({
      curl: expect.stringContaining('metric=entries'),
      lotctl: expect.stringContaining('--metric entries '),
    })
    // What came and went is no column of a reading.
    expect(said({ metric: 'entries' }).SQL).toBeUndefined()
    expect(said({}).SQL).toContain("time >= now() - INTERVAL '7 days'\n")
  })
})
