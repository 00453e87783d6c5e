import { describe, expect, test } from 'vitest'
import type { DeviceId, LotId } from '../../../core/contract/device.ts'
import { type HourOfDevice, StuckWatch } from '../../../ingest/stuck.ts'

const lot = 'north' as LotId
const a = 'a' as DeviceId
const b = 'b' as DeviceId
const hourMs = 3600_000
const at = (hour: number) => hour * hourMs

/** Two values that take turns, and at night six hours of none. */
function usual(deviceId: DeviceId, fromHour: number, toHour: number): HourOfDevice[] {
  return Array.from({ length: toHour - fromHour }, (_, i) => {
    const hour = fromHour + i
    return { deviceId, fromMs: at(hour), openMs: hourMs, value: hour % 24 < 6 ? 0 : hour }
  })
}

/** The same value in each of these hours. */
function still(deviceId: DeviceId, fromHour: number, toHour: number): HourOfDevice[] {
  return Array.from({ length: toHour - fromHour }, (_, i) => ({
    deviceId,
    fromMs: at(fromHour + i),
    openMs: hourMs,
    value: 7,
  }))
}

function stuckHours(watch: StuckWatch, deviceId: DeviceId, fromHour: number, toHour: number): number[] {
  const hours = Array.from({ length: toHour - fromHour }, (_, i) => fromHour + i)
  return hours.filter((hour) => watch.isStuck(deviceId, at(hour) + 1000))
}

const week = 7 * 24

describe('a device with the same value', () => {
  test('is stuck from when it has lasted longer than anything in the four weeks before', () => {
    const watch = new StuckWatch()
    watch.feed(lot, [...usual(a, 0, 2 * week + 8), ...still(a, 2 * week + 8, 2 * week + 18)])

    const start = 2 * week + 8
    expect(stuckHours(watch, a, start - 24, start + 24)).toEqual([6, 7, 8, 9].map((hour) => start + hour))
  })

  test('is measured by the other devices of its lot, too', () => {
    const watch = new StuckWatch()
    watch.feed(lot, [
      ...usual(a, 0, 2 * week + 8),
      ...still(b, week, week + 9),
      ...usual(b, week + 9, 2 * week),
      ...still(a, 2 * week + 8, 2 * week + 18),
    ])

    const start = 2 * week + 8
    expect(stuckHours(watch, a, start, start + 24)).toEqual([start + 9])
  })

  test('is not judged by what is more than four weeks ago', () => {
    const watch = new StuckWatch()
    const start = 6 * week + 8
    watch.feed(lot, [...still(a, 0, 40), ...usual(a, 40, start), ...still(a, start, start + 8)])

    expect(stuckHours(watch, a, start, start + 24)).toEqual([start + 6, start + 7])
  })

  test('is not judged in a lot that is not known for a week', () => {
    const watch = new StuckWatch()
    watch.feed(lot, [...usual(a, 0, week - 10), ...still(a, week - 10, week + 30)])

    expect(stuckHours(watch, a, 0, 2 * week)).toEqual([])
  })

  test('is not stuck for an hour, nor over a silence, nor when it was away', () => {
    const watch = new StuckWatch()
    const moving = Array.from({ length: week + 8 }, (_, hour) => ({
      deviceId: a,
      fromMs: at(hour),
      openMs: hourMs,
      value: hour,
    }))
    const start = week + 8
    watch.feed(lot, [
      ...moving,
      ...still(a, start, start + 1),
      { deviceId: a, fromMs: at(start + 1), openMs: hourMs, value: undefined },
      ...still(a, start + 2, start + 3),
      ...still(a, start + 6, start + 7),
    ])

    expect(stuckHours(watch, a, 0, start + 24)).toEqual([])
  })

  test('is judged by the time in which its lot is open: nights do not count, nor make long runs usual', () => {
    const watch = new StuckWatch()
    const start = 2 * week + 21
    // Shut from ten in the evening to six in the morning.
    const byDay = (hour: HourOfDevice) => {
      const ofDay = (hour.fromMs / hourMs) % 24
      return { ...hour, openMs: ofDay >= 6 && ofDay < 22 ? hourMs : 0 }
    }
    watch.feed(lot, [...usual(a, 0, start), ...still(a, start, start + 14)].map(byDay))

    // An hour of the evening is open; the next that is open begins at six in the morning.
    expect(stuckHours(watch, a, start, start + 24)).toEqual([9, 10, 11, 12, 13].map((hour) => start + hour))
  })

  test('is judged anew when what is known of its lot is dropped', () => {
    const watch = new StuckWatch()
    const start = 2 * week + 8
    watch.feed(lot, [...usual(a, 0, start), ...still(a, start, start + 10)])
    watch.feed('south' as LotId, [...usual(b, 0, start), ...still(b, start, start + 10)])
    expect(stuckHours(watch, a, start, start + 24)).not.toEqual([])

    watch.drop(lot)

    expect(stuckHours(watch, a, start, start + 24)).toEqual([])
    expect(stuckHours(watch, b, start, start + 24)).toEqual([6, 7, 8, 9].map((hour) => start + hour))
  })

  test('goes on being watched with what comes later, and is forgotten in time', () => {
    const watch = new StuckWatch()
    const start = 2 * week + 8
    watch.feed(lot, usual(a, 0, start))
    watch.feed(lot, still(a, start, start + 5))
    watch.feed(lot, still(a, start + 5, start + 8))
    expect(stuckHours(watch, a, start, start + 24)).toEqual([start + 6, start + 7])

    watch.forget(at(start + 8))

    expect(stuckHours(watch, a, start, start + 24)).toEqual([])
  })
})
