/**
 * kill -9 during commit, checkpoint, closing of a day, rollup, archive and eviction, at random moments: what was said to
 * be settled is there once, sums are those of the readings, and what the store says of files is true. A worker that
 * says so too early must be caught. Ten kills here, a hundred with LOTWATCH_TEST_LONG=true.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DeviceId } from '../../core/contract/device.ts'
import { sumOf } from '../../core/runtime/file-sum.ts'
import { createFolderArchive } from '../../ingest/archive/folder.ts'
import { createSegmentCache } from '../../ingest/segment-cache.ts'
import { openDuckDB } from '../../ingest/store/duckdb.ts'
import type { ClosedDay, Store, StoredReading } from '../../ingest/store/store.ts'
import { buildOptions, root } from '../../scripts/build.mjs'
import { startCrashKeeper } from '../kit/crash-keeper.ts'
import { crashDevices, daysUntil, readingsOf } from '../kit/crash-world.ts'
import { makeDataDir } from '../kit/program.ts'
import { anyMoment, randomFrom } from '../kit/random.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const kills = isLong ? 100 : 10
const seed = Number(process.env.LOTWATCH_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
const dayMs = 86_400_000
const worker = join(root, 'dist', 'test', 'store-worker.mjs')

let data: ReturnType<typeof makeDataDir>
beforeAll(async () => {
  await build({ ...buildOptions, entryPoints: [join(root, 'test/kit/store-worker.ts')], outfile: worker })
})
beforeEach(() => {
  data = makeDataDir()
})
afterEach(() => data.remove())

/** What the worker says when it begins it; a number is a handover that is settled. */
const moments = ['a handover', 'close', 'put', 'evict'] as const
type Moment = (typeof moments)[number]
/** Each comes again and again, within seconds; a machine may be slow. */
const momentDeadlineMs = 120_000

