import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { clockOf, type Look, listing, thing } from '../../../cli/answer.ts'

const look = (output: Look['output'], more: Partial<Look> = {}): Look => ({
  output,
  quiet: false,
  tz: 'UTC',
  ...more,
})
const rows = [
  { deviceId: 'gate-1', tags: ['a', 'b'], seenMs: 1_772_000_000_000, board: { serial: 'x' } },
  { deviceId: 'gate-2', tags: [], seenMs: null },
]
const list = { rows, columns: ['deviceId', 'tags', 'seenMs'], id: 'deviceId', whole: { devices: rows } }

describe('a list', () => {
  it('shows the members that were chosen, times in the zone that was asked for, and a dash for nothing', () => {
    const text = stripVTControlCharacters(listing(list, look('table', { tz: 'Europe/Athens' })) ?? '')
    expect(text.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['deviceId', 'tags', 'seen'],
      ['gate-1', 'a b', '2026-02-25T08:13:20+02:00'],
      ['gate-2', '–', '–'],
    ])
  })

  it('is whole as JSON, a row a line as NDJSON, and ids alone when quiet', () => {
    expect(JSON.parse(listing(list, look('json')) ?? '')).toEqual({ devices: rows })
    expect((listing(list, look('ndjson')) ?? '').split('\n').map((line) => JSON.parse(line))).toEqual(rows)
    expect(listing(list, look('json', { quiet: true }))).toBe('gate-1\ngate-2')
  })

  it('has every member as CSV, and nothing that a spreadsheet would run', () => {
    const odd = [{ id: '=1+1', name: 'a,"b"', depth: -3 }, { id: '-x' }]
    expect(listing({ rows: odd, columns: ['id'], id: 'id' }, look('csv'))).toBe(
      'id,name,depth\r\n\'=1+1,"a,""b""",-3\r\n\'-x,,',
    )
  })

  it('that is empty leaves tables and ids empty, but not JSON', () => {
    const empty = { rows: [], columns: ['id'], id: 'id', whole: { devices: [] } }
    expect(listing(empty, look('table'))).toBeUndefined()
    expect(listing(empty, look('ndjson', { quiet: true }))).toBeUndefined()
    expect(JSON.parse(listing(empty, look('json')) ?? '')).toEqual({ devices: [] })
  })
})

describe('one thing', () => {
  it('shows each list of things within as a table of its own', () => {
    const value = { lotId: 'north', capacities: [{ capacity: 80, fromMs: 0 }], gone: [] }
    expect(stripVTControlCharacters(thing(value, 'lotId', look('table')))).toBe(
      '  lotId  north\n  gone   –\n\ncapacities\ncapacity  from\n80        1970-01-01T00:00:00+00:00',
    )
  })
})

describe('the clock of a zone', () => {
  it('knows daylight saving and half hours', () => {
    expect(clockOf('Europe/London')(Date.UTC(2026, 6, 1))).toBe('2026-07-01T01:00:00+01:00')
    expect(clockOf('Asia/Kolkata')(Date.UTC(2026, 6, 1))).toBe('2026-07-01T05:30:00+05:30')
  })
})
