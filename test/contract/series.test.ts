/**
 * The same question has the same answer over every store, and it is what plain arithmetic over the readings says:
 * days on which clocks change, in both directions and three zones, weeks, and lots with several devices among them.
 */
import { join } from 'node:path'
import fc from 'fast-check'
import { Temporal } from 'temporal-polyfill'
import { describe, expect, test } from 'vitest'
import type { DeviceId, LotId } from '../../core/contract/device.ts'
import type { Principal } from '../../core/contract/principal.ts'
import { aggregates, type SeriesRow } from '../../core/contract/query.ts'
import type { Found } from '../../ingest/answer-form.ts'
import { Fleet } from '../../ingest/fleet.ts'
import { Ledger } from '../../ingest/ledger.ts'
import { Places } from '../../ingest/places.ts'
import { Reporter } from '../../ingest/report.ts'
import { createTickCounter } from '../../ingest/schedule.ts'
import { Scope } from '../../ingest/scope.ts'
import { SeriesAnswers } from '../../ingest/series-answers.ts'
import { Statuses } from '../../ingest/statuses.ts'
import { openDuckDB } from '../../ingest/store/duckdb.ts'
import { openInflux } from '../../ingest/store/influx.ts'
import type { Store, StoredReading } from '../../ingest/store/store.ts'
import { parseEvery } from '../../ingest/windows.ts'
import { Zone } from '../../ingest/zone.ts'
import { influxOptions, startInflux } from '../kit/influx.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { makeDataDir } from '../kit/program.ts'

const hourMs = 3600_000
const lots = { one: ['a'], two: ['b', 'c'] } as const
/** A week before and after each of these, in which clocks change. */
const changes = {
  'Europe/Berlin': ['2026-03-29', '2026-10-25'],
  'America/New_York': ['2026-03-08', '2026-11-01'],
  'Australia/Lord_Howe': ['2026-04-05', '2026-10-04'],
} as const
const days = Object.values(changes).flat()

const drawn = fc.uniqueArray(
  fc.record({
    deviceId: fc.constantFrom('a', 'b', 'c'),
    day: fc.constantFrom(...days),
    // Steps of five minutes over three days: several devices often count at one instant.
    step: fc.nat(3 * 288),
    occupied: fc.option(fc.nat(300), { freq: 8 }),
  }),
  { minLength: 900, maxLength: 900, selector: ({ deviceId, day, step }) => `${deviceId}/${day}/${step}` },
)

function readingsOf(sample: { deviceId: string; day: string; step: number; occupied: number | null }[]) {
  return sample.map(({ deviceId, day, step, occupied }): StoredReading => {
    const timestampMs = Date.parse(`${day}T00:00:00Z`) - 36 * hourMs + step * 300_000
    return {
      deviceId: deviceId as DeviceId, // one of three
      credentialId: 'c',
      receivedAtMs: timestampMs,
      epoch: undefined,
      reading: { timestampMs, occupied },
    }
  })
}

const questions = fc.record({
  zone: fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
  direction: fc.constantFrom(0, 1),
  every: fc.constantFrom('1d', '1w', '2d', '6h', '90m', '7h'),
  startsBefore: fc.constantFrom(0, 1, 2, 6),
  hour: fc.constantFrom(0, 0, 2, 13),
  length: fc.integer({ min: 1, max: 9 }),
})

function answersOf(store: Store): SeriesAnswers {
  const places = new Places()
  for (const [lotId, deviceIds] of Object.entries(lots)) {
    places.putLot({ lotId, name: lotId, capacities: [] })
    for (const deviceId of deviceIds) places.putAssignment({ deviceId, lotId, fromMs: 0, toMs: null })
  }
  return answersOver(store, places)
}

function answersOver(store: Store, places: Places): SeriesAnswers {
  const now = Date.now
  const countTicks = createTickCounter()
  return new SeriesAnswers({
    store,
    scope: new Scope({ places, fleet: new Fleet() }),
    reporter: new Reporter({
      store,
      ledger: new Ledger({ rangesPerEpochMax: 1, epochsPerDeviceMax: 1 }),
      statuses: new Statuses(),
      countTicks,
      onTheWayMs: 0,
      now,
    }),
    windowsMax: 10_000,
    readingsMax: 100_000,
    now,
  })
}

