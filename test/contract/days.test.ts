/** Closed days of a store: segments, rollups, and what is taken out of the table; real files. */
import { createHash, randomUUID } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import { dayMs } from '../../ingest/store/day-book.ts'
import { openDuckDB } from '../../ingest/store/duckdb.ts'
import type { Days, DeviceSpan, Store, StoreBatch, StoredReading } from '../../ingest/store/store.ts'
import { windowsOf } from '../../ingest/windows.ts'
import { Zone } from '../../ingest/zone.ts'
import { makeDataDir } from '../kit/program.ts'

const a = 'a' as DeviceId
const b = 'b' as DeviceId
const epoch = '9f0c3a77d1e2b465' as Epoch
/** 2026-03-28, the day before clocks change in Berlin. */
const day = Math.floor(Date.UTC(2026, 2, 28) / dayMs)
const startMs = day * dayMs

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'

let folder: ReturnType<typeof makeDataDir>
let store: Store & { days: Days }
let segmentsDir: string
/** Segments that are elsewhere, by file name. */
let elsewhere: Map<string, string>
beforeEach(async () => {
  folder = makeDataDir()
  segmentsDir = join(folder.path, 'segments')
  elsewhere = new Map()
  store = await open()
})
afterEach(async () => {
  await store.close()
  folder.remove()
})

async function open(
  file = join(folder.path, 'readings.duckdb'),
  summedDevicesMax?: number,
): Promise<Store & { days: Days }> {
  const opened = await openDuckDB({
    file,
    segmentsDir,
    memoryMax: '200MB',
    threads: 1,
    quarantinePerDeviceMax: 2,
    summedDevicesMax,
    recall: async ({ file: name }) => elsewhere.get(name) ?? Promise.reject(new Error(`no ${name}`)),
  })
  return opened as Store & { days: Days } // it has days
}

async function reopen(): Promise<void> {
  await store.close()
  store = await open()
}

function stored(
  deviceId: DeviceId,
  timestampMs: number,
  occupied: number | null,
  seq?: number,
): StoredReading {
  return {
    deviceId,
    credentialId: 'cred-1',
    receivedAtMs: timestampMs + 5,
    epoch: seq === undefined ? undefined : epoch,
    reading: { ...(seq === undefined ? {} : { seq }), timestampMs, occupied, clock: 'synced', sensor: 'ok' },
  }
}

async function commit(...readings: StoredReading[]): Promise<void> {
  const batch: StoreBatch = { readings, ledger: [], ends: [], quarantine: [], statuses: [], schedules: [] }
  await store.commit(batch)
}

const allOf = (one: Store) =>
  one.readings({
    fromMs: 0,
    toMs: Number.MAX_SAFE_INTEGER,
    spans: undefined,
    order: 'asc',
    limit: 100_000,
    after: undefined,
  })

/** Takes a day's segment away to where only `recall` finds it, as an archive does. */
function sendAway(): void {
  for (const { file } of store.days.closed()) {
    const path = join(segmentsDir, file)
    if (!existsSync(path)) continue
    const away = join(folder.path, file.replace('/', '-'))
    writeFileSync(away, readFileSync(path))
    rmSync(path)
    elsewhere.set(file, away)
  }
}

async function rowsOf(sql: string): Promise<unknown[][]> {
  const database = await DuckDBInstance.create(':memory:')
  const connection = await database.connect()
  const rows = (await connection.runAndReadAll(sql)).getRowsJS()
  connection.closeSync()
  database.closeSync()
  return rows as unknown[][] // an array of arrays
}

