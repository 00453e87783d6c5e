import { describe, expect, test } from 'vitest'
import type { DeviceId, Epoch, LotId } from '../../../core/contract/device.ts'
import {
  addUp,
  countWindow,
  type DeviceFacts,
  explainWindow,
  gapsOf,
  offlineOf,
  type TimeRange,
} from '../../../ingest/completeness.ts'
import { countIn, incidentsOf } from '../../../ingest/incidents.ts'
import { Ledger } from '../../../ingest/ledger.ts'
import type { SequenceRange } from '../../../ingest/ranges.ts'

const deviceId = 'd1' as DeviceId
const lotId = 'north' as LotId
const epoch = '9f0c3a77d1e2b465' as Epoch
const next = 'aaaaaaaaaaaaaaaa' as Epoch
const format = (atMs: number) => `t${atMs}`

function ledgerOf(...rows: (SequenceRange & { epoch?: Epoch })[]): Ledger {
  const ledger = new Ledger({ rangesPerEpochMax: 100, epochsPerDeviceMax: 10 })
  for (const row of rows) ledger.load({ deviceId, epoch, ...row })
  return ledger
}

/** Stored, one every ten units of time. */
function stored(fromSeq: number, toSeq: number): SequenceRange {
  return { fromSeq, toSeq, outcome: 'stored', fromMs: fromSeq * 10, toMs: toSeq * 10 }
}

describe('what the ledger knows', () => {
  test('is placed between the instants on either side, in proportion', () => {
    const ledger = ledgerOf(
      stored(0, 2),
      { fromSeq: 4, toSeq: 5, outcome: 'dropped', reason: 'outbox_full' },
      stored(6, 9),
    )

    expect(incidentsOf(ledger, deviceId)).toMatchObject([
      { kind: 'lost', fromSeq: 3, toSeq: 3, fromMs: 30, toMs: 30, isOpen: true },
      { kind: 'dropped', fromSeq: 4, toSeq: 5, fromMs: 40, toMs: 50, detail: 'outbox_full' },
    ])
  })

  test('reaches from the end of an epoch to the beginning of the next', () => {
    const ledger = ledgerOf(stored(0, 2), { ...stored(0, 1), fromMs: 100, toMs: 110, epoch: next })
    ledger.loadEnd({ deviceId, epoch, lastSeq: 9 })

    expect(incidentsOf(ledger, deviceId)).toMatchObject([
      { kind: 'lost', fromSeq: 3, toSeq: 9, fromMs: 30, toMs: 90, isOpen: false },
    ])
  })

  test('has no time where nothing of the epoch has one', () => {
    expect(incidentsOf(ledgerOf({ fromSeq: 0, toSeq: 3, outcome: 'dropped' }), deviceId)).toMatchObject([
      { kind: 'dropped', fromMs: undefined, toMs: undefined },
    ])
  })

  test('is counted in the windows it lies in, each sequence once', () => {
    const [lost] = incidentsOf(ledgerOf(stored(0, 2), stored(8, 9)), deviceId)
    const inWindow = (fromMs: number, toMs: number) =>
      lost === undefined ? 0 : countIn(lost, { fromMs, toMs })

    expect([inWindow(0, 30), inWindow(30, 50), inWindow(50, 75), inWindow(75, 1000)]).toEqual([0, 2, 3, 0])
  })
})

/** A device that is to take a reading every ten units, and has taken those that the ledger says. */
function factsOf(ledger: Ledger, more: Partial<DeviceFacts> = {}): DeviceFacts {
  return {
    deviceId,
    lotId,
    fromMs: 0,
    toMs: 1000,
    incidents: incidentsOf(ledger, deviceId),
    expectedIn: ({ fromMs, toMs }) => Math.ceil(toMs / 10) - Math.ceil(fromMs / 10),
    newestMs: 90,
    isSeen: true,
    queued: 0,
    ...more,
  }
}

const clock = { nowMs: 200, onTheWayMs: 0 }

