import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../../core/contract/device.ts'
import type { Reading } from '../../../core/contract/reading.ts'
import { StretchFold } from '../../../ingest/fold.ts'
import { lotWindows } from '../../../ingest/series.ts'
import type { SpanWindow } from '../../../ingest/store/store.ts'

const a = 'a' as DeviceId
const b = 'b' as DeviceId

function cell(window: number, counts: readonly number[]): [number, SpanWindow] {
  return [
    window,
    {
      span: 0,
      window,
      count: counts.length,
      silent: 0,
      sum: counts.reduce((sum, count) => sum + count, 0),
      min: counts.length === 0 ? null : Math.min(...counts),
      max: counts.length === 0 ? null : Math.max(...counts),
      first: counts[0] ?? null,
      last: counts.at(-1) ?? null,
      late: 0,
      capacity: null,
    },
  ]
}

const at = (
  deviceId: DeviceId,
  timestampMs: number,
  occupied: number | null,
  more: Partial<Reading> = {},
) => ({
  deviceId,
  epoch: 'e' as Epoch,
  reading: { timestampMs, occupied, ...more },
})

function fold(
  readings: readonly ReturnType<typeof at>[],
  deviceIds: readonly DeviceId[],
  edges: readonly number[],
) {
  const stretch = { fromMs: edges[0] ?? 0, toMs: edges.at(-1) ?? 0, deviceIds }
  const folding = new StretchFold(stretch, edges, { keepsSamples: true })
  for (const reading of readings) folding.add(reading)
  return { stretch, ...folding.end() }
}

/** Of every window the extremes, without the samples that they are of. */
function runningSums(...of: Parameters<typeof fold>) {
  return new Map([...fold(...of).sums].map(([window, { samples: _, ...extremes }]) => [window, extremes]))
}

describe('a window of a lot', () => {
  test('with one device is what the device measured, and null where it measured nothing', () => {
    const stretch = { fromMs: 0, toMs: 20, deviceIds: [a], devices: [new Map([cell(0, [3, 5])])] }

    expect(lotWindows([stretch], [0, 10, 20])).toEqual([
      { mean: 4, min: 3, max: 5, first: 3, last: 5, sum: 8, p95: null, count: 2 },
      { mean: null, min: null, max: null, first: null, last: null, sum: null, p95: null, count: 0 },
    ])
  })

  test('with several devices has the sum of their means, and null where one has nothing', () => {
    const devices = [new Map([cell(0, [3, 5]), cell(1, [1])]), new Map([cell(0, [10])])]
    const stretch = { fromMs: 0, toMs: 20, deviceIds: [a, b], devices }

    expect(lotWindows([stretch], [0, 10, 20]).map(({ mean, count }) => ({ mean, count }))).toEqual([
      { mean: 14, count: 3 },
      { mean: null, count: 1 },
    ])
  })

  test('in which one device follows another weighs each by its time', () => {
    const stretches = [
      { fromMs: 0, toMs: 4, deviceIds: [a], devices: [new Map([cell(0, [10, 20])])] },
      { fromMs: 4, toMs: 10, deviceIds: [b], devices: [new Map([cell(0, [30])])] },
    ]

    expect(lotWindows(stretches, [0, 10])).toEqual([
      { mean: 24, min: 10, max: 30, first: 10, last: 30, sum: 60, p95: null, count: 3 },
    ])
  })

  test('of a lot without devices is null', () => {
    expect(lotWindows([], [0, 10])).toEqual([
      { mean: null, min: null, max: null, first: null, last: null, sum: null, p95: null, count: 0 },
    ])
  })
})

describe('the running sum', () => {
  test('begins when every device has counted in the window, and pauses while one is silent', () => {
    const readings = [at(a, 1, 5), at(b, 2, 1), at(a, 3, null), at(b, 4, 9), at(a, 5, 2), at(a, 12, 7)]

    expect([...runningSums(readings, [a, b], [0, 10, 20])]).toEqual([
      [0, { min: 6, max: 11, first: 6, last: 11 }],
    ])
  })

  test('takes what happens at one instant together', () => {
    const readings = [at(a, 1, 0), at(b, 1, 10), at(a, 2, 10), at(b, 2, 0)]

    expect(runningSums(readings, [a, b], [0, 10]).get(0)).toEqual({ min: 10, max: 10, first: 10, last: 10 })
  })

  test('is what plain arithmetic over every instant says', () => {
    const reading = fc.record({
      device: fc.constantFrom(a, b),
      atMs: fc.nat(29),
      occupied: fc.option(fc.nat(50)),
    })
    fc.assert(
      fc.property(fc.uniqueArray(reading, { selector: (r) => `${r.device}${r.atMs}` }), (drawn) => {
        const readings = drawn.sort((x, y) => x.atMs - y.atMs).map((r) => at(r.device, r.atMs, r.occupied))
        const edges = [0, 10, 20, 30]
        const sums = runningSums(readings, [a, b], edges)

        for (let window = 0; window < 3; window++) {
          const samples: number[] = []
          for (let ms = window * 10; ms < window * 10 + 10; ms++) {
            if (!readings.some(({ reading: r }) => r.timestampMs === ms)) continue
            const latest = [a, b].map((deviceId) =>
              readings.findLast(
                ({ deviceId: of, reading: r }) =>
                  of === deviceId && r.timestampMs >= window * 10 && r.timestampMs <= ms,
              ),
            )
            const [x, y] = latest.map((r) => r?.reading.occupied ?? null)
            if (x !== null && x !== undefined && y !== null && y !== undefined) samples.push(x + y)
          }
          expect(sums.get(window)).toEqual(
            samples.length === 0
              ? undefined
              : {
                  min: Math.min(...samples),
                  max: Math.max(...samples),
                  first: samples[0],
                  last: samples.at(-1),
                },
          )
        }
      }),
    )
  })
})

