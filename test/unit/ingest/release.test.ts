import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../../core/contract/device.ts'
import type { QuarantineReason } from '../../../core/contract/reading.ts'
import { createIntake, type Intake } from '../../../ingest/intake.ts'
import { Ledger } from '../../../ingest/ledger.ts'
import { Statuses } from '../../../ingest/statuses.ts'
import { openDuckDB } from '../../../ingest/store/duckdb.ts'
import type { QuarantineEntry, Store } from '../../../ingest/store/store.ts'
import { handoverOf } from '../../kit/handover.ts'

const deviceId = 'a' as DeviceId
const epoch = '9f0c3a77d1e2b465' as Epoch
const startMs = Date.UTC(2026, 0, 1)
const by = { releasedAtMs: startMs, releasedBy: 'operator' }

let store: Store
let ledger: Ledger
let intake: Intake
beforeEach(async () => {
  store = await openDuckDB({
    file: ':memory:',
    segmentsDir: '/nowhere',
    memoryMax: '200MB',
    threads: 1,
    quarantinePerDeviceMax: 3,
  })
  ledger = new Ledger({ rangesPerEpochMax: 100, epochsPerDeviceMax: 10 })
  intake = createIntake({
    store,
    ledger,
    statuses: new Statuses(),
    hash: (data) => createHash('sha256').update(data).digest('hex'),
    handoversWaitingMax: 10,
    commitMessagesMax: 100,
    nowMs: () => 0,
    onCommit: () => undefined,
    onFatal(error) {
      throw error
    },
  })
})
afterEach(() => store.close())

const reading = (seq: number, more: object = {}) => ({
  seq,
  timestampMs: startMs + seq * 1000,
  occupied: seq,
  ...more,
})
const send = (readings: object[]) =>
  intake.take(handoverOf([{ deviceId, payload: { v: 1, epoch, readings }, receivedAtMs: startMs + 60_000 }]))

const entries = () =>
  store.quarantine({ deviceIds: undefined, reason: undefined, limit: 100, after: undefined })
const released = async () => intake.release(await entries(), by)
const sequences = async () => {
  const question = {
    fromMs: 0,
    toMs: Number.MAX_SAFE_INTEGER,
    spans: undefined,
    limit: 100,
    after: undefined,
  }
  return (await store.readings({ ...question, order: 'asc' })).map((stored) => stored.reading.seq)
}

/** As a version that knew less has left it: set aside, and the ledger says so. */
async function setAside(reason: QuarantineReason, content: string, seq?: number): Promise<void> {
  const entry: QuarantineEntry = {
    id: `${reason}/${seq}`,
    deviceId,
    credentialId: 'cred-1',
    receivedAtMs: startMs + 60_000,
    reason,
    epoch: seq === undefined ? undefined : epoch,
    seq,
    timestampMs: undefined,
    count: 1,
    content,
    contentHash: content,
    storedOccupied: undefined,
  }
  const row = { deviceId, epoch, fromSeq: seq ?? 0, toSeq: seq ?? 0, outcome: 'quarantined' as const }
  if (seq !== undefined) ledger.load(row)
  const rows = seq === undefined ? [] : [row]
  await store.commit({
    readings: [],
    ends: [],
    statuses: [],
    schedules: [],
    quarantine: [entry],
    ledger: rows,
  })
}

describe('what is released from quarantine', () => {
  test('is stored once when it is right by now, and comes out of quarantine with that', async () => {
    await setAside('reading.type', JSON.stringify(reading(4)), 4)

    expect(await released()).toHaveLength(1)

    expect(await sequences()).toEqual([4])
    expect(await entries()).toEqual([])
    expect(ledger.find(deviceId, epoch)?.outcomeOf(4)).toBe('stored')
    expect(await send([reading(4)])).toEqual(['r'])
    expect(await sequences()).toEqual([4])
  })

  test('is stored by the ledger of the next start, too', async () => {
    await setAside('reading.type', JSON.stringify(reading(4)), 4)
    await released()

    const again = new Ledger({ rangesPerEpochMax: 100, epochsPerDeviceMax: 10 })
    for (const row of (await store.load()).ledger.toReversed()) again.load(row)

    expect(again.find(deviceId, epoch)?.outcomeOf(4)).toBe('stored')
  })

  test('stays as it is when it is still wrong', async () => {
    await send([reading(1, { occupied: -1 }), reading(2)])
    const before = await entries()

    expect(await released()).toEqual([])

    expect(await entries()).toEqual(before)
    expect(await sequences()).toEqual([2])
    expect(ledger.find(deviceId, epoch)?.outcomeOf(1)).toBe('quarantined')
  })

  test('stays when the instant still has another value, and is a duplicate when it has the same', async () => {
    await send([reading(1), reading(2, { timestampMs: startMs + 1000, occupied: 9 })])
    await setAside(
      'reading.type',
      JSON.stringify(reading(3, { timestampMs: startMs + 1000, occupied: 1 })),
      3,
    )

    expect(await released()).toEqual(['reading.type/3'])

    expect((await entries()).map(({ reason }) => reason)).toEqual(['reading.conflict'])
    expect(ledger.find(deviceId, epoch)?.outcomeOf(3)).toBe('duplicate')
    expect(await sequences()).toEqual([1])
  })

  test('is a whole message when that could not be read; each of its readings has its own verdict then', async () => {
    const message = { v: 1, epoch, readings: [reading(1), reading(2, { occupied: -1 })] }
    await setAside('payload.invalid', JSON.stringify(message))
    await setAside('payload.unparsable', 'still not JSON')

    expect(await released()).toEqual(['payload.invalid/undefined'])

    expect(await sequences()).toEqual([1])
    expect((await entries()).map(({ reason }) => reason).sort()).toEqual([
      'payload.unparsable',
      'reading.negative',
    ])
  })

  test('stays when its content is gone', async () => {
    for (const seq of [1, 2, 3, 4]) await setAside('reading.type', JSON.stringify(reading(seq)), seq)

    expect(await released()).toHaveLength(3)
    expect(await entries()).toMatchObject([{ content: null }])
  })

  test('takes turns with what arrives, and neither is lost', async () => {
    await setAside('reading.type', JSON.stringify(reading(4)), 4)
    const all = await entries()

    const answers = await Promise.all([
      send([reading(1)]),
      intake.release(all, by),
      send([reading(4), reading(5)]),
      intake.release(all, by),
    ])

    expect(answers).toEqual([['s'], ['reading.type/4'], ['rs'], ['reading.type/4']])
    expect(await sequences()).toEqual([1, 4, 5])
  })
})
