import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import type { Reading } from '../../../core/contract/reading.ts'
import { latestOf } from '../../../ingest/latest.ts'
import { Zone } from '../../../ingest/zone.ts'

const device = 'd1' as DeviceId
const nowMs = Date.UTC(2026, 5, 1)

describe('what a lot holds now', () => {
  const lot = { lotId: 'l', name: 'L', capacities: [{ fromMs: 0, capacity: 50 }] }
  const last = (
    occupied: number | null,
    agedSec: number,
    more: Partial<Reading> = {},
    lastOccupied = occupied,
  ) => ({
    stored: {
      deviceId: device,
      credentialId: 'c',
      receivedAtMs: nowMs,
      epoch: undefined,
      reading: { timestampMs: nowMs - agedSec * 1000, occupied, ...more },
    },
    lastOccupied,
  })
  const clock = { zone: new Zone('UTC'), nowMs, staleAfterSec: 600 }

  test('is the sum of its devices, as old as the oldest', () => {
    expect(latestOf(lot, [last(10, 5), last(20, 60)], clock)).toMatchObject({
      state: 'current',
      occupied: 30,
      capacity: 50,
      free: 20,
      ageSec: 60,
      time: '2026-05-31T23:59:00+00:00',
    })
  })

  test.each([
    ['none', [undefined, undefined], null],
    ['none', [], null],
    ['stale', [last(10, 5), undefined], null],
    ['stale', [last(10, 5), last(20, 601)], 30],
    ['silent', [last(10, 5), last(null, 5, {}, 7)], 17],
  ])('is not said when it is %s', (state, devices, lastOccupied) => {
    expect(latestOf(lot, devices, clock)).toMatchObject({ state, occupied: null, free: null, lastOccupied })
  })

  test('has the capacity its devices report before the one that is registered, and never less than no space', () => {
    expect(latestOf(lot, [last(12, 5, { capacity: 10 })], clock)).toMatchObject({ capacity: 10, free: 0 })
  })

  test('is not younger than now when a clock runs ahead', () => {
    expect(latestOf(lot, [last(1, -300)], clock).ageSec).toBe(0)
  })
})