describe('closing a day', () => {
  test('writes all of its readings to a file that says them without the database', async () => {
    await commit(
      stored(b, startMs, 4),
      stored(a, startMs + dayMs - 1, null, 7),
      stored(a, startMs - 1, 9),
      stored(a, startMs + dayMs, 9),
    )

    const record = await store.days.close(day)

    const path = join(segmentsDir, record.file)
    expect(record).toMatchObject({
      file: expect.stringMatching(/^2026\/2026-03-28\.1-[0-9a-f]{16}\.parquet$/),
      generation: 1,
      rows: 2,
      isStale: false,
    })
    const bytes = readFileSync(path)
    expect([record.bytes, record.sha256]).toEqual([
      bytes.length,
      createHash('sha256').update(bytes).digest('hex'),
    ])
    expect(
      await rowsOf(
        `SELECT device_id, epoch_ms(time), typeof(time), occupied, clock, sensor, epoch, seq, credential_id, epoch_ms(received_at)
         FROM '${path}'`,
      ),
    ).toEqual([
      [
        'a',
        BigInt(startMs + dayMs - 1),
        'TIMESTAMP WITH TIME ZONE',
        null,
        'synced',
        'ok',
        epoch,
        7n,
        'cred-1',
        BigInt(startMs + dayMs + 4),
      ],
      [
        'b',
        BigInt(startMs),
        'TIMESTAMP WITH TIME ZONE',
        4,
        'synced',
        'ok',
        null,
        null,
        'cred-1',
        BigInt(startMs + 5),
      ],
    ])
  })

  test('is known after a restart, and days without it stay open', async () => {
    await commit(stored(a, startMs, 1), stored(a, startMs + dayMs, 1))
    const record = await store.days.close(day)

    await reopen()

    expect(store.days.closed()).toEqual([record])
    expect(store.days.open()).toEqual([day + 1])
  })

  test('is undone by a reading that comes later, and done again by the next closing', async () => {
    await commit(stored(a, startMs, 1))
    await store.days.close(day)

    await commit(stored(a, startMs + 1, 3))

    expect(store.days.closed()).toMatchObject([{ generation: 1, isStale: true }])
    await reopen()
    expect(store.days.closed()).toMatchObject([{ generation: 1, isStale: true }])
    expect(await store.days.close(day)).toMatchObject({ generation: 2, rows: 2, isStale: false })
  })

  test('misses no reading that is committed at the same time', async () => {
    await commit(...Array.from({ length: 5000 }, (_, i) => stored(a, startMs + 2 * i, i)))

    const closing = store.days.close(day)
    await commit(stored(a, startMs + 1, 3))
    const { rows, isStale } = await closing

    // Whether it was before or after the snapshot is chance; that it is in one of the two is not.
    expect(isStale || rows === 5001).toBe(true)
  })

  test('misses no reading of a commit that is under way when it begins', async () => {
    await commit(stored(a, startMs, 1))
    await store.days.close(day)

    const late = Array.from({ length: 20_000 }, (_, i) => stored(a, startMs + i + 1, i))
    const committing = commit(...late)
    // The commit has taken its turn by now, and its transaction is open.
    await new Promise(setImmediate)
    const { rows, isStale } = await store.days.close(day)
    await committing

    expect(isStale || rows === 20_001).toBe(true)
  })

  test('is summed up alike after a restart, and with what comes late then, in whatever order', async () => {
    const minuteMs = 60_000
    await commit(stored(a, startMs + 4 * minuteMs, 4), stored(a, startMs + 9 * minuteMs, null))
    await store.days.close(day)
    const quarter = { index: 0, fromMs: startMs, stepMs: 15 * minuteMs, count: 1 }
    const spans = [{ deviceId: a, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }]
    const windowNow = async () => [...(await store.windows(spans, [quarter], startMs + 15 * minuteMs))][0]

    await reopen()
    expect(await windowNow()).toMatchObject({ count: 1, silent: 1, sum: 4, first: 4, last: 4 })

    await commit(stored(a, startMs + 2 * minuteMs, 2))
    await commit(stored(a, startMs + 6 * minuteMs, 6))
    const whole = { count: 3, silent: 1, sum: 12, min: 2, max: 6, first: 2, last: 6 }
    expect(await windowNow()).toMatchObject(whole)
    await store.days.close(day)
    await reopen()
    expect(await windowNow()).toMatchObject(whole)
  })

  test('notices a segment that has gone, and writes it anew', async () => {
    await commit(stored(a, startMs, 1))
    const { file } = await store.days.close(day)
    rmSync(join(segmentsDir, file))

    await reopen()

    expect(store.days.closed()).toMatchObject([{ isStale: true }])
    const record = await store.days.close(day)
    expect(existsSync(join(segmentsDir, record.file))).toBe(true)
  })

  test('leaves no file behind that nothing names, once a day has passed', async () => {
    await commit(stored(a, startMs, 1))
    await store.days.close(day)
    await commit(stored(a, startMs + 1, 1))
    const { file } = await store.days.close(day)
    const before = new Date(Date.now() - 2 * dayMs)
    writeFileSync(join(segmentsDir, '2026', '2026-03-28.9.parquet.tmp'), 'what a kill leaves')
    const names = () => readdirSync(join(segmentsDir, '2026')).sort()

    await store.days.sweep(Date.now())
    expect(names()).toHaveLength(3)
    for (const name of names()) utimesSync(join(segmentsDir, '2026', name), before, before)
    await store.days.sweep(Date.now())

    expect(names()).toEqual([file.slice('2026/'.length)])
  })
})

