import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../../core/contract/device.ts'
import { readFrames } from '../../../core/contract/handover.ts'
import { readArrivals } from '../../../ingest/arrivals.ts'
import { decide, instantsToLookUp } from '../../../ingest/decide.ts'
import { Ledger } from '../../../ingest/ledger.ts'
import type { QuarantineEntry, StoredReading } from '../../../ingest/store/store.ts'
import { handoverOf, type SentMessage } from '../../kit/handover.ts'

const epoch = '9f0c3a77d1e2b465' as Epoch
const startMs = Date.UTC(2026, 0, 1)

/** How a commit ends: well, before it stored anything, or between its readings and its ledger. */
type Ending = 'well' | 'before' | 'between'

/** A store that is a list, and a commit that may fail. */
function createRoom() {
  let ledger = createLedger()
  const rows: StoredReading[] = []
  const quarantine: QuarantineEntry[] = []
  return {
    rows,
    quarantine,
    get ledger() {
      return ledger
    },
    /** As after a crash: what is in memory comes from the store. */
    restart(): void {
      const settled = [...ledger.rows()]
      ledger = createLedger()
      for (const row of settled) ledger.load(row)
      for (const deviceId of new Set(rows.map((row) => row.deviceId))) {
        const instants = rows.filter((row) => row.deviceId === deviceId).map((row) => row.reading.timestampMs)
        for (const at of instants) ledger.loadCovered(deviceId, at, at)
      }
    },
    take(messages: readonly SentMessage[], ending: Ending = 'well'): readonly string[] {
      const arrivals = readArrivals(readFrames(handoverOf(messages)))
      const asked = instantsToLookUp(arrivals, ledger)
      const stored = rows.filter(({ deviceId, reading }) =>
        asked.some((instant) => instant.deviceId === deviceId && instant.timestampMs === reading.timestampMs),
      )
      const hash = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex')
      const decision = decide(arrivals, { ledger, stored, hash })
      if (ending !== 'before') rows.push(...decision.readings)
      if (ending !== 'well') {
        ledger.discard()
        return []
      }
      quarantine.push(...decision.quarantine)
      ledger.settle()
      return decision.verdicts
    },
  }
}

function createLedger(): Ledger {
  return new Ledger({ rangesPerEpochMax: 1000, epochsPerDeviceMax: 10 })
}

const message = (deviceId: string, sequences: readonly number[]): SentMessage => ({
  deviceId,
  receivedAtMs: startMs,
  payload: {
    v: 1,
    epoch,
    readings: sequences.map((seq) => ({ seq, timestampMs: startMs - 1000 + seq, occupied: seq })),
  },
})

const endings = fc.array(
  fc.record({ ending: fc.constantFrom('well', 'before', 'between'), restarts: fc.boolean() }),
)

const batches = fc.array(
  fc.array(
    fc.record({ device: fc.constantFrom('a', 'b'), sequences: fc.array(fc.nat(30), { maxLength: 8 }) }),
    { maxLength: 4 },
  ),
  { maxLength: 8 },
)