function explain(
  facts: DeviceFacts,
  received: number,
  more: { offline?: TimeRange[]; clock?: typeof clock; silent?: number; window?: TimeRange } = {},
) {
  const window = more.window ?? { fromMs: 0, toMs: 100 }
  const counted = countWindow(facts, window, { received, silent: more.silent ?? 0, late: 0 })
  return explainWindow(facts, window, counted, { offline: more.offline ?? [], clock: more.clock ?? clock })
}

describe('a window', () => {
  test('with all that was due is complete', () => {
    expect(explain(factsOf(ledgerOf(stored(0, 9))), 10)).toEqual({
      expected: 10,
      received: 10,
      silent: 0,
      late: 0,
      duplicate: 0,
      dropped: 0,
      quarantined: 0,
      missing: 0,
      unknown: 0,
      reasons: {},
    })
  })

  test('of a device that never said when it takes readings expects nothing that is known', () => {
    const facts = factsOf(ledgerOf(stored(0, 9)), { expectedIn: () => null })

    expect(explain(facts, 10)).toMatchObject({ expected: null, missing: null, unknown: 1, reasons: {} })
  })

  test('accounts for what the device dropped, what is in quarantine, and what the ledger lacks', () => {
    const ledger = ledgerOf(
      stored(0, 2),
      { fromSeq: 3, toSeq: 4, outcome: 'dropped', reason: 'outbox_full' },
      { fromSeq: 5, toSeq: 5, outcome: 'quarantined', fromMs: 50, toMs: 50 },
      stored(8, 9),
    )

    expect(explain(factsOf(ledger), 5)).toMatchObject({
      missing: 5,
      dropped: 2,
      quarantined: 1,
      reasons: { outbox_limit: 2, quarantined: 1, unexplained: 2 },
    })
  })

  test('does not hold duplicates for missing, nor silence for nothing', () => {
    const ledger = ledgerOf(stored(0, 9), {
      fromSeq: 10,
      toSeq: 10,
      outcome: 'duplicate',
      fromMs: 95,
      toMs: 95,
    })

    expect(explain(factsOf(ledger), 10, { silent: 4 })).toMatchObject({
      missing: 0,
      duplicate: 1,
      silent: 4,
      reasons: { sensor_silent: 4 },
    })
  })

  test.each([
    ['that was not connected took none', {}, { offline: [{ fromMs: 20, toMs: 50 }] }, { device_offline: 3 }],
    [
      'that was not connected for some of it',
      {},
      { offline: [{ fromMs: 20, toMs: 30 }] },
      { device_offline: 1, unexplained: 2 },
    ],
    ['that was connected all the time', {}, {}, { unexplained: 3 }],
    ['of which nothing ever came', { isSeen: false }, {}, { never_seen: 3 }],
    ['that has something waiting', { newestMs: 60, queued: 9 }, {}, { not_yet_arrived: 3 }],
    [
      'whose readings may be on their way',
      { newestMs: 60 },
      { clock: { nowMs: 110, onTheWayMs: 20 } },
      { not_yet_arrived: 3 },
    ],
    [
      'whose readings should have been here',
      { newestMs: 60 },
      { clock: { nowMs: 500, onTheWayMs: 20 } },
      { unexplained: 3 },
    ],
  ])('of a device %s says so', (_what, facts, more, reasons) => {
    // No hole: sequences 0 to 6, and three ticks without a reading.
    expect(explain(factsOf(ledgerOf(stored(0, 6)), facts), 7, more).reasons).toEqual(reasons)
  })

  test('knows a hole that waits on the device from one that is a loss', () => {
    const ledger = ledgerOf(stored(0, 2), stored(6, 9))

    expect(explain(factsOf(ledger, { queued: 3 }), 7).reasons).toEqual({ not_yet_arrived: 3 })
    expect(explain(factsOf(ledger, { queued: 0 }), 7).reasons).toEqual({ unexplained: 3 })
  })

  test('expects nothing from the time in which the device does not count for the lot', () => {
    expect(explain(factsOf(ledgerOf(stored(0, 9)), { fromMs: 50 }), 5)).toMatchObject({
      expected: 5,
      missing: 0,
    })
    expect(explain(factsOf(ledgerOf(stored(0, 9)), { fromMs: 500 }), 0)).toMatchObject({
      expected: null,
      unknown: 0,
    })
  })
})