describe('free spaces and utilisation', () => {
  const one = (capacity: number | null) => {
    const [window, of] = cell(0, [30, 50])
    return { fromMs: 0, toMs: 10, deviceIds: [a], devices: [new Map([[window, { ...of, capacity }]])] }
  }

  test('are of the capacity that readings bring, otherwise of the lot’s', () => {
    expect(lotWindows([one(100)], [0, 10], 'free')[0]).toMatchObject({
      mean: 60,
      min: 50,
      max: 70,
      first: 70,
      last: 50,
    })
    expect(lotWindows([{ ...one(null), capacity: 200 }], [0, 10], 'utilisation')[0]).toMatchObject({
      mean: 20,
      min: 15,
      max: 25,
      first: 15,
      last: 25,
    })
  })

  test('are null where nobody knows the capacity, and never less than none', () => {
    expect(lotWindows([one(null)], [0, 10], 'free')[0]).toMatchObject({ mean: null, min: null, count: 2 })
    expect(lotWindows([one(40)], [0, 10], 'free')[0]).toMatchObject({ mean: 0, min: 0, max: 10 })
    expect(lotWindows([one(0)], [0, 10], 'utilisation')[0]).toMatchObject({ mean: null })
  })
})

describe('cars in and out', () => {
  const total = (deviceId: DeviceId, timestampMs: number, entriesTotal: number, epoch = 'e') => ({
    ...at(deviceId, timestampMs, 1, { entriesTotal }),
    epoch: epoch as Epoch,
  })

  test('are counted where the later of two readings lies, from the reading before the first window on', () => {
    const { entries, exits } = fold(
      [total(a, -5, 100), total(a, 1, 103), total(a, 9, 104), total(a, 15, 110)],
      [a],
      [0, 10, 20],
    )

    expect([...entries]).toEqual([
      [0, 4],
      [1, 6],
    ])
    expect([...exits]).toEqual([])
  })

  test('begin anew with an epoch, and are unknown where nothing came before', () => {
    const { entries } = fold([total(a, 1, 500), total(a, 11, 7, 'f'), total(a, 12, 9, 'f')], [a], [0, 10, 20])

    expect([...entries]).toEqual([[1, 9]])
  })

  test('of a lot are those of all its devices, or unknown', () => {
    const readings = [total(a, 1, 0), total(b, 1, 0), total(a, 2, 3), total(b, 3, 4), total(a, 12, 5)]
    const { stretch, entries } = fold(readings, [a, b], [0, 10, 20])

    expect([...entries]).toEqual([[0, 7]])
    const devices = [new Map(), new Map()]
    const windows = lotWindows(
      [{ ...stretch, devices, folded: fold(readings, [a, b], [0, 10, 20]) }],
      [0, 10, 20],
      'entries',
    )
    expect(windows.map(({ sum, mean }) => [sum, mean])).toEqual([
      [7, null],
      [null, null],
    ])
  })
})

describe('the fold', () => {
  test('sums up single readings as a store does, and its quantiles are of every value', () => {
    const readings = fc.uniqueArray(fc.record({ atMs: fc.nat(29), occupied: fc.option(fc.nat(50)) }), {
      selector: ({ atMs }) => atMs,
    })
    fc.assert(
      fc.property(readings, (drawn) => {
        const sorted = drawn.sort((x, y) => x.atMs - y.atMs)
        const edges = [0, 10, 20, 30]
        const { stretch, cells, ...folded } = fold(
          sorted.map((r) => at(a, r.atMs, r.occupied)),
          [a],
          edges,
        )
        const windows = lotWindows([{ ...stretch, devices: cells, folded: { cells, ...folded } }], edges)
        for (const [i, window] of windows.entries()) {
          const counts = sorted
            .filter(({ atMs }) => atMs >= i * 10 && atMs < i * 10 + 10)
            .flatMap(({ occupied }) => (occupied === null ? [] : [occupied]))
          const ascending = counts.toSorted((x, y) => x - y)
          const position = (ascending.length - 1) * 0.95
          const [below = 0, above = 0] = [ascending[Math.floor(position)], ascending[Math.ceil(position)]]
          if (counts.length === 0)
            expect(window).toMatchObject({ mean: null, p95: null, sum: null, count: 0 })
          else
            expect(window).toEqual({
              mean: counts.reduce((sum, one) => sum + one, 0) / counts.length,
              min: ascending[0],
              max: ascending.at(-1),
              first: counts[0],
              last: counts.at(-1),
              sum: counts.reduce((sum, one) => sum + one, 0),
              p95: below + (above - below) * (position - Math.floor(position)),
              count: counts.length,
            })
        }
      }),
    )
  })
})
