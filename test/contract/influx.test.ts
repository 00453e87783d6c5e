/** What a store in InfluxDB has to promise beside every other store's contract: InfluxDB has no transaction, and a network before it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { initTls, parseServerName } from '../../cli/tls.ts'
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import { openDuckDB } from '../../ingest/store/duckdb.ts'
import { openInflux } from '../../ingest/store/influx.ts'
import { createInfluxClient, type InfluxOptions } from '../../ingest/store/influx-client.ts'
import { readingLine } from '../../ingest/store/influx-points.ts'
import type { Store, StoreBatch, StoredReading } from '../../ingest/store/store.ts'
import { windowsOf } from '../../ingest/windows.ts'
import { Zone } from '../../ingest/zone.ts'
import {
  type FateOf,
  type Influx,
  type InfluxProxy,
  influxOptions,
  startInflux,
  startInfluxProxy,
  startVictoriaMetrics,
} from '../kit/influx.ts'
import { type Influx3, startInflux3 } from '../kit/influx3.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { eventually, makeDataDir } from '../kit/program.ts'

const a = 'a' as DeviceId
const epoch = '9f0c3a77d1e2b465' as Epoch
const stored = 'stored' as const
const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const isWrite = (body: string, measurement: string) => body.startsWith(`${measurement},`)

describeWithCommand('influxd').each([1, 3] as const)('a store in InfluxDB %i', (version) => {
  let influx: Influx
  let influx3: Influx3
  let proxy: InfluxProxy
  let database: string
  let store: Store
  beforeAll(async () => {
    influx = await startInflux()
    influx3 = await startInflux3(influx.url)
    proxy = await startInfluxProxy(version === 3 ? influx3.url : influx.url)
  })
  afterAll(async () => {
    await proxy.stop()
    await influx3.stop()
    await influx.stop()
  })
  beforeEach(async () => {
    proxy.decide(() => 'pass')
    database = await influx.createDatabase()
    store = await open()
  })

  /** Through the proxy, or past it. */
  function optionsFor(name: string, url?: string): InfluxOptions {
    return version === 3 ? influx3.optionsFor(name, url) : influxOptions(url ?? influx.url, name)
  }

  /** Waits long enough for a busy machine, not for a server that hangs. */
  function open(timeoutMs = 1500): Promise<Store> {
    return openInflux({ ...optionsFor(database, proxy.url), timeoutMs, quarantinePerDeviceMax: 10 })
  }

  test.each<[string, FateOf]>([
    ['refuses', (_request, body) => (isWrite(body, 'readings') ? 400 : 'pass')],
    ['fails', (_request, body) => (isWrite(body, 'readings') ? 500 : 'pass')],
    ['says yes in another way than when lines are stored', () => 200],
    ['is silent', (_request, body) => (isWrite(body, 'readings') ? 'hang' : 'pass')],
    ['hangs up', (_request, body) => (isWrite(body, 'readings') ? 'lose the answer' : 'pass')],
  ])('says nothing of a batch in the ledger when its server %s', async (_name, fate) => {
    proxy.decide(fate)

    await expect(store.commit(batch([reading(1, 5)], 1))).rejects.toMatchObject({ code: 'store.unavailable' })

    proxy.decide(() => 'pass')
    expect((await store.load()).ledger).toEqual([])
    await store.commit(batch([reading(1, 5)], 1))
    expect(await all(store)).toEqual([reading(1, 5)])
    expect((await store.load()).ledger).toEqual(batch([], 1).ledger)
  })

  test('waits for a server that answers slowly, and what comes meanwhile waits behind it', async () => {
    const patient = await open(15_000)
    let writes = 0
    proxy.decide((_request, body) => {
      if (isWrite(body, 'readings')) writes++
      return 'slow'
    })
    const order: number[] = []

    const commits = [1, 2].map((seq) =>
      patient.commit(batch([reading(seq, seq)], seq)).then(() => order.push(seq)),
    )
    await eventually(() => writes > 0)
    // Its answer is still to come, and the second batch behind it.
    expect({ writes, order }).toEqual({ writes: 1, order: [] })
    await Promise.all(commits)

    expect(order).toEqual([1, 2])
    proxy.decide(() => 'pass')
    expect(await all(patient)).toEqual([reading(1, 1), reading(2, 2)])
    expect((await patient.load()).ledger).toHaveLength(2)
    await patient.close()
  })

  test('refuses a batch of which InfluxDB takes a part', async () => {
    await influx.write(database, 'readings,device=a capacity=1.5 5000000')

    const commit = store.commit(batch([reading(1, 5), reading(2, 6, { capacity: 9 })], 2))

    await expect(commit).rejects.toMatchObject({
      code: 'store.unavailable',
      message: expect.stringContaining('partial write: field type conflict'),
    })
    expect((await store.load()).ledger).toEqual([])
  })

  test('keeps readings without their ledger when it breaks off between, and finds them again', async () => {
    proxy.decide((_request, body) => (isWrite(body, 'ledger') ? 503 : 'pass'))

    await expect(store.commit(batch([reading(1, 5)], 1))).rejects.toMatchObject({ code: 'store.unavailable' })

    proxy.decide(() => 'pass')
    const reopened = await open()
    expect(await reopened.load()).toMatchObject({
      ledger: [],
      ends: [],
      highs: [{ deviceId: a, timestampMs: 1 }],
    })
    expect(await reopened.lookup([{ deviceId: a, timestampMs: 1 }])).toEqual([reading(1, 5)])
  })

  test('writes what was never answered again before it looks anything up', async () => {
    proxy.decide((_request, body) => (isWrite(body, 'readings') ? 'hang' : 'pass'))
    await expect(store.commit(batch([reading(1, 5)], 1))).rejects.toThrow()
    const lookup = () => store.lookup([{ deviceId: a, timestampMs: 1 }])

    await expect(lookup()).rejects.toMatchObject({ code: 'store.unavailable' })
    proxy.decide(() => 'pass')

    expect(await lookup()).toEqual([reading(1, 5)])
  })

  test('gives back more rows than come in one piece', async () => {
    const readings = Array.from({ length: 25_000 }, (_, i) => reading(i, i))
    const patient = await open(15_000)
    await patient.commit(batch(readings, 1))

    const found = await patient.readings({
      fromMs: 0,
      toMs: 25_000,
      spans: undefined,
      order: 'desc',
      limit: 24_000,
      after: undefined,
    })

    expect(found).toEqual(readings.toReversed().slice(0, 24_000))
  })

  test('keeps apart what a device sent to quarantine within one millisecond, batch after batch', async () => {
    const entries = (from: number) =>
      [from, from + 1].map((i) => ({
        id: `id ${i}`,
        deviceId: a,
        credentialId: 'c',
        receivedAtMs: 7,
        reason: 'payload.unparsable' as const,
        epoch: undefined,
        seq: undefined,
        timestampMs: undefined,
        count: 1,
        content: `'";\\ ${i}`,
        contentHash: `hash ${i}`,
        storedOccupied: undefined,
      }))
    for (const from of [0, 1, 2])
      await store.commit({ ...batch([], 0), ledger: [], quarantine: entries(from) })

    const question = { deviceIds: undefined, reason: undefined, limit: 2 }
    const first = await store.quarantine({ ...question, after: undefined })
    const second = await store.quarantine({ ...question, after: { receivedAtMs: 7, id: 'id 2' } })

    expect([...first, ...second].map(({ id, count, content }) => [id, count, content])).toEqual([
      ['id 3', 1, `'";\\ 3`],
      ['id 2', 2, `'";\\ 2`],
      ['id 1', 2, `'";\\ 1`],
      ['id 0', 1, `'";\\ 0`],
    ])
  })

  test(
    'sums from closed days are those of DuckDB from readings, whatever comes late and whatever is asked',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          dayWorlds,
          async ({ early, late, closed, closedAgain, every, tz, cuts, shiftMs }) => {
            const options = optionsFor(await influx.createDatabase())
            let others = await openInflux({ ...options, quarantinePerDeviceMax: 1 })
            const duck = await openDuckDB({
              file: ':memory:',
              segmentsDir: '/nowhere',
              memoryMax: '200MB',
              threads: 1,
              quarantinePerDeviceMax: 1,
            })
            const known = new Set(early.map(({ deviceId, reading }) => `${deviceId}${reading.timestampMs}`))
            const after = late.filter(
              ({ deviceId, reading }) => !known.has(`${deviceId}${reading.timestampMs}`),
            )
            await duck.commit({ ...batch([...early, ...after], 0), ledger: [] })
            await others.commit({ ...batch(early, 0), ledger: [] })
            for (const i of closed) await others.days?.close(firstDay + i)
            // What is known of days is in the database.
            await others.close()
            others = await openInflux({ ...options, quarantinePerDeviceMax: 1 })
            await others.commit({ ...batch(after, 0), ledger: [] })
            for (const i of closedAgain) await others.days?.close(firstDay + i)
            const fromMs = firstDay * dayMs + shiftMs
            const toMs = (firstDay + 5) * dayMs - shiftMs
            const unit = every.slice(-1) as 'm' | 'h' | 'd' | 'w' // from the list below
            const question = { fromMs, toMs, every: { count: Number(every.slice(0, -1)), unit } }
            const windows = windowsOf({ ...question, zone: new Zone(tz) }, 100_000)
            const ask = async (one: Store) => [...(await one.windows(cuts, windows?.runs ?? [], toMs))]
            expect(await ask(others)).toEqual(await ask(duck))
            await others.close()
            await duck.close()
          },
        ),
        { numRuns: isLong ? 500 : 12 },
      )
    },
    isLong ? 3600_000 : 300_000,
  )

  test('is its newest ingest’s: the one before ends at its next commit, and nothing of either is lost', async () => {
    const options = optionsFor(database)
    const ended: unknown[] = []
    const older = await openInflux({
      ...options,
      quarantinePerDeviceMax: 10,
      onFatal: (error) => ended.push(error),
    })
    await older.commit(batch([reading(1, 5)], 1))
    const newer = await openInflux({ ...options, quarantinePerDeviceMax: 10 })

    await newer.commit(batch([reading(2, 6)], 2))
    expect(ended).toEqual([])
    await expect(older.commit(batch([reading(3, 7)], 3))).rejects.toMatchObject({ code: 'store.locked' })
    expect(ended).toMatchObject([{ code: 'store.locked' }])
    await newer.commit(batch([reading(3, 7)], 3))

    expect(await all(newer)).toEqual([reading(1, 5), reading(2, 6), reading(3, 7)])
    expect((await newer.load()).ledger).toEqual([1, 2, 3].flatMap((seq) => [...batch([], seq).ledger]))
    await older.close()
    await newer.close()
  })

  test('knows after each start which days are closed, which are stale, and what they were closed as', async () => {
    const days = async () => {
      store = await open()
      const closed = store.days?.closed() ?? []
      return {
        open: store.days?.open(),
        closed: closed.map(({ generation, rows, isStale }) => ({ generation, rows, isStale })),
      }
    }
    await store.commit(batch([reading(1, 5)], 1))
    expect(await days()).toEqual({ open: [0], closed: [] })

    await store.days?.close(0)
    expect(await days()).toEqual({ open: [], closed: [{ generation: 1, rows: 1, isStale: false }] })

    await store.commit(batch([reading(2, 6)], 2))
    expect(await days()).toEqual({ open: [], closed: [{ generation: 1, rows: 1, isStale: true }] })

    await store.days?.close(0)
    expect(await days()).toEqual({ open: [], closed: [{ generation: 2, rows: 2, isStale: false }] })
  })

  test('never writes sums where a closing that broke off has written others', async () => {
    await store.commit(batch([reading(1, 5)], 1))
    proxy.decide((_request, body) => (isWrite(body, 'rollups_15m') ? 'lose the answer' : 'pass'))
    await expect(store.days?.close(0)).rejects.toMatchObject({ code: 'store.unavailable' })
    proxy.decide(() => 'pass')
    await store.commit(batch([reading(2, 6)], 2))
    store = await open()

    await store.days?.close(0)

    expect(store.days?.closed()).toMatchObject([{ day: 0, generation: 2, rows: 2, isStale: false }])
    expect(await firstDayOf(store)).toMatchObject([{ count: 2, sum: 11 }])
  })

  test('keeps in order what became of a device within one millisecond, once where it was saved twice', async () => {
    const presence = (connectionId: string, connected: boolean) => ({
      deviceId: a,
      connected,
      brokerId: 'b1',
      connectionId,
      atMs: 5,
    })
    const told = [presence('c1', true), presence('c1', false), presence('c2', true)]
    proxy.decide((_request, body) => (isWrite(body, 'presence') ? 'lose the answer' : 'pass'))
    await expect(store.savePresence(told)).rejects.toMatchObject({ code: 'store.unavailable' })
    proxy.decide(() => 'pass')
    await store.savePresence(told)
    await store.savePresence([presence('c2', false)])

    const found = await store.presence({ deviceIds: [a], fromMs: 0, toMs: 9 })

    expect(found).toEqual([...told, presence('c2', false)])
    expect((await store.load()).presence).toEqual([presence('c2', false)])
  })

  test('relies on no sums of a day whose closing had no answer, once more readings have come', async () => {
    await store.commit(batch([reading(1, 5)], 1))
    proxy.decide((_request, body) => (body.startsWith('day_notes ') ? 'lose the answer' : 'pass'))
    await expect(store.days?.close(0)).rejects.toMatchObject({ code: 'store.unavailable' })
    proxy.decide(() => 'pass')
    await store.commit(batch([reading(2, 6)], 2))

    store = await open()

    expect(await firstDayOf(store)).toMatchObject([{ count: 2, sum: 11 }])
  })

  test('notes a day with the next batch where the first could not be', async () => {
    proxy.decide((_request, body) => (body.startsWith('day_notes ') ? 500 : 'pass'))
    await expect(store.commit(batch([reading(1, 5)], 1))).rejects.toThrow()
    proxy.decide(() => 'pass')
    await store.commit(batch([reading(1, 5)], 1))

    const again = await open()

    expect(again.days?.open()).toEqual([0])
    await again.close()
  })

  test('has the same answers as DuckDB to the same questions', async () => {
    await fc.assert(
      fc.asyncProperty(worlds, async ({ readings, spans, stepMs, limit, order }) => {
        const others = await openInflux({
          ...optionsFor(await influx.createDatabase()),
          quarantinePerDeviceMax: 1,
        })
        const duck = await openDuckDB({
          file: ':memory:',
          segmentsDir: '/nowhere',
          memoryMax: '200MB',
          threads: 1,
          quarantinePerDeviceMax: 1,
        })
        const answers = []
        for (const one of [others, duck]) {
          await one.commit({ ...batch(readings, 0), ledger: [] })
          const runs = [
            { index: 0, fromMs: 3, stepMs, count: 4 },
            { index: 4, fromMs: 3 + 4 * stepMs, stepMs: 2 * stepMs, count: 3 },
          ]
          // As every question does, it ends where its last window ends, or within it.
          const windows = await one.windows(spans, runs, 3 + 10 * stepMs - (stepMs >> 1))
          const question = { fromMs: 2, toMs: 90, spans, order, limit }
          const page = await one.readings({ ...question, after: undefined })
          const last = page.at(-1)
          const after = last && { deviceId: last.deviceId, timestampMs: last.reading.timestampMs }
          answers.push({
            windows: [...windows],
            page,
            next: await one.readings({ ...question, after }),
            highs: (await one.load()).highs.toSorted((x, y) => (x.deviceId < y.deviceId ? -1 : 1)),
          })
        }
        await duck.close()
        expect(answers[0]).toEqual(answers[1])
      }),
      { numRuns: 25 },
    )
  }, 60_000)
})

