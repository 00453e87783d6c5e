/** What every store has to do. Runs over each adapter. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import type { Reading } from '../../core/contract/reading.ts'
import { openDuckDB } from '../../ingest/store/duckdb.ts'
import { openInflux } from '../../ingest/store/influx.ts'
import type { InfluxOptions } from '../../ingest/store/influx-client.ts'
import type { QuarantineEntry, Store, StoreBatch, StoredReading } from '../../ingest/store/store.ts'
import { influx2Buckets, influx3Databases, influxOptions, startInflux } from '../kit/influx.ts'
import { startInflux3 } from '../kit/influx3.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { makeDataDir } from '../kit/program.ts'

const a = 'a' as DeviceId
const b = 'b' as DeviceId
const epoch = '9f0c3a77d1e2b465' as Epoch
const hourMs = 3600_000

/** Where stores are made: an engine that may have to be started first. */
interface Engine {
  /** Whether it takes away what it no longer needs. */
  readonly forgets: boolean
  /** A new, empty place; what opens a store there, again and again. */
  place(): Promise<{ open(): Promise<Store>; remove(): void }>
  stop(): Promise<void>
}

const quarantinePerDeviceMax = 2

async function startDuckDB(): Promise<Engine> {
  return {
    forgets: true,
    async place() {
      const folder = makeDataDir()
      const file = join(folder.path, 'readings.duckdb')
      return {
        open: () =>
          openDuckDB({
            file,
            segmentsDir: join(folder.path, 'segments'),
            memoryMax: '200MB',
            threads: 1,
            quarantinePerDeviceMax,
          }),
        remove: folder.remove,
      }
    },
    async stop() {
      // Each store has closed what it opened.
    },
  }
}

async function startInfluxDB(): Promise<Engine> {
  const influx = await startInflux()
  return {
    forgets: true,
    place: async () => influxPlace(influxOptions(influx.url, await influx.createDatabase())),
    stop: influx.stop,
  }
}

async function startStandIn(): Promise<Engine> {
  const influx = await startInflux()
  const influx3 = await startInflux3(influx.url)
  return {
    forgets: false,
    place: async () => influxPlace(influx3.optionsFor(await influx.createDatabase())),
    async stop() {
      await influx3.stop()
      await influx.stop()
    },
  }
}

function influxPlace(options: InfluxOptions): Awaited<ReturnType<Engine['place']>> {
  return { open: () => openInflux({ ...options, quarantinePerDeviceMax }), remove: () => undefined }
}

describe('a store in DuckDB', () => storeContract(startDuckDB))
describeWithCommand('influxd')('a store in InfluxDB', () => storeContract(startInfluxDB))
describeWithCommand('influxd')('a store in what is documented of InfluxDB 3', () =>
  storeContract(startStandIn),
)
for (const [name, makeBucket, forgets] of [
  ['InfluxDB 2', influx2Buckets(), true],
  ['InfluxDB 3', influx3Databases(), false],
] as const)
  if (makeBucket !== undefined)
    describe(`a store in ${name}`, () =>
      storeContract(async () => ({
        forgets,
        place: async () => influxPlace(await makeBucket()),
        stop: async () => undefined,
      })))

