import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSimulation } from '../../../../agent/sensors/simulation.ts'

const dayMs = 24 * 3600_000
const hourMs = 3600_000
const monday = Date.UTC(2026, 10, 23)
const lot = (seed = 7, capacity = 400) => createSimulation({ seed, capacity, offsetMs: () => 0 })
const at = (day: number, hour: number) => monday + day * dayMs + hour * hourMs
const weekdays = [0, 1, 2, 3, 4]

describe('simulated lot', () => {
  it('is empty at night, every night', () => {
    const countAt = lot()
    for (let day = 0; day < 28; day++) expect(countAt(at(day, 4)).occupied).toBe(0)
  })

  it('has a peak in the morning and a higher one at noon on weekdays', () => {
    const countAt = lot()
    for (const day of weekdays) {
      const between = countAt(at(day, 11)).occupied
      expect(countAt(at(day, 9.7)).occupied).toBeGreaterThan(between)
      expect(countAt(at(day, 13)).occupied).toBeGreaterThan(between)
      expect(countAt(at(day, 13)).occupied).toBeGreaterThan(countAt(at(day, 20)).occupied * 2)
    }
  })

  it('lives otherwise at weekends', () => {
    const countAt = lot()
    for (const day of weekdays) {
      expect(countAt(at(5, 9)).occupied).toBeLessThan(countAt(at(day, 9)).occupied / 4)
      expect(countAt(at(6, 13)).occupied).toBeLessThan(countAt(at(day, 13)).occupied / 2)
    }
    expect(countAt(at(5, 15)).occupied).toBeGreaterThan(countAt(at(6, 15)).occupied)
  })

  it('is not the same two days running, nor for two seeds', () => {
    const noons = weekdays.map((day) => lot()(at(day, 12.5)).occupied)
    expect(new Set(noons).size).toBeGreaterThan(2)
    expect(lot(8)(at(0, 12.5))).not.toEqual(lot(7)(at(0, 12.5)))
  })

  it('lives by local time', () => {
    const kathmandu = createSimulation({ seed: 7, capacity: 400, offsetMs: () => 5.75 * hourMs })
    expect(kathmandu(at(0, 12 - 5.75))).toEqual(lot()(at(0, 12)))
  })

  it('agrees with itself at any two instants, asked in any order', () => {
    const instant = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2030, 0, 1) })
    fc.assert(
      fc.property(
        fc.nat(2 ** 32 - 1),
        fc.integer({ min: 1, max: 5000 }),
        instant,
        instant,
        (seed, capacity, a, b) => {
          const countAt = lot(seed, capacity)
          const [later, earlier] = [countAt(Math.max(a, b)), countAt(Math.min(a, b))]
          for (const { occupied, entriesTotal, exitsTotal } of [later, earlier]) {
            expect(entriesTotal - exitsTotal).toBe(occupied)
            expect(occupied).toBeGreaterThanOrEqual(0)
            expect(occupied).toBeLessThanOrEqual(capacity)
          }
          expect(later.entriesTotal).toBeGreaterThanOrEqual(earlier.entriesTotal)
          expect(later.exitsTotal).toBeGreaterThanOrEqual(earlier.exitsTotal)
          expect(lot(seed, capacity)(Math.max(a, b))).toEqual(later)
        },
      ),
    )
  })

  it('never counts back from one minute to the next', () => {
    const countAt = lot(3, 1200)
    let before = countAt(monday)
    for (let minute = 1; minute < 7 * 24 * 60; minute++) {
      const now = countAt(monday + minute * 60_000)
      if (now.entriesTotal < before.entriesTotal || now.exitsTotal < before.exitsTotal)
        throw new Error(`totals shrink at minute ${minute}`)
      before = now
    }
    expect(before.entriesTotal).toBeGreaterThan(0)
  })
})