describeWithCommand('influxd')('the way to InfluxDB', () => {
  let influx: Influx
  let proxy: InfluxProxy
  let database: string
  beforeAll(async () => {
    influx = await startInflux()
    proxy = await startInfluxProxy(influx.url)
  })
  afterAll(async () => {
    await proxy.stop()
    await influx.stop()
  })
  beforeEach(async () => {
    proxy.decide(() => 'pass')
    database = await influx.createDatabase()
  })

  test('is not opened where InfluxDB forgets', async () => {
    await influx.query('', `ALTER RETENTION POLICY autogen ON ${database} DURATION 30d`)

    await expect(
      openInflux({ ...influxOptions(proxy.url, database), quarantinePerDeviceMax: 1 }),
    ).rejects.toMatchObject({ code: 'config.invalid', faults: [expect.stringContaining(database)] })
  })

  test('is not opened where InfluxDB 3 does not give back what is old', async () => {
    const influx3 = await startInflux3(influx.url)
    const options = { ...influx3.optionsFor(database), quarantinePerDeviceMax: 1 }
    const store = await openInflux(options)
    await store.close()
    influx3.forgets()

    const another = { ...options, bucket: await influx.createDatabase() }
    await expect(openInflux(another)).rejects.toMatchObject({
      code: 'config.invalid',
      faults: [expect.stringContaining(another.bucket)],
    })
    await influx3.stop()
  })

  test.each([
    {
      version: 1 as const,
      username: 'lotwatch',
      path: '/write?db=the%20bucket',
      authorization: `Basic ${Buffer.from('lotwatch:secret').toString('base64')}`,
    },
    {
      version: 2 as const,
      username: undefined,
      path: '/api/v2/write?org=an%20org&bucket=the%20bucket&precision=ns',
      authorization: 'Token secret',
    },
    {
      version: 3 as const,
      username: undefined,
      path: '/api/v2/write?org=an%20org&bucket=the%20bucket&precision=ns',
      authorization: 'Token secret',
    },
  ])('reaches version $version where it listens, and shows it the token', async (expected) => {
    const options = { ...influxOptions(proxy.url, database), quarantinePerDeviceMax: 1, token: 'secret' }
    const first = await openInflux({ ...options, token: undefined })
    await first.close()
    const seen: (string | undefined)[][] = []
    proxy.decide(({ url, headers }) => {
      if (url === '/query') return 'pass'
      seen.push([url, headers.authorization])
      return 204
    })
    const { version, username } = expected
    // Questions go to the real database; only where the lines go is asked here.
    const other = await openInflux({ ...options, version, username, org: 'an org' })
    await other.savePresence([
      { deviceId: a, connected: true, brokerId: 'b1', connectionId: 'c1', atMs: 1000 },
    ])

    const path = expected.path.replace('the%20bucket', database)
    expect(new Set(seen.map(String))).toEqual(new Set([String([path, expected.authorization])]))
    await other.close()
  })

  test('is reached over TLS by a private authority, and by no other', async () => {
    const folder = makeDataDir()
    await initTls(folder.path, { servers: [parseServerName('influxdb:127.0.0.1')], days: 1, now: new Date() })
    const read = (name: string) => readFileSync(join(folder.path, name), 'utf8')
    const ca = read('ca.pem')
    const tls = await startInfluxProxy(influx.url, { cert: read('influxdb.pem'), key: read('influxdb.key') })
    const options = { ...influxOptions(tls.url, database), quarantinePerDeviceMax: 1 }

    const trusting = await openInflux({ ...options, ca: [ca], fetch: createFetch({ ca }) })
    await trusting.commit(batch([reading(1, 5)], 1))
    expect(await all(trusting)).toEqual([reading(1, 5)])
    // Trusted for questions, but not for lines; then for neither.
    for (const wary of [{ ...options, fetch: createFetch({ ca }) }, options])
      await expect(openInflux(wary)).rejects.toMatchObject({ code: 'store.unavailable' })
    await tls.stop()
    folder.remove()
  })
})

