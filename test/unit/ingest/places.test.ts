import { describe, expect, test } from 'vitest'
import type { DeviceId, LotId } from '../../../core/contract/device.ts'
import { capacityAt, Places, stretchesOf } from '../../../ingest/places.ts'

const device = 'd1' as DeviceId
const north = 'north' as LotId
const south = 'south' as LotId
const lot = (lotId: string) => ({ lotId, name: lotId, capacities: [] })
const assignment = (lotId: string, fromMs: number, toMs: number | null = null, deviceId = 'd1') => ({
  deviceId,
  lotId,
  fromMs,
  toMs,
})

describe('places', () => {
  test('keep where a device was before it moved', () => {
    const places = new Places()
    places.replace([lot('north'), lot('south')], [assignment('south', 100), assignment('north', 0)])

    expect([places.lotOf(device, 99), places.lotOf(device, 100)]).toEqual([north, south])
    expect(places.spansOf(north, 50, 200)).toEqual([{ deviceId: device, fromMs: 50, toMs: 100 }])
    expect(places.spansAt(south, 150)).toEqual([
      { deviceId: device, fromMs: 100, toMs: Number.MAX_SAFE_INTEGER },
    ])
  })

  test('know no lot for a device between two assignments', () => {
    const places = new Places()
    places.replace([], [assignment('north', 0, 10), assignment('south', 20)])

    expect(places.lotOf(device, 15)).toBeUndefined()
  })

  test('put an assignment in the place of the one from the same moment', () => {
    const places = new Places()
    places.replace([], [assignment('north', 0)])
    places.spansAt(north, 5)

    places.putAssignment(assignment('south', 0))

    expect(places.spansAt(north, 5)).toEqual([])
    expect(places.all.assignments).toEqual([assignment('south', 0)])
  })

  test('forget with a snapshot what was known before', () => {
    const places = new Places()
    places.replace([lot('north')], [assignment('north', 0)])

    places.replace([lot('south')], [])

    expect(places.all).toEqual({ lots: [lot('south')], assignments: [] })
    expect(places.spansAt(north, 5)).toEqual([])
  })
})

test('time is cut wherever a device begins or ends to count', () => {
  const spans = [
    { deviceId: 'a' as DeviceId, fromMs: 0, toMs: 10 },
    { deviceId: 'b' as DeviceId, fromMs: 5, toMs: 10 },
    { deviceId: 'c' as DeviceId, fromMs: 20, toMs: 30 },
  ]

  expect(stretchesOf(spans)).toEqual([
    { fromMs: 0, toMs: 5, deviceIds: ['a'] },
    { fromMs: 5, toMs: 10, deviceIds: ['a', 'b'] },
    { fromMs: 20, toMs: 30, deviceIds: ['c'] },
  ])
})

test('devices that came one after the other by the thousand are too many to be cut for', () => {
  const spans = Array.from({ length: 10_000 }, (_, i) => ({
    deviceId: `d${i}` as DeviceId,
    fromMs: i,
    toMs: 20_000,
  }))

  expect(stretchesOf(spans)).toBeUndefined()
  expect(stretchesOf(spans.map((span) => ({ ...span, fromMs: 0 })))?.[0]?.deviceIds).toHaveLength(10_000)
  expect(stretchesOf(spans.slice(0, 3), [], 6)).toHaveLength(3)
  expect(stretchesOf(spans.slice(0, 3), [], 5)).toBeUndefined()
})

test('a capacity holds from its date until the next', () => {
  const capacities = [
    { fromMs: 10, capacity: 5 },
    { fromMs: 20, capacity: 6 },
  ]

  expect([9, 10, 19, 20].map((atMs) => capacityAt(capacities, atMs))).toEqual([undefined, 5, 5, 6])
})