/** They are made lot by lot. */
function rowsIn({ rows }: Found<SeriesRow>): SeriesRow[] {
  return [...(rows as Iterable<readonly SeriesRow[]>)].flat()
}

/** Where windows start, counted on the calendar, one by one from the first. */
function edgesOf(from: Temporal.ZonedDateTime, to: Temporal.ZonedDateTime, every: string): number[] {
  const count = Number(every.slice(0, -1))
  const unit = ({ d: 'days', w: 'weeks', h: 'hours', m: 'minutes' } as const)[every.slice(-1) as 'd'] // one of these
  const edges: number[] = []
  for (let i = 0; ; i++) {
    const start = from.add({ [unit]: i * count })
    if (Temporal.ZonedDateTime.compare(start, to) >= 0) break
    edges.push(start.epochMilliseconds)
  }
  return [...edges, to.epochMilliseconds]
}

function plainArithmetic(
  readings: readonly StoredReading[],
  deviceIds: readonly string[],
  fromMs: number,
  toMs: number,
) {
  const within = readings
    .filter(
      ({ deviceId, reading: { timestampMs } }) =>
        deviceIds.includes(deviceId) && timestampMs >= fromMs && timestampMs < toMs,
    )
    .toSorted((x, y) => x.reading.timestampMs - y.reading.timestampMs)
  const counted = deviceIds.map((deviceId) =>
    within.flatMap((one) =>
      one.deviceId === deviceId && one.reading.occupied !== null ? [one.reading.occupied] : [],
    ),
  )
  const samples = [...new Set(within.map(({ reading }) => reading.timestampMs))].flatMap((atMs) => {
    const values = deviceIds.map(
      (deviceId) =>
        within.findLast((one) => one.deviceId === deviceId && one.reading.timestampMs <= atMs)?.reading
          .occupied ?? null,
    )
    return values.includes(null) ? [] : [values.reduce<number>((sum, value) => sum + (value ?? 0), 0)]
  })
  const sorted = samples.toSorted((x, y) => x - y)
  const at = (sorted.length - 1) * 0.95
  const [below = 0, above = 0] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0)
  const isWhole = counted.every((values) => values.length > 0)
  return {
    mean: isWhole ? sumOf(counted.map((values) => sumOf(values) / values.length)) : null,
    sum: isWhole ? sumOf(counted.map(sumOf)) : null,
    min: sorted[0] ?? null,
    max: sorted.at(-1) ?? null,
    first: samples[0] ?? null,
    last: samples.at(-1) ?? null,
    p95: sorted.length === 0 ? null : below + (above - below) * (at - Math.floor(at)),
    count: sumOf(counted.map((values) => values.length)),
  }
}