describeWithCommand('victoria-metrics')('lines on the path of InfluxDB 2', () => {
  test('are taken by a server that is not ours, every one of them', async () => {
    const victoria = await startVictoriaMetrics()
    const options = { ...influxOptions(victoria.url, 'readings'), version: 2 as const, org: 'lotwatch' }
    const startMs = Date.UTC(2026, 0, 1)
    const readings = Array.from({ length: 6000 }, (_, i) => reading(startMs + i, i))

    await createInfluxClient(options).write(readings.map(readingLine))

    const { values, timestamps } = await victoria.fieldOf('a', 'readings_occupied')
    expect(values).toEqual(readings.map(({ reading }) => reading.occupied))
    expect(timestamps).toEqual(readings.map(({ reading }) => reading.timestampMs))
    await victoria.stop()
  })
})

const devices = fc.constantFrom(...(['a', 'b', 'c'] as DeviceId[]))
const worlds = fc.record({
  readings: fc.uniqueArray(
    fc
      .record({
        deviceId: devices,
        timestampMs: fc.nat(100),
        occupied: fc.option(fc.nat(50)),
        capacity: fc.option(fc.nat(50), { nil: undefined }),
      })
      .map(({ deviceId, timestampMs, occupied, capacity }) => ({
        ...reading(timestampMs, occupied, capacity === undefined ? {} : { capacity }),
        deviceId,
      })),
    { selector: ({ deviceId, reading: { timestampMs } }) => `${deviceId}/${timestampMs}`, maxLength: 60 },
  ),
  // A device counts for one lot at a time: its spans do not overlap.
  spans: fc
    .uniqueArray(
      fc.record({ deviceId: devices, fromMs: fc.nat(40), toMs: fc.integer({ min: 60, max: 100 }) }),
      { selector: ({ deviceId }) => deviceId },
    )
    .map((stays) =>
      stays.flatMap(({ deviceId, fromMs, toMs }) => [
        { deviceId, fromMs, toMs: 45 },
        { deviceId, fromMs: 55, toMs },
      ]),
    ),
  stepMs: fc.integer({ min: 1, max: 15 }),
  limit: fc.integer({ min: 1, max: 8 }),
  order: fc.constantFrom('asc' as const, 'desc' as const),
})