function storeContract(start: () => Promise<Engine>): void {
  let engine: Engine
  let place: Awaited<ReturnType<Engine['place']>>
  let store: Store
  beforeAll(async () => {
    engine = await start()
  })
  afterAll(() => engine.stop())
  beforeEach(async () => {
    place = await engine.place()
    store = await place.open()
  })
  afterEach(async () => {
    await store.close()
    place.remove()
  })

  async function reopen(): Promise<void> {
    await store.close()
    store = await place.open()
  }

  test('has an identifier that it keeps, and no other store has', async () => {
    const { storeId } = store
    const other = await engine.place()
    const another = await other.open()

    expect(another.storeId).not.toBe(storeId)
    await another.close()
    other.remove()
    await reopen()
    expect(store.storeId).toBe(storeId)
  })

  test('gives back every member of a reading as it was committed, after it was closed, too', async () => {
    const full: Partial<Reading> = {
      seq: 2 ** 53 - 1,
      capacity: 9,
      entriesTotal: 2 ** 53 - 1,
      exitsTotal: 0,
      clock: 'unsynced',
      sensor: 'stuck',
    }
    const readings = [stored(a, 1, 5, full), stored(a, 2, null, { sensor: 'silent' }), stored(b, 1, 0)]
    await store.commit(batch({ readings }))

    await reopen()

    expect(await all()).toEqual([readings[0], readings[2], readings[1]])
  })

  test('gives back ledger, ends and highest instants', async () => {
    const rows = [
      { deviceId: a, epoch, fromSeq: 0, toSeq: 4, outcome: 'stored' as const, fromMs: 3, toMs: 7 },
      { deviceId: a, epoch, fromSeq: 5, toSeq: 5, outcome: 'dropped' as const, reason: 'outbox_full' },
    ]
    await store.commit(
      batch({
        readings: [stored(a, 7, 1), stored(a, 3, 1)],
        ledger: rows,
        ends: [{ deviceId: a, epoch, lastSeq: 9 }],
      }),
    )

    await reopen()

    expect(await store.load()).toMatchObject({
      ledger: rows,
      ends: [{ deviceId: a, epoch, lastSeq: 9 }],
      highs: [{ deviceId: a, timestampMs: 7 }],
      statuses: [],
      schedules: [],
      presence: [],
    })
  })

  test('knows where devices have readings, or says that it does not', async () => {
    await store.commit(
      batch({
        readings: [0, 0.5, 1.2, 5, 5.9, 30]
          .map((hour) => stored(a, hour * hourMs, 1))
          .concat(stored(b, 7, 1)),
      }),
    )
    await reopen()

    const { covered } = await store.load()

    const stretch = (deviceId: DeviceId, from: number, to: number) => ({
      deviceId,
      fromMs: from * hourMs,
      toMs: to * hourMs,
    })
    if (covered !== undefined)
      expect(covered).toEqual([
        stretch(a, 0, 1.2),
        stretch(a, 5, 5.9),
        stretch(a, 30, 30),
        { deviceId: b, fromMs: 7, toMs: 7 },
      ])
  })

  test('compacts the ledger to what it is told', async () => {
    const row = (fromSeq: number, toSeq: number) => ({
      deviceId: a,
      epoch,
      fromSeq,
      toSeq,
      outcome: 'stored' as const,
    })
    await store.commit(batch({ ledger: [row(0, 0)] }))
    await store.commit(batch({ ledger: [row(1, 1)] }))
    expect(store.ledgerRowCount).toBe(2)

    await store.compact([row(0, 1)])

    expect(store.ledgerRowCount).toBe(1)
    await reopen()
    expect((await store.load()).ledger).toEqual([row(0, 1)])

    await store.commit(batch({ ledger: [row(2, 2)] }))
    await store.compact([row(0, 2)])
    await store.commit(batch({ ledger: [row(3, 3)] }))
    await reopen()
    expect((await store.load()).ledger).toEqual([row(0, 2), row(3, 3)])
    expect(store.ledgerRowCount).toBe(2)
  })

  test('finds what is stored at instants, however far apart', async () => {
    const yearMs = 365 * 24 * hourMs
    const readings = [stored(a, 0, 1), stored(a, yearMs, 2), stored(b, yearMs, 3), stored(b, 5, 4)]
    await store.commit(batch({ readings }))

    const found = await store.lookup([
      { deviceId: a, timestampMs: yearMs },
      { deviceId: a, timestampMs: 0 },
      { deviceId: a, timestampMs: 5 },
      { deviceId: a, timestampMs: 0 },
      { deviceId: 'unknown' as DeviceId, timestampMs: 0 },
    ])

    expect(found).toEqual([readings[0], readings[1]])
  })

  test('finds each of many instants far apart, and nothing of other devices or between them', async () => {
    const readings = Array.from({ length: 500 }, (_, i) => stored(a, i * 7 * hourMs, i))
    const others = readings.flatMap(({ reading: { timestampMs } }) => [
      stored(b, timestampMs, 1),
      stored(a, timestampMs + 1, 1),
    ])
    await store.commit(batch({ readings: [...readings, ...others] }))

    const found = await store.lookup(
      readings.map(({ deviceId, reading: { timestampMs } }) => ({ deviceId, timestampMs })),
    )

    expect(found.toSorted((x, y) => x.reading.timestampMs - y.reading.timestampMs)).toEqual(readings)
  })

  test('gives what was received since an instant, however old it is', async () => {
    const at = (timestampMs: number, receivedAtMs: number) => ({
      ...stored(a, timestampMs, timestampMs),
      receivedAtMs,
    })
    await store.commit(batch({ readings: [at(1, 500), at(2, 20), at(3, 499), at(4, 501), at(5, 30)] }))
    const question = { fromMs: 0, toMs: 10, receivedFromMs: 499.5, spans: undefined, limit: 1 }

    const first = await store.readings({ ...question, order: 'asc', after: undefined })
    const next = await store.readings({ ...question, order: 'asc', after: { deviceId: a, timestampMs: 1 } })
    const down = await store.readings({ ...question, limit: 5, order: 'desc', after: undefined })

    expect([first, next, down].map((found) => found.map(({ reading }) => reading.timestampMs))).toEqual([
      [1],
      [4],
      [4, 1],
    ])
  })

  test('gives pages of readings in both directions, within spans', async () => {
    await store.commit(
      batch({ readings: [1, 2, 3, 4].flatMap((at) => [stored(a, at, at), stored(b, at, at)]) }),
    )
    const spans = [
      { deviceId: a, fromMs: 2, toMs: 5 },
      { deviceId: b, fromMs: 0, toMs: 3 },
    ]
    const question = { fromMs: 0, toMs: 4, spans, limit: 2, after: undefined }
    const keys = (found: readonly StoredReading[]) =>
      found.map(({ deviceId, reading }) => `${deviceId}${reading.timestampMs}`)

    const up = await store.readings({ ...question, order: 'asc' })
    const next = await store.readings({ ...question, order: 'asc', after: { deviceId: a, timestampMs: 2 } })
    const down = await store.readings({ ...question, order: 'desc' })

    expect([keys(up), keys(next), keys(down)]).toEqual([
      ['b1', 'a2'],
      ['b2', 'a3'],
      ['a3', 'b2'],
    ])
  })

  test('sums up spans in windows of several runs, and leaves silence out of the values', async () => {
    const readings = [
      stored(a, 0, 4, { capacity: 8 }),
      stored(a, 9, 2, { capacity: 9 }),
      { ...stored(a, 10, 7), receivedAtMs: 10 + hourMs + 1 },
      stored(a, 12, null),
      stored(a, 35, 1),
      stored(b, 0, 9),
    ]
    await store.commit(batch({ readings }))
    const runs = [
      { index: 0, fromMs: 0, stepMs: 10, count: 2 },
      { index: 2, fromMs: 20, stepMs: 20, count: 1 },
    ]

    const found = await store.windows(
      [
        { deviceId: a, fromMs: 0, toMs: 100 },
        { deviceId: b, fromMs: 1, toMs: 100 },
      ],
      runs,
      35,
    )

    expect([...found]).toEqual([
      {
        span: 0,
        window: 0,
        count: 2,
        silent: 0,
        sum: 6,
        min: 2,
        max: 4,
        first: 4,
        last: 2,
        late: 0,
        capacity: 9,
      },
      {
        span: 0,
        window: 1,
        count: 1,
        silent: 1,
        sum: 7,
        min: 7,
        max: 7,
        first: 7,
        last: 7,
        late: 1,
        capacity: null,
      },
    ])
  })

  test('counts up what comes to quarantine again, and keeps content only up to the share of a device', async () => {
    await store.commit(batch({ quarantine: [entry('1', a), entry('2', a)] }))
    await store.commit(batch({ quarantine: [entry('1', a), entry('3', a), entry('4', b)] }))

    const found = await store.quarantine({
      deviceIds: undefined,
      reason: undefined,
      limit: 10,
      after: undefined,
    })

    expect(found.map(({ id, count, content }) => [id, count, content])).toEqual([
      ['4', 1, 'content 4'],
      ['3', 1, null],
      ['2', 1, 'content 2'],
      ['1', 2, 'content 1'],
    ])
  })

  test('knows the share of a device after a restart, and what a failed batch would have taken is free', async () => {
    const impossible = batch({ quarantine: [entry('0', a)], readings: [stored(a, 2, 2 ** 53)] })
    await store.commit(batch({ quarantine: [entry('1', a)] }))
    await expect(store.commit(impossible)).rejects.toThrow()
    await reopen()
    await store.commit(batch({ quarantine: [entry('2', a), entry('3', a)] }))

    const found = await store.quarantine({
      deviceIds: [a],
      reason: undefined,
      limit: 10,
      after: undefined,
    })

    expect(found.map(({ id, content }) => [id, content])).toEqual([
      ['3', null],
      ['2', 'content 2'],
      ['1', 'content 1'],
    ])
  })

  test('finds what was released no more, and leaves the rest', async () => {
    await store.commit(batch({ quarantine: [entry('1', a), entry('2', a), entry('3', b)] }))
    const question = { deviceIds: undefined, reason: undefined, limit: 10, after: undefined }
    const release = { releasedAtMs: 9, releasedBy: 'operator' }

    await store.commit(
      batch({
        readings: [stored(a, 1, 1)],
        released: [
          { id: '1', deviceId: a, ...release },
          { id: '3', deviceId: b, ...release },
        ],
      }),
    )
    await reopen()

    expect((await store.quarantine(question)).map(({ id }) => id)).toEqual(['2'])
    expect(await store.quarantine({ ...question, ids: ['1', '3'] })).toEqual([])
    expect((await store.quarantine({ ...question, ids: ['2', 'none'] })).map(({ id }) => id)).toEqual(['2'])
    expect(await store.quarantine({ ...question, ids: [] })).toEqual([])
  })

  test('keeps content of any characters', async () => {
    const contents = ['', 'a\0b', `'"\\`, 'line\nline', '\ufffd', '🅿️ ', '{"seq":1e999}']
    const entries = contents.map((content, index) => ({
      ...entry(String(index), `lot-${index}` as DeviceId),
      content,
    }))
    await store.commit(batch({ quarantine: entries }))

    const found = await store.quarantine({
      deviceIds: undefined,
      reason: undefined,
      limit: 10,
      after: undefined,
    })

    expect(found.map(({ content }) => content).reverse()).toEqual(contents)
  })

  test('pages through the quarantine by device and reason', async () => {
    await store.commit(batch({ quarantine: ['1', '2', '3'].map((id) => entry(id, a)) }))
    const question = { deviceIds: [a], reason: 'reading.type', limit: 2, after: undefined }
    const ids = async (more: object) => (await store.quarantine({ ...question, ...more })).map(({ id }) => id)

    expect(await ids({})).toEqual(['3', '2'])
    expect(await ids({ after: { receivedAtMs: 2, id: '2' } })).toEqual(['1'])
    expect(await ids({ reason: 'reading.negative' })).toEqual([])
    expect(await ids({ deviceIds: [b] })).toEqual([])
    expect(await ids({ deviceIds: [] })).toEqual([])
  })

  test('keeps lots, assignments and devices, and replaces them as a whole', async () => {
    const lot = { lotId: 'l', name: 'L', zone: 'Europe/London', capacities: [{ fromMs: 0, capacity: 4 }] }
    const assignment = { deviceId: 'a', lotId: 'l', fromMs: 1, toMs: null }
    const device = { deviceId: 'a', name: 'A', state: 'active' as const, registeredAtMs: 1, tags: ['x'] }
    await store.savePlaces({ lots: [{ ...lot, lotId: 'old' }], assignments: [assignment], devices: [] })
    await store.savePlaces({
      lots: [lot],
      assignments: [assignment, { ...assignment, fromMs: 5, toMs: 6 }],
      devices: [device],
    })

    await reopen()

    expect(await store.loadPlaces()).toEqual({
      lots: [lot],
      assignments: [assignment, { ...assignment, fromMs: 5, toMs: 6 }],
      devices: [device],
    })
  })

  test('keeps the newest status of each device, and of the others those that are to stay', async () => {
    const status = (atMs: number, history?: 'change' | 'beat') => ({
      deviceId: a,
      receivedAtMs: atMs,
      body: `{"v":${atMs}}`,
      ...(history === undefined ? {} : { history }),
    })
    await store.commit(batch({ statuses: [status(1, 'change')] }))
    await store.commit(batch({ statuses: [status(2, 'beat')] }))
    await store.commit(batch({ statuses: [status(3), { ...status(3, 'change'), deviceId: b }] }))

    await reopen()

    const ofA = { deviceIds: [a], fromMs: 1, toMs: 4 }
    const { statuses } = await store.load()
    expect(statuses.toSorted((x, y) => (x.deviceId < y.deviceId ? -1 : 1))).toEqual([
      status(3),
      { ...status(3), deviceId: b },
    ])
    expect(await store.statuses(ofA)).toEqual([status(1, 'change'), status(2, 'beat')])
    expect(await store.statuses({ ...ofA, deviceIds: [] })).toEqual([])
    await store.pruneHistory({ beatsMs: 4, changesMs: 1 })
    const kept = engine.forgets ? [] : [status(2, 'beat')]
    expect(await store.statuses(ofA)).toEqual([status(1, 'change'), ...kept])
  })

  test('keeps each change of schedule', async () => {
    const schedules = [
      { deviceId: a, sinceMs: 5, cron: '* * * * *' },
      { deviceId: a, sinceMs: 9, cron: '*/5 * * * *' },
    ]
    await store.commit(batch({ schedules: schedules.slice(0, 1) }))
    await store.commit(batch({ schedules: schedules.slice(1) }))

    await reopen()

    expect((await store.load()).schedules).toEqual(schedules)
  })

  test('keeps when devices came and went, and knows what held before', async () => {
    const presence = (deviceId: DeviceId, atMs: number, connected: boolean) => ({
      deviceId,
      connected,
      brokerId: 'broker',
      connectionId: `c${atMs}`,
      atMs,
    })
    const came = presence(a, 1, true)
    const left = presence(a, 5, false)
    await store.savePresence([came, presence(b, 2, true)])
    await store.savePresence([left])

    await reopen()

    const { presence: newest } = await store.load()
    expect(newest.toSorted((x, y) => (x.deviceId < y.deviceId ? -1 : 1))).toEqual([
      left,
      presence(b, 2, true),
    ])
    expect(await store.presence({ deviceIds: [a], fromMs: 3, toMs: 6 })).toEqual([came, left])
    expect(await store.presence({ deviceIds: [a], fromMs: 3, toMs: 5 })).toEqual([came])
    expect(await store.presence({ deviceIds: [], fromMs: 3, toMs: 5 })).toEqual([])
  })

  test('ends a question when its client leaves', async () => {
    const leaving = AbortSignal.abort(new Error('gone'))

    const question = store.readings(
      { fromMs: 0, toMs: 1, spans: undefined, order: 'asc', limit: 1, after: undefined },
      leaving,
    )

    await expect(question).rejects.toThrow()
    await expect(store.check()).resolves.toBeUndefined()
  })

  test('keeps nothing of a batch that it cannot keep as a whole', async () => {
    const impossible = stored(a, 2, 2 ** 53)

    await expect(store.commit(batch({ readings: [stored(a, 1, 1), impossible] }))).rejects.toThrow()

    expect(await all()).toEqual([])
    await store.commit(batch({ readings: [stored(a, 1, 1)] }))
    expect(await all()).toEqual([stored(a, 1, 1)])
  })

  function all(): Promise<readonly StoredReading[]> {
    return store.readings({
      fromMs: 0,
      toMs: Number.MAX_SAFE_INTEGER,
      spans: undefined,
      order: 'asc',
      limit: 100,
      after: undefined,
    })
  }
}

function batch(parts: Partial<StoreBatch>): StoreBatch {
  return { readings: [], ledger: [], ends: [], quarantine: [], statuses: [], schedules: [], ...parts }
}

function stored(
  deviceId: DeviceId,
  timestampMs: number,
  occupied: number | null,
  more: Partial<Reading> = {},
): StoredReading {
  const isIdentified = more.seq !== undefined
  return {
    deviceId,
    credentialId: 'cred-1',
    receivedAtMs: 1000,
    epoch: isIdentified ? epoch : undefined,
    reading: { timestampMs, occupied, ...more },
  }
}

function entry(id: string, deviceId: DeviceId): QuarantineEntry {
  return {
    id,
    deviceId,
    credentialId: 'cred-1',
    receivedAtMs: Number(id),
    reason: 'reading.type',
    epoch: undefined,
    seq: undefined,
    timestampMs: undefined,
    count: 1,
    content: `content ${id}`,
    contentHash: `hash ${id}`,
    storedOccupied: undefined,
  }
}
