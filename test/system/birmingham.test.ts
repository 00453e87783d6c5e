/** Real input: a recorded data set through the whole running system, and the query API beside plain arithmetic on the file. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { slugOf } from '../../core/contract/device.ts'
import type { Answer, LotRow, QuarantineRow, ReadingRow, SeriesRow } from '../../core/contract/query.ts'
import type { Lot } from '../../core/contract/registry.ts'
import { root } from '../../scripts/build.mjs'
import type { Ended } from '../kit/command.ts'
import { lotctlEnv, runLotctl } from '../kit/lotctl.ts'
import { describeWithFile } from '../kit/needs.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

const file = join(root, '../shared/data/birmingham-car-parks.csv')
const tz = 'Europe/London'

/** A row as it stands in the file; its time is local. */
interface Row {
  readonly lotId: string
  readonly capacity: number
  readonly occupied: number
  readonly time: string
}

/** No quotes and no blanks in this file, so that reading it needs no library of ours. */
function readRows(): Row[] {
  const [, ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/)
  return lines.map((line) => {
    const [name = '', capacity, occupied, time = ''] = line.split(',')
    return { lotId: slugOf(name) ?? '', capacity: Number(capacity), occupied: Number(occupied), time }
  })
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

function groups<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const found = new Map<string, Item[]>()
  for (const item of items) {
    const group = found.get(keyOf(item))
    if (group === undefined) found.set(keyOf(item), [item])
    else group.push(item)
  }
  return found
}

describeWithFile(file)('the car parks of Birmingham', () => {
  let system: System
  let played: Ended
  let stored: { rows: ReadingRow[]; complete: boolean }
  let rows: Row[]
  /** By car park and local time, as the device has at most one reading at an instant. */
  let distinct: Row[]
  let countable: Row[]

  beforeAll(async () => {
    system = await System.start()
    played = await runLotctl(['replay', file, '--tz', tz, '-o', 'json'], lotctlEnv(system))
    stored = await system.stored({ tz })
    rows = readRows()
    distinct = [...new Map(rows.map((row) => [`${row.lotId} ${row.time}`, row])).values()]
    countable = distinct.filter((row) => row.occupied >= 0)
  }, 120_000)
  afterAll(() => system.stop())

  it('are played to the last row, each acknowledged', () => {
    expect(played.exit).toBe(0)
    expect(JSON.parse(played.stdout)).toMatchObject({
      devices: 30,
      failed: 0,
      kept: 35_717,
      settled: 35_717,
      brokenLines: 0,
    })
    expect(rows).toHaveLength(35_717)
  })

  it('are each a lot with the name and the capacity of the file', async () => {
    const { rows: lots } = await system.queries.json<Answer<LotRow>>('/v1/lots')
    const capacities = new Map(rows.map((row) => [row.lotId, row.capacity]))
    expect(lots).toHaveLength(30)
    expect(new Map(lots.map((lot) => [lot.lotId, lot.capacity]))).toEqual(capacities)
    expect(lots.find((lot) => lot.lotId === 'Bull-Ring')?.name).toBe('Bull Ring')
  })

  it('say when they are open, as soon as the registry knows', async () => {
    const path = '/v1/lots/Bull-Ring'
    const { lotId, ...lot } = await system.registry.json<Lot>(path)
    const openingHours = 'Mo-Sa 07:00-20:00; Su 09:00-18:00'
    await system.registry.json(path, { method: 'PUT', body: { ...lot, openingHours } })

    const told = await eventually(async () => {
      const { rows: lots } = await system.queries.json<Answer<LotRow>>('/v1/lots')
      return lots.find((row) => row.lotId === lotId && row.openingHours !== null)
    })
    expect(told).toMatchObject({ openingHours, zone: lot.zone })
  })

  it('are stored once each: what the file repeats is a duplicate, what is negative is set aside', async () => {
    const { rows: quarantined } = await system.queries.json<Answer<QuarantineRow>>('/v1/quarantine', {
      query: { limit: 1000 },
    })
    expect(quarantined.map((row) => row.reason)).toEqual(Array(12).fill('reading.negative'))
    expect(rows.length - distinct.length).toBe(216)
    expect(stored.rows).toHaveLength(35_489)
    expect(stored.complete).toBe(true)
    const asStored = stored.rows.map(
      (row) => `${row.lotId} ${row.time.slice(0, 19)} ${row.occupied} ${row.capacity}`,
    )
    const asInFile = countable.map(
      (row) => `${row.lotId} ${row.time.replace(' ', 'T')} ${row.occupied} ${row.capacity}`,
    )
    expect(asStored.sort()).toEqual(asInFile.sort())
  })

  it('add up to what the file adds up to', () => {
    expect(sum(stored.rows.map((row) => row.occupied ?? Number.NaN))).toBe(22_892_977)
    expect(sum(countable.map((row) => row.occupied))).toBe(22_892_977)
  })

  it('are flagged where more cars were counted than there are spaces', () => {
    const flagged = stored.rows.filter((row) => row.flags.includes('over_capacity'))
    expect(flagged).toHaveLength(373)
    expect(countable.filter((row) => row.occupied > row.capacity)).toHaveLength(373)
  })

  it('have in every hour of local time the mean, the maximum and the count of the file', async () => {
    const byLot = groups(countable, (row) => row.lotId)
    for (const [lotId, ofLot] of byLot) {
      const answer = await system.queries.json<Answer<SeriesRow>>('/v1/series', {
        query: {
          lot: lotId,
          from: '2016-10-01',
          to: '2017-01-01',
          every: '1h',
          agg: ['mean', 'max', 'count'],
          fill: 'none',
          tz,
        },
      })
      const expected = [...groups(ofLot, (row) => row.time.slice(0, 13))].map(([hour, inHour]) => {
        const counts = inHour.map((row) => row.occupied)
        return { hour, mean: sum(counts) / counts.length, max: Math.max(...counts), count: counts.length }
      })
      const got = answer.rows.map((row) => ({
        hour: row.start.slice(0, 13).replace('T', ' '),
        mean: row.mean,
        max: row.max,
        count: row.count,
      }))
      expect(got.length, lotId).toBe(expected.length)
      for (const [i, window] of expected.sort((a, b) => (a.hour < b.hour ? -1 : 1)).entries()) {
        expect(got[i], `${lotId} ${window.hour}`).toEqual({ ...window, mean: expect.closeTo(window.mean, 9) })
      }
    }
  })

  it('have the highest count of the file in each lot', async () => {
    const answer = await system.queries.json<Answer<SeriesRow>>('/v1/series', {
      query: { from: '2016-10-01', to: '2017-01-01', every: '1000d', agg: 'max', fill: 'none', tz },
    })
    const highest = [...groups(countable, (row) => row.lotId)].map(([lotId, ofLot]) => [
      lotId,
      Math.max(...ofLot.map((row) => row.occupied)),
    ])
    expect(Object.fromEntries(answer.rows.map((row) => [row.lotId, row.max]))).toEqual(
      Object.fromEntries(highest),
    )
  })
})
