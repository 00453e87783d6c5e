import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import { lotWindows, runningSums } from '../../../ingest/series.ts'
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

const at = (deviceId: DeviceId, timestampMs: number, occupied: number | null) => ({
  deviceId,
  reading: { timestampMs, occupied },
})

describe('a window of a lot', () => {
  test('with one device is what the device measured, and null where it measured nothing', () => {
    const stretch = { fromMs: 0, toMs: 20, deviceIds: [a], devices: [new Map([cell(0, [3, 5])])] }

    expect(lotWindows([stretch], [0, 10, 20])).toEqual([
      { mean: 4, min: 3, max: 5, first: 3, last: 5, count: 2 },
      { mean: null, min: null, max: null, first: null, last: null, count: 0 },
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
      { mean: 24, min: 10, max: 30, first: 10, last: 30, count: 3 },
    ])
  })

  test('of a lot without devices is null', () => {
    expect(lotWindows([], [0, 10])).toEqual([
      { mean: null, min: null, max: null, first: null, last: null, count: 0 },
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