describe('deciding', () => {
  test('stores each reading once, in whatever order and however often it comes, and whatever fails', () => {
    fc.assert(
      fc.property(batches, endings, (sent, ends) => {
        const room = createRoom()
        const messagesOf = sent.map((batch) =>
          batch.map(({ device, sequences }) => message(device, sequences)),
        )
        for (const [i, messages] of messagesOf.entries()) {
          room.take(messages, ends[i]?.ending)
          if (ends[i]?.restarts) room.restart()
        }
        for (const messages of messagesOf) room.take(messages)

        const identities = room.rows.map(({ deviceId, reading }) => `${deviceId}/${reading.seq}`).sort()
        const expected = new Set(
          sent.flat().flatMap(({ device, sequences }) => sequences.map((seq) => `${device}/${seq}`)),
        )
        expect(identities).toEqual([...expected].sort())
        const known = [...expected].filter((identity) => {
          const [device = '', seq] = identity.split('/')
          return room.ledger.find(device as DeviceId, epoch)?.outcomeOf(Number(seq)) === 'stored'
        })
        expect(known).toHaveLength(expected.size)
        expect(room.quarantine).toEqual([])
      }),
    )
  })

  test('knows its own reading again where a commit broke off before the ledger, whoever comes first', () => {
    const at = (seq: number, occupied: number): SentMessage => ({
      deviceId: 'a',
      receivedAtMs: startMs,
      payload: { v: 1, epoch, readings: [{ seq, timestampMs: startMs - 10, occupied }] },
    })
    const room = createRoom()
    room.take([at(0, 1)], 'between')

    expect(room.take([at(1, 2)])).toEqual(['c'])
    expect(room.take([at(0, 1)])).toEqual(['r'])
    expect(room.ledger.device('a' as DeviceId).highMs).toBe(startMs - 10)
    expect(room.rows).toHaveLength(1)
  })

  test('leaves the ledger with the same ranges in whatever order batches come', () => {
    fc.assert(
      fc.property(batches, (sent) => {
        const forward = createRoom()
        const backward = createRoom()
        const messagesOf = sent.map((batch) =>
          batch.map(({ device, sequences }) => message(device, sequences)),
        )
        for (const messages of messagesOf) forward.take(messages)
        for (const messages of messagesOf.toReversed()) backward.take(messages)

        const inOrder = (ledger: Ledger) => [...ledger.rows()].map((row) => JSON.stringify(row)).sort()
        expect(inOrder(backward.ledger)).toEqual(inOrder(forward.ledger))
      }),
    )
  })

  test('finds the same instant within one batch, and among what is stored', () => {
    const room = createRoom()
    const at = (seq: number | undefined, offsetMs: number, occupied: number): SentMessage => ({
      deviceId: 'a',
      receivedAtMs: startMs,
      payload: {
        v: 1,
        ...(seq === undefined ? {} : { epoch }),
        readings: [{ ...(seq === undefined ? {} : { seq }), timestampMs: startMs - offsetMs, occupied }],
      },
    })

    const first = room.take([at(0, 10, 1), at(1, 10, 1), at(2, 10, 2), at(3, 5, 9)])
    const second = room.take([at(4, 10, 1), at(5, 10, 3), at(undefined, 5, 9), at(6, 7, 4)])

    expect(first).toEqual(['s', 'd', 'c', 's'])
    expect(second).toEqual(['d', 'c', 'd', 's'])
    expect(room.quarantine.map(({ seq, storedOccupied }) => [seq, storedOccupied])).toEqual([
      [2, 1],
      [5, 1],
    ])
  })

  test('looks nothing up where its device has nothing, nor for what the ledger knows', () => {
    const room = createRoom()
    room.take([message('a', [1, 2, 5])])
    const arrivals = (sequences: number[]) => readArrivals(readFrames(handoverOf([message('a', sequences)])))

    expect(instantsToLookUp(arrivals([2, 5, 6]), room.ledger)).toEqual([])
    // Older than all of its device is as new; between what is there something may be.
    expect(instantsToLookUp(arrivals([0, 3]), room.ledger)).toEqual([
      { deviceId: 'a', timestampMs: startMs - 1000 + 3 },
    ])
  })

  test('sets aside what a device dropped when its ledger has no room for it', () => {
    const ledger = new Ledger({ rangesPerEpochMax: 1, epochsPerDeviceMax: 1 })
    const dropped = [0, 5].map((seq) => ({ fromSeq: seq, toSeq: seq + 1, reason: 'outbox_full' }))
    const arrivals = readArrivals(
      readFrames(handoverOf([{ deviceId: 'a', payload: { v: 1, epoch, readings: [], dropped } }])),
    )

    const { quarantine } = decide(arrivals, { ledger, stored: [], hash: String })

    expect([...ledger.stagedRows()]).toMatchObject([{ fromSeq: 0, toSeq: 1, outcome: 'dropped' }])
    expect(quarantine).toMatchObject([
      { reason: 'ledger.full', epoch, content: JSON.stringify({ epoch, dropped: [dropped[1]] }) },
    ])
  })

  test('keeps the newest status of a device, whatever comes first', () => {
    const status = (receivedAtMs: number, body: object): SentMessage => ({
      deviceId: 'a',
      kind: 'status',
      receivedAtMs,
      payload: body,
    })
    const arrivals = readArrivals(readFrames(handoverOf([status(2, { n: 2 }), status(1, { n: 1 })])))

    const { statuses } = decide(arrivals, { ledger: createRoom().ledger, stored: [], hash: String })

    expect(statuses).toEqual([{ deviceId: 'a', receivedAtMs: 2, body: '{"n":2}' }])
  })
})