describe('a day that is taken out of the table', () => {
  beforeEach(async () => {
    await commit(stored(a, startMs, 1, 0), stored(b, startMs, 2), stored(a, startMs + dayMs, 3, 1))
    await store.days.close(day)
    await store.days.setArchived(day, 1)
  })

  test('is in every answer all the same, from here or from elsewhere, after a restart, too', async () => {
    const before = await allOf(store)
    const question = { fromMs: 0, toMs: startMs + 2 * dayMs, spans: undefined, limit: 2 }

    expect(await store.days.evict(day, 'segment')).toBe(true)
    sendAway()
    await reopen()

    expect(await allOf(store)).toEqual(before)
    expect(await store.lookup([{ deviceId: b, timestampMs: startMs }])).toEqual([before[1]])
    const pages = [
      await store.readings({ ...question, order: 'desc', after: undefined }),
      await store.readings({ ...question, order: 'desc', after: { deviceId: b, timestampMs: startMs } }),
    ]
    expect(pages.flat()).toEqual([before[2], before[1], before[0]])
    expect((await store.load()).highs).toEqual(
      expect.arrayContaining([
        { deviceId: a, timestampMs: startMs + dayMs },
        { deviceId: b, timestampMs: startMs },
      ]),
    )
  })

  test('takes what comes late, and is whole again after the next closing', async () => {
    await store.days.evict(day, 'segment')
    sendAway()
    await commit(stored(a, startMs + 9, 5))
    const whole = [stored(a, startMs, 1, 0), stored(b, startMs, 2), stored(a, startMs + 9, 5)]
    expect((await allOf(store)).slice(0, 3)).toEqual(whole)

    const record = await store.days.close(day)

    expect(record).toMatchObject({ generation: 2, rows: 3, kept: 'segment', archived: 1 })
    expect((await allOf(store)).slice(0, 3)).toEqual(whole)
    sendAway()
    expect((await allOf(store)).slice(0, 3)).toEqual(whole)
  })

  test('stays while readings have come since it was closed', async () => {
    await commit(stored(b, startMs + 9, 5))

    expect(await store.days.evict(day, 'segment')).toBe(false)
    expect(await allOf(store)).toHaveLength(4)
  })

  test('is answered with its sums when it is kept nowhere', async () => {
    await store.days.evict(day, 'nothing')

    expect(await allOf(store)).toEqual([stored(a, startMs + dayMs, 3, 1)])
    const run = { index: 0, fromMs: startMs, stepMs: dayMs, count: 2 }
    const spans = [{ deviceId: a, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }]
    const windows = [...(await store.windows(spans, [run], startMs + 2 * dayMs))]
    expect(windows.map(({ sum }) => sum)).toEqual([1, 3])
  })

  test('fails a question for it, and no other, while its segment cannot be had', async () => {
    await store.days.evict(day, 'segment')
    sendAway()
    elsewhere.clear()

    await expect(allOf(store)).rejects.toThrow()
    expect(await store.lookup([{ deviceId: a, timestampMs: startMs + dayMs }])).toHaveLength(1)
  })
})

test('a snapshot and the segments that go with it hold every reading once', async () => {
  await commit(...[0, 1, 2, 3, 4].map((i) => stored(a, startMs + i * dayMs, i)))
  for (const i of [0, 1, 2]) await store.days.close(day + i)
  await store.days.setArchived(day, 1)
  await store.days.evict(day, 'segment')
  await commit(stored(b, startMs, 7), stored(b, startMs + dayMs, 8))

  const file = join(folder.path, 'open.parquet')
  const segments = await store.days.snapshot(file)

  expect(segments.map((segment) => segment.day - day)).toEqual([0, 2])
  const files = [file, ...segments.map((segment) => join(segmentsDir, segment.file))]
  const counts = await rowsOf(
    `SELECT device_id, epoch_ms(time) FROM read_parquet([${files.map((name) => `'${name}'`).join()}]) ORDER BY ALL`,
  )
  expect(counts).toEqual([
    ...[0, 1, 2, 3, 4].map((i) => ['a', BigInt(startMs + i * dayMs)]),
    ...[0, 1].map((i) => ['b', BigInt(startMs + i * dayMs)]),
  ])
})

test('snapshots may be taken at the same time, while days are closed and commits go on', async () => {
  await commit(...[0, 1, 2].map((i) => stored(a, startMs + i * dayMs, i)))
  const files = Array.from({ length: 6 }, (_, i) => join(folder.path, `${i}.parquet`))

  const [snapshots] = await Promise.all([
    Promise.all(files.map((file) => store.days.snapshot(file))),
    store.days.close(day).then(() => store.days.close(day + 1)),
    commit(stored(b, startMs + 2 * dayMs, 9)),
  ])

  for (const [i, segments] of snapshots.entries()) {
    const all = [files[i], ...segments.map(({ file }) => join(segmentsDir, file))]
    const found = await rowsOf(
      `SELECT device_id, epoch_ms(time) FROM read_parquet([${all.map((name) => `'${name}'`).join()}]) WHERE device_id = 'a' ORDER BY ALL`,
    )
    expect(found).toEqual([0, 1, 2].map((at) => ['a', BigInt(startMs + at * dayMs)]))
  }
})