function reading(timestampMs: number, occupied: number | null, more: object = {}): StoredReading {
  return {
    deviceId: a,
    credentialId: 'cred-1',
    receivedAtMs: 1000,
    epoch,
    reading: { seq: timestampMs, timestampMs, occupied, ...more },
  }
}

function batch(readings: readonly StoredReading[], lastSeq: number): StoreBatch {
  return {
    readings,
    ledger: [{ deviceId: a, epoch, fromSeq: 0, toSeq: lastSeq, outcome: stored }],
    ends: [],
    quarantine: [],
    statuses: [],
    schedules: [],
  }
}

function all(store: Store): Promise<readonly StoredReading[]> {
  return store.readings({
    fromMs: 0,
    toMs: Number.MAX_SAFE_INTEGER,
    spans: undefined,
    order: 'asc',
    limit: 100,
    after: undefined,
  })
}

/** The whole first day of 1970 as one window. */
async function firstDayOf(store: Store) {
  const run = { index: 0, fromMs: 0, stepMs: dayMs, count: 1 }
  return [...(await store.windows([{ deviceId: a, fromMs: 0, toMs: dayMs }], [run], dayMs))]
}

/** 2026-03-27: clocks change in Berlin two days later. */
const dayMs = 86_400_000
const firstDay = Math.floor(Date.UTC(2026, 2, 27) / dayMs)
const dayInstants = fc.oneof(
  fc.integer({ min: 0, max: 5 * 96 - 1 }).map((slot) => slot * 900_000),
  fc.integer({ min: 1, max: 5 * 96 }).map((slot) => slot * 900_000 - 1),
  fc.integer({ min: 0, max: 5 * dayMs - 1 }),
)
const dayReadings = fc.uniqueArray(
  fc
    .tuple(
      fc.constantFrom('a', 'b'),
      dayInstants,
      fc.option(fc.integer({ min: 0, max: 500 }), { freq: 5 }),
      fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
      fc.boolean(),
    )
    .map(
      ([deviceId, at, occupied, capacity, isLate]): StoredReading => ({
        deviceId: deviceId as DeviceId, // of the grammar
        credentialId: 'c',
        receivedAtMs: firstDay * dayMs + at + (isLate ? 2 * 3600_000 : 5),
        epoch: undefined,
        reading: {
          timestampMs: firstDay * dayMs + at,
          occupied,
          ...(capacity === undefined ? {} : { capacity }),
        },
      }),
    ),
  { maxLength: 50, selector: ({ deviceId, reading }) => `${deviceId}${reading.timestampMs}` },
)
const dayWorlds = fc.record({
  early: dayReadings,
  late: dayReadings,
  closed: fc.subarray([0, 1, 2, 3, 4]),
  closedAgain: fc.subarray([0, 1, 2, 3, 4]),
  every: fc.constantFrom('1d', '1w', '15m', '1h', '7m', '6h'),
  tz: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu'),
  cuts: fc.array(
    fc.tuple(fc.constantFrom('a', 'b'), dayInstants, dayInstants).map(([deviceId, x, y]) => ({
      deviceId: deviceId as DeviceId, // of the grammar
      fromMs: firstDay * dayMs + Math.min(x, y),
      toMs: firstDay * dayMs + Math.max(x, y) + 1,
    })),
    { minLength: 1, maxLength: 4 },
  ),
  shiftMs: fc.constantFrom(0, 1, 900_000, 3600_000),
})