function suite(open: () => Promise<{ store: Store; close(): Promise<void> }>): void {
  test('is what plain arithmetic over random readings says', async () => {
    const { store, close } = await open()
    try {
      const [sample = []] = fc.sample(drawn, { numRuns: 1, seed: 7 })
      const readings = readingsOf(sample)
      await store.commit({ readings, ledger: [], ends: [], quarantine: [], statuses: [], schedules: [] })
      const answers = answersOf(store)
      await fc.assert(
        fc.asyncProperty(questions, async ({ zone, direction, every, startsBefore, hour, length }) => {
          const day = Temporal.PlainDate.from(changes[zone][direction] ?? '')
          const from = day
            .subtract({ days: startsBefore })
            .toZonedDateTime({ timeZone: zone, plainTime: { hour } })
          const to = from.add({ days: length })
          const edges = edgesOf(from, to, every)
          const [fromMs, toMs] = [from.epochMilliseconds, to.epochMilliseconds]
          const principal = { lots: undefined } as Partial<Principal> as Principal // no more of it is looked at

          const answer = await answers.series(
            {
              among: { lots: Object.keys(lots) as LotId[], devices: undefined, tags: undefined },
              fromMs,
              toMs,
              every: parseEvery(every, { fromMs, toMs }),
              metrics: undefined,
              aggregates,
              fill: 'null',
              quality: 'all',
            },
            { principal, zone: new Zone(zone), signal: new AbortController().signal },
          )

          const expected = Object.entries(lots).flatMap(([lotId, deviceIds]) =>
            edges.slice(0, -1).map((startMs, i) => ({
              lotId,
              startMs,
              ...plainArithmetic(readings, deviceIds, startMs, edges[i + 1] ?? 0),
            })),
          )
          const found = rowsIn(answer).map(({ start, end: _, ...row }) => ({
            ...row,
            startMs: Date.parse(start),
          }))
          expect(found.length).toBe(expected.length)
          for (const [i, row] of found.entries()) {
            const { mean, p95, ...exact } = expected[i] ?? {}
            expect(row).toMatchObject(exact)
            for (const [name, value] of Object.entries({ mean, p95 })) {
              const has = (row as Record<string, unknown>)[name]
              // Halves and the like: sums in another order differ in the last digit.
              if (typeof value === 'number') expect(has).toBeCloseTo(value, 8)
              else expect(has).toBeNull()
            }
          }
        }),
        { numRuns: 40 },
      )
    } finally {
      await close()
    }
  }, 60_000)

  test('has a device in the lot it counted for then, and flags by the capacity that held then', async () => {
    const { store, close } = await open()
    try {
      const dayMs = 24 * hourMs
      const [startMs, movedMs] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 2)]
      const places = new Places()
      const capacities = [
        { fromMs: 0, capacity: 10 },
        { fromMs: movedMs + 12 * hourMs, capacity: 100 },
      ]
      places.putLot({ lotId: 'before', name: 'Before', capacities: [] })
      places.putLot({ lotId: 'after', name: 'After', capacities })
      places.putAssignment({ deviceId: 'a', lotId: 'before', fromMs: 0, toMs: null })
      places.putAssignment({ deviceId: 'a', lotId: 'after', fromMs: movedMs, toMs: null })
      const counts = [
        [startMs + hourMs, 5],
        [movedMs + hourMs, 50],
        [movedMs + 2 * hourMs, 7],
        [movedMs + 13 * hourMs, 60],
      ] as const
      const readings = counts.map(([timestampMs, occupied]) => ({
        deviceId: 'a' as DeviceId,
        credentialId: 'c',
        receivedAtMs: timestampMs,
        epoch: undefined,
        reading: { timestampMs, occupied },
      }))
      await store.commit({ readings, ledger: [], ends: [], quarantine: [], statuses: [], schedules: [] })
      const question = {
        among: { lots: undefined, devices: undefined, tags: undefined },
        fromMs: startMs,
        toMs: startMs + 2 * dayMs,
        every: { count: 1, unit: 'd' },
        metrics: undefined,
        aggregates: ['max', 'p95', 'count'],
        fill: 'null',
      } as const
      const asker = {
        principal: { lots: undefined } as Partial<Principal> as Principal, // no more of it is looked at
        zone: new Zone('UTC'),
        signal: new AbortController().signal,
      }
      const rowsOf = async (quality: 'all' | 'good') =>
        rowsIn(await answersOver(store, places).series({ ...question, quality }, asker))

      const all = await rowsOf('all')
      const good = await rowsOf('good')

      expect(all.map(({ lotId, max, count }) => [lotId, max, count])).toEqual([
        ['after', null, 0],
        ['after', 60, 3],
        ['before', 5, 1],
        ['before', null, 0],
      ])
      expect(all.map(({ p95 }) => p95)).toEqual([null, 59, 5, null])
      // Fifty cars were more than the lot held then, sixty were not.
      expect(good.map(({ max, count }) => [max, count])).toEqual([
        [null, 0],
        [60, 2],
        [5, 1],
        [null, 0],
      ])
    } finally {
      await close()
    }
  })
}

describe('a series over DuckDB', () =>
  suite(async () => {
    const folder = makeDataDir()
    const store = await openDuckDB({
      file: join(folder.path, 'readings.duckdb'),
      segmentsDir: join(folder.path, 'segments'),
      memoryMax: '200MB',
      threads: 1,
      quarantinePerDeviceMax: 1,
    })
    return {
      store,
      async close() {
        await store.close()
        folder.remove()
      },
    }
  }))

describeWithCommand('influxd')('a series over InfluxDB', () =>
  suite(async () => {
    const influx = await startInflux()
    const store = await openInflux({
      ...influxOptions(influx.url, await influx.createDatabase()),
      timeoutMs: 15_000,
      quarantinePerDeviceMax: 1,
    })
    return {
      store,
      async close() {
        await store.close()
        await influx.stop()
      },
    }
  }),
)