test('a day that is closed anew after a restore has a name of its own', async () => {
  const file = join(folder.path, 'readings.duckdb')
  await commit(stored(a, startMs, 1))
  await store.close()
  copyFileSync(file, `${file}.before`)
  store = await open()
  await commit(stored(b, startMs, 2))
  const lost = await store.days.close(day)
  await store.close()
  copyFileSync(`${file}.before`, file)
  store = await open()

  const made = await store.days.close(day)

  expect([made.generation, made.rows]).toEqual([lost.generation, lost.rows - 1])
  expect(made.file).not.toBe(lost.file)
  for (const { file: name, sha256 } of [lost, made])
    expect(
      createHash('sha256')
        .update(readFileSync(join(segmentsDir, name)))
        .digest('hex'),
    ).toBe(sha256)
})

/** Readings of five days at any instants, close together where windows meet. */
const instants = fc.oneof(
  fc.integer({ min: 0, max: 5 * 96 }).map((slot) => slot * 900_000),
  fc.integer({ min: 0, max: 5 * 96 }).map((slot) => Math.max(0, slot * 900_000 - 1)),
  fc.integer({ min: 0, max: 5 * dayMs - 1 }),
)
const counts = fc.option(fc.integer({ min: 0, max: 500 }), { freq: 5 })
const rows = fc.uniqueArray(fc.tuple(fc.constantFrom(a, b), instants, counts), {
  maxLength: 60,
  selector: ([deviceId, at]) => `${deviceId}${at}`,
})

test(
  'sums of days, closed or in memory, are those of the readings themselves, whatever comes late and whatever is asked',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        rows,
        rows,
        fc.subarray([0, 1, 2, 3, 4]),
        fc.subarray([0, 1, 2, 3, 4]),
        fc.constantFrom('1d', '1w', '15m', '1h', '7m', '6h'),
        fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu'),
        fc.array(fc.tuple(fc.constantFrom(a, b), instants, instants), { minLength: 1, maxLength: 4 }),
        fc.constantFrom(0, 1, 900_000, 3600_000),
        fc.record({
          startsAnew: fc.boolean(),
          startsAnewLate: fc.boolean(),
          summedDevicesMax: fc.constantFrom(undefined, 0, 3),
        }),
        async (early, late, closed, evicted, every, tz, cuts, shiftMs, how) => {
          const { startsAnew, startsAnewLate, summedDevicesMax } = how
          const known = new Set(early.map(([deviceId, at]) => `${deviceId}${at}`))
          const before = early.map(([deviceId, at, occupied]) => stored(deviceId, startMs + at, occupied))
          const after = late
            .filter(([deviceId, at]) => !known.has(`${deviceId}${at}`))
            .map(([deviceId, at, occupied]) => stored(deviceId, startMs + at, occupied))
          // One that goes through the readings each time, and one that sums up what it can, started anew at some time.
          const plain = await open(':memory:', 0)
          const file = join(folder.path, `${randomUUID()}.duckdb`)
          let place = await open(file, summedDevicesMax)
          const startAnew = async () => {
            await place.close()
            place = await open(file, summedDevicesMax)
          }
          try {
            const batch = { ledger: [], ends: [], quarantine: [], statuses: [], schedules: [] }
            await plain.commit({ ...batch, readings: [...before, ...after] })
            await place.commit({ ...batch, readings: before })
            if (startsAnew) await startAnew()
            for (const i of closed) await place.days.close(day + i)
            for (const i of evicted) await place.days.evict(day + i, 'segment')
            await place.commit({ ...batch, readings: after })
            for (const i of closed.slice(1)) await place.days.close(day + i)
            if (startsAnewLate) await startAnew()
            const spans: DeviceSpan[] = cuts.map(([deviceId, x, y]) => ({
              deviceId,
              fromMs: startMs + Math.min(x, y),
              toMs: startMs + Math.max(x, y) + 1,
            }))
            const toMs = startMs + 5 * dayMs - shiftMs
            const unit = every.slice(-1) as 'm' | 'h' | 'd' | 'w' // from the list above
            const question = {
              fromMs: startMs + shiftMs,
              toMs,
              every: { count: Number(every.slice(0, -1)), unit },
            }
            const windows = windowsOf({ ...question, zone: new Zone(tz) }, 100_000)
            const ask = async (one: Store) => [...(await one.windows(spans, windows?.runs ?? [], toMs))]
            expect(await ask(place)).toEqual(await ask(plain))
          } finally {
            await plain.close()
            await place.close()
          }
        },
      ),
      { numRuns: isLong ? 1000 : 12 },
    )
  },
  isLong ? 3600_000 : 120_000,
)
