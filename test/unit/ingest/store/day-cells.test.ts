import fc from 'fast-check'
import { expect, test } from 'vitest'
import { countMax } from '../../../../core/contract/reading.ts'
import { DayCells, wholeDay } from '../../../../ingest/store/day-cells.ts'
import { at, cellsOfWindow, mergeCells, putCells } from '../../../../ingest/store/span-sums.ts'

const dayMs = 86_400_000
const quarterMs = 900_000
const count = fc.oneof(fc.nat({ max: 3 }), fc.integer({ min: countMax - 2, max: countMax }))
const counted = fc.record({
  device: fc.constantFrom(0, 1, 70, 200),
  atMs: fc.oneof(fc.integer({ min: 0, max: dayMs - 1 }), fc.constantFrom(0, dayMs - 1, quarterMs)),
  occupied: fc.option(count),
  capacity: fc.option(count, { nil: undefined }),
  isLate: fc.boolean(),
})

test('cells of a day are what its readings add up to, to the largest count there is', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(counted, { selector: ({ device, atMs }) => device * dayMs + atMs }),
      (readings) => {
        const added = new DayCells()
        const loaded = new DayCells()
        for (const { device, atMs, ...rest } of readings)
          added.add(device, Math.floor(atMs / quarterMs), { atMs, ...rest })

        for (const device of [0, 1, 70, 200, 3]) {
          for (let part = 0; part < wholeDay; part++) {
            const within = readings.filter(
              (one) => one.device === device && Math.floor(one.atMs / quarterMs) === part,
            )
            const cells = cellsOf(added, device, part)
            expect(cells).toEqual(expected(within))
            if (cells !== undefined) loaded.load(device, part, (cell) => cells[cell] ?? Number.NaN)
          }
          const all = expected(readings.filter((one) => one.device === device))
          expect(cellsOf(added, device, wholeDay)).toEqual(all)
          expect(cellsOf(loaded, device, wholeDay)).toEqual(all)
        }
        expect(added.deviceCount).toBe(new Set(readings.map(({ device }) => device)).size)
      },
    ),
  )
})

function cellsOf(day: DayCells, device: number, part: number): Float64Array | undefined {
  const cells = new Float64Array(cellsOfWindow)
  return day.read(device, part, cells) ? cells : undefined
}

/** One after the other, as windows are put together. */
function expected(
  readings: readonly {
    atMs: number
    occupied: number | null
    capacity: number | undefined
    isLate: boolean
  }[],
) {
  const cells = new Float64Array(cellsOfWindow)
  const one = new Float64Array(cellsOfWindow)
  for (const { atMs, occupied, capacity, isLate } of readings) {
    const value = { min: occupied, max: occupied, first: occupied, last: occupied }
    const counts = {
      count: occupied === null ? 0 : 1,
      silent: occupied === null ? 1 : 0,
      late: isLate ? 1 : 0,
    }
    putCells(one, 0, {
      ...counts,
      ...value,
      sum: occupied ?? 0,
      firstMs: atMs,
      lastMs: atMs,
      capacity: capacity ?? null,
    })
    mergeCells(cells, 0, one, 0)
  }
  return (cells[at.count] as number) + (cells[at.silent] as number) === 0 ? undefined : cells // in range
}
