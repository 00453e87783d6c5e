import { expect, test } from 'vitest'
import type { Reading } from '../../../core/contract/reading.ts'
import { flagsOf } from '../../../ingest/flags.ts'

const nowMs = Date.UTC(2026, 5, 1)

test('flags follow from the reading, its arrival and the capacity', () => {
  const reading: Reading = { timestampMs: nowMs, occupied: 11, clock: 'unsynced', sensor: 'stuck' }

  expect(flagsOf(reading, nowMs + 3600_001, { capacity: 10 })).toEqual([
    'late',
    'clock_unsynced',
    'over_capacity',
    'stuck',
  ])
  expect(
    flagsOf({ timestampMs: nowMs, occupied: 11, capacity: 11 }, nowMs + 3600_000, { capacity: 10 }),
  ).toEqual([])
  expect(flagsOf({ timestampMs: nowMs, occupied: null }, nowMs, { capacity: 0 })).toEqual([])
  expect(flagsOf({ timestampMs: nowMs, occupied: 1 }, nowMs, { capacity: 1, isStuck: true })).toEqual([
    'stuck',
  ])
})