describe('several accounts together', () => {
  test('keep what is known, and count of how many it is not', () => {
    const known = explain(factsOf(ledgerOf(stored(0, 6))), 7)
    const unknown = explain(factsOf(ledgerOf(stored(0, 9)), { expectedIn: () => null }), 10)

    expect(addUp([known, unknown])).toMatchObject({
      expected: 10,
      received: 17,
      missing: 3,
      unknown: 1,
      reasons: { unexplained: 3 },
    })
    expect(addUp([unknown, unknown])).toMatchObject({ expected: null, missing: null, unknown: 2 })
  })
})

describe('gaps', () => {
  const windows = [0, 50, 100, 150].map((fromMs) => ({ fromMs, toMs: fromMs + 50 }))
  const gaps = (facts: DeviceFacts, received: number[], max = 10) =>
    gapsOf(
      facts,
      windows,
      windows.map((window, i) =>
        explain(facts, received[i] ?? 0, { window, offline: [{ fromMs: 100, toMs: 200 }] }),
      ),
      { format, max },
    )

  test('are what the ledger proves, with sequences, and neighbours of one reason together', () => {
    const ledger = ledgerOf(
      stored(0, 1),
      { fromSeq: 2, toSeq: 2, outcome: 'dropped', reason: 'outbox_full' },
      stored(4, 9),
    )

    expect(gaps(factsOf(ledger), [3, 5, 0, 0])).toMatchObject([
      {
        reason: 'outbox_limit',
        detail: 'outbox_full',
        from: 't20',
        to: 't21',
        readings: 1,
        epoch,
        fromSeq: 2,
        toSeq: 2,
      },
      { reason: 'unexplained', from: 't30', readings: 1, fromSeq: 3, toSeq: 3 },
      { reason: 'device_offline', from: 't100', to: 't200', readings: 10, epoch: null, lotId: 'north' },
    ])
  })

  test('of a device of which nothing ever came are one, of a number that nobody knows', () => {
    const facts = factsOf(ledgerOf(), { isSeen: false, expectedIn: () => null, fromMs: 60 })

    expect(gaps(facts, [])).toMatchObject([{ reason: 'never_seen', from: 't60', to: 't200', readings: null }])
  })

  test('add up to what is missing', () => {
    const ledger = ledgerOf(
      stored(0, 1),
      { fromSeq: 2, toSeq: 2, outcome: 'dropped', reason: 'x' },
      stored(4, 9),
    )
    const facts = factsOf(ledger)
    const missing = [2, 5, 0, 0].map(
      (received, i) => explain(facts, received, { window: windows[i] as TimeRange }).missing ?? 0,
    )

    expect(gaps(facts, [2, 5, 0, 0]).reduce((sum, { readings }) => sum + (readings ?? 0), 0)).toBe(
      missing.reduce((sum, one) => sum + one, 0),
    )
  })

  test('are cut to the most that is listed', () => {
    expect(gaps(factsOf(ledgerOf(...[1, 3, 5, 7].map((seq) => stored(seq, seq)))), [], 3)).toHaveLength(3)
  })
})

test('who has come and gone was away in between, and who has not come back is away until now', () => {
  const presence = (connected: boolean, atMs: number) => ({
    deviceId,
    connected,
    brokerId: 'b',
    connectionId: 'c',
    atMs,
  })

  expect(
    offlineOf([presence(true, 0), presence(false, 10), presence(true, 20), presence(false, 30)], 99),
  ).toEqual([
    { fromMs: 10, toMs: 20 },
    { fromMs: 30, toMs: 99 },
  ])
  expect(offlineOf([], 99)).toEqual([])
})