/** Lets the worker work from a handover on, kills it shortly after it has begun something, and tells what was settled last. */
async function workAndKill(
  from: number,
  kill: { moment: Moment; random: () => number; isEarly: boolean },
): Promise<number> {
  const args = [worker, data.path, String(from), ...(kill.isEarly ? ['early'] : [])]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const wholeLines = () => said.slice(0, said.lastIndexOf('\n') + 1).split('\n')
  const settled = () => wholeLines().filter((line) => /^\d+$/.test(line))
  const hasBegun = () =>
    settled().length > 0 && (kill.moment === 'a handover' || wholeLines().includes(kill.moment))
  const begun = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${kill.moment}: ${said}`)), momentDeadlineMs)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (!hasBegun()) return
      clearTimeout(timer)
      resolve()
    })
  })
  const ended = once(child, 'close').then(() => {
    if (child.signalCode !== 'SIGKILL') throw new Error(`the worker ended by itself: ${complaint}`)
  })
  try {
    await Promise.race([begun, ended])
    await Promise.race([anyMoment(kill.random, 150), ended])
  } finally {
    child.kill('SIGKILL')
    await ended
  }
  return Number(settled().at(-1) ?? from - 1)
}

/** Kills again and again, and goes on with the handover after the last that was settled. @returns that one */
async function killAround(times: number, isEarly = false): Promise<number> {
  const random = randomFrom(seed)
  let settled = -1
  for (let i = 0; i < times; i++) {
    const moment = isEarly ? 'a handover' : (moments[i % moments.length] ?? 'a handover')
    settled = await workAndKill(settled + 1, { moment, random, isEarly })
  }
  return settled
}

async function openStore(): Promise<Store> {
  const archive = createFolderArchive(join(data.path, 'archive'))
  const cache = createSegmentCache({ archive, folder: join(data.path, 'cache'), bytesMax: 50_000_000 })
  return openDuckDB({
    file: join(data.path, 'readings.duckdb'),
    segmentsDir: join(data.path, 'segments'),
    memoryMax: '300MB',
    threads: 1,
    quarantinePerDeviceMax: 10,
    recall: cache.recall,
  })
}

/** Goes on with the days where the last kill broke off. */
async function keepDays({ days }: Store): Promise<void> {
  if (days === undefined) throw new Error('this store closes no days')
  const archive = createFolderArchive(join(data.path, 'archive'))
  const keeper = startCrashKeeper({ days, archive, segmentsDir: join(data.path, 'segments') })
  await keeper.run(true)
  await keeper.stop()
}

async function allOf(store: Store): Promise<StoredReading[]> {
  const all: StoredReading[] = []
  for (;;) {
    const last = all.at(-1)
    const page = await store.readings({
      fromMs: 0,
      toMs: Number.MAX_SAFE_INTEGER,
      spans: undefined,
      order: 'asc',
      limit: 50_000,
      after: last && { timestampMs: last.reading.timestampMs, deviceId: last.deviceId },
    })
    all.push(...page)
    if (page.length < 50_000) return all
  }
}

/** How far what is stored differs from what was settled; the handover under way may be there or not. */
function differences(found: readonly StoredReading[], settled: number) {
  const expected = new Map<string, number>()
  for (let handover = 0; handover <= settled; handover++)
    for (const [device, deviceId] of crashDevices.entries())
      for (const { seq, occupied } of readingsOf(handover, device))
        expected.set(`${deviceId}/${seq}`, occupied)
  const underWay = new Set(
    crashDevices.flatMap((id, device) => readingsOf(settled + 1, device).map(({ seq }) => `${id}/${seq}`)),
  )
  const seen = new Set<string>()
  let twice = 0
  let wrong = 0
  for (const { deviceId, reading } of found) {
    const key = `${deviceId}/${reading.seq}`
    if (seen.has(key)) twice++
    seen.add(key)
    const value = expected.get(key)
    if (value === undefined ? !underWay.has(key) : value !== reading.occupied) wrong++
  }
  const lost = [...expected.keys()].filter((key) => !seen.has(key)).length
  return { lost, twice, wrong }
}

async function wrongFiles(closed: readonly ClosedDay[]): Promise<string[]> {
  const archive = createFolderArchive(join(data.path, 'archive'))
  const wrong: string[] = []
  for (const { file, kept, bytes, sha256, archived, generation } of closed) {
    const here = await sumOf(join(data.path, 'segments', file)).catch(() => undefined)
    if (kept === 'table' && here?.sha256 !== sha256) wrong.push(`${file} is not here`)
    if (archived === generation && !(await archive.holds(file, { bytes, sha256 })))
      wrong.push(`${file} is not in the archive`)
  }
  return wrong
}

/** Sums of windows, by plain arithmetic on what is there. */
function sumsBy(
  found: readonly StoredReading[],
  { fromMs, stepMs }: { fromMs: number; stepMs: number },
): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { deviceId, reading } of found) {
    const key = `${deviceId}/${Math.floor((reading.timestampMs - fromMs) / stepMs)}`
    sums.set(key, (sums.get(key) ?? 0) + (reading.occupied ?? 0))
  }
  return sums
}

describe('while the store is killed at random moments', () => {
  it(
    `everything settled is there once, and sums and files are what they are said to be (seed ${seed})`,
    async () => {
      const settled = await killAround(kills)
      const store = await openStore()
      const found = await allOf(store)

      expect(differences(found, settled)).toEqual({ lost: 0, twice: 0, wrong: 0 })
      expect(await wrongFiles(store.days?.closed() ?? [])).toEqual([])
      await keepDays(store)
      const closed = store.days?.closed() ?? []
      expect(closed.length).toBeGreaterThan(0)
      expect(closed.filter(({ kept }) => kept !== 'segment')).toEqual([])
      expect(await wrongFiles(closed)).toEqual([])
      const spans = crashDevices.map((id) => ({
        deviceId: id as DeviceId,
        fromMs: 0,
        toMs: Number.MAX_SAFE_INTEGER,
      }))
      for (const stepMs of [dayMs, 900_000]) {
        const { fromMs, toMs } = daysUntil(settled + 1)
        const run = { index: 0, fromMs, stepMs, count: (toMs - fromMs) / stepMs }
        const windows = await store.windows(spans, [run], toMs)
        const sums = new Map(
          [...windows].map(({ span, window, sum }) => [`${crashDevices[span]}/${window}`, sum]),
        )
        expect([...sums].sort()).toEqual([...sumsBy(found, { fromMs, stepMs })].sort())
      }
      await store.close()
    },
    kills * 30_000,
  )

  it(`a worker that settles too early is caught losing (seed ${seed})`, async () => {
    const settled = await killAround(3, true)
    const store = await openStore()

    expect(differences(await allOf(store), settled).lost).toBeGreaterThan(0)
    await store.close()
  }, 60_000)
})
