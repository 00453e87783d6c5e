import { describe, expect, it } from 'vitest'
import { flowsOf, gapsOf, lotChartOf, summaryOf } from '../../../console/web/lot-chart.ts'
import type { CompletenessRow, Gap } from '../../../core/contract/completeness.ts'
import type { Answer, SeriesRow } from '../../../core/contract/query.ts'

const hour = (n: number) => new Date(Date.UTC(2026, 10, 23, n)).toISOString()
const ms = (n: number) => Date.parse(hour(n))
const row = (n: number, more: Partial<SeriesRow>): SeriesRow => ({
  lotId: 'north',
  start: hour(n),
  end: hour(n + 1),
  ...more,
})
const gap = (from: number, to: number, reason: Gap['reason']) =>
  ({ from: hour(from), to: hour(to), reason }) as Gap // what is read of it
const answer = (rows: SeriesRow[], gaps: Gap[] = []): Answer<SeriesRow> => ({
  tz: 'UTC',
  resolution: '1h',
  complete: gaps.length === 0,
  gaps,
  rows,
})
const bare = { week: [], completeness: [], good: undefined, capacity: null }

describe('gaps of a chart', () => {
  it('are runs of windows without a value, each with the reason for its time', () => {
    const rows = [0, 1, 2, 3, 4].map((n) => row(n, { mean: n === 0 || n === 4 ? 5 : null }))
    expect(gapsOf(answer(rows, [gap(1, 3, 'device_offline'), gap(3, 4, 'sensor_silent')]))).toEqual([
      { fromMs: ms(1), toMs: ms(3), reason: 'device offline' },
      { fromMs: ms(3), toMs: ms(4), reason: 'sensor silent' },
    ])
  })

  it('say that nothing came where nobody knows why, and begin after the first value', () => {
    const rows = [row(0, { mean: null }), row(1, { mean: 0 }), row(2, { mean: null })]
    expect(gapsOf(answer(rows))).toEqual([{ fromMs: ms(2), toMs: ms(3), reason: 'nothing came' }])
  })
})

describe('notes of a chart', () => {
  const account = (n: number, more: Partial<CompletenessRow>) =>
    ({
      start: hour(n),
      silent: 0,
      late: 0,
      dropped: 0,
      quarantined: 0,
      missing: null,
      ...more,
    }) as CompletenessRow

  it('say of each window what is flagged or not there, and add it up', () => {
    const rows = [row(0, { mean: 5, max: 6 }), row(1, { mean: 5, max: 12 }), row(2, { mean: 5, max: 5 })]
    const completeness = [account(0, { late: 2 }), account(1, { late: 1, missing: 4 }), account(2, {})]
    const { notes, remarks } = lotChartOf(answer(rows), { ...bare, completeness, capacity: 10 })
    expect(notes).toEqual([
      { fromMs: ms(0), toMs: ms(1), text: '2 over an hour late' },
      { fromMs: ms(1), toMs: ms(2), text: '4 missing, 1 over an hour late, 12 taken, above the capacity' },
    ])
    expect(remarks).toEqual([
      '3 readings over an hour late',
      '4 readings missing',
      'more taken than there are spaces in 1 window',
    ])
  })
})

it('readings whose flag says something of their value are noted, where that was asked for', () => {
  const rows = [
    row(0, { mean: 5, count: 60 }),
    row(1, { mean: 5, count: 60 }),
    row(2, { mean: null, count: 0 }),
  ]
  const good = [row(0, { count: 60 }), row(1, { count: 45 }), row(2, { count: 0 })]
  const text = 'flagged as stuck, unsynced or above the capacity'
  expect(lotChartOf(answer(rows), { ...bare, good })).toMatchObject({
    notes: [{ fromMs: ms(1), toMs: ms(2), text: `15 ${text}` }],
    remarks: [`15 readings ${text}`],
  })
  expect(lotChartOf(answer(rows), bare)).toMatchObject({ notes: [], remarks: [] })
})

describe('the typical week', () => {
  const week = [{ lotId: 'north', weekday: 1, hour: 2, mean: 5, p10: 3, p90: 8, hours: 4 }]
  it('lies behind hours, and not behind days, which have no hour', () => {
    const rows = [row(1, { mean: 5 }), row(2, { mean: 5 })]
    expect(lotChartOf(answer(rows), { ...bare, week })).toMatchObject({
      typicalLow: [null, 3],
      typicalHigh: [null, 8],
    })
    expect(lotChartOf({ ...answer(rows), resolution: '1d' }, { ...bare, week }).typicalLow).toEqual([
      null,
      null,
    ])
  })
})

describe('cars in and out', () => {
  it('stand at the times of the other chart, and are null where nobody counted', () => {
    const rows = [
      row(0, { metric: 'entries', sum: 4 }),
      row(0, { metric: 'exits', sum: 0 }),
      row(1, { metric: 'entries', sum: null }),
    ]
    expect(flowsOf(answer(rows), [ms(0), ms(1)])).toEqual({ entries: [4, null], exits: [0, null] })
  })

  it('are no chart where no device counts them', () => {
    expect(flowsOf(answer([row(0, { metric: 'entries', sum: null })]), [ms(0)])).toBeUndefined()
  })
})

it('a chart says in words what it shows', () => {
  const rows = [row(0, { mean: 5, max: 9 }), row(1, { mean: 2, max: 3 })]
  expect(summaryOf(answer(rows), 0)).toBe('Between 2 and 9 taken. No reading is missing.')
  expect(summaryOf(answer(rows, [gap(1, 2, 'unexplained')]), 1)).toBe(
    'Between 2 and 9 taken. 1 run of readings missing: see Quality. 1 gap shaded.',
  )
  expect(summaryOf(answer(rows), 2)).toContain('No reading is known to be missing. 2 gaps shaded.')
  expect(summaryOf(answer([]), 0)).toBe('Nothing was measured in this range.')
})
