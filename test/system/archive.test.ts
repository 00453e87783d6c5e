/** Days that are closed, archived and taken out of the table, with the real ingest. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { Answer, QuarantineRow, ReadingRow, SeriesRow } from '../../core/contract/query.ts'
import { s3Keys, startBucket } from '../kit/archives.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { runLotctl } from '../kit/lotctl.ts'
import { eventually, makeDataDir } from '../kit/program.ts'

const epoch = '9f0c3a77d1e2b465'
const dayMs = 86_400_000
const startMs = Date.UTC(2025, 2, 1)
const lots = [{ lotId: 'north', name: 'North', capacities: [] }]
const assignments = [{ deviceId: 'n1', lotId: 'north', fromMs: 0, toMs: null }]

/** Files in the folder of an archive, by name. */
function archived(folder: string): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true }).map(String)
  return new Map(
    names.filter((name) => name.endsWith('.parquet')).map((name) => [name, readFileSync(join(folder, name))]),
  )
}

let ingest: IngestUnderTest
afterEach(() => ingest.stop())

async function send(readings: object[], deviceId = 'n1', of: string = epoch) {
  const body = handoverOf([{ deviceId, payload: { v: 1, epoch: of, readings } }])
  return (await postHandover(ingest.url(), await ingest.writeToken(), body)).verdicts
}

async function rowsOf<Row>(path: string): Promise<readonly Row[]> {
  const response = await ingest.ask(path)
  expect(response.status).toBe(200)
  return ((await response.json()) as Answer<Row>).rows
}

const said = (event: string) => ingest.program().lines.filter((line) => line.includes(`"${event}"`)).length
/** Day and generation of segments, in order. */
const daysIn = (names: Iterable<string>) =>
  [...names].map((name) => name.replace(/^2025\/(.*)-[0-9a-f]{16}\.parquet$/, '$1')).sort()
/** A reading every hour for three days. */
const readings = Array.from({ length: 72 }, (_, seq) => ({
  seq,
  timestampMs: startMs + (seq * dayMs) / 24,
  occupied: seq,
}))
const series = '/v1/series?from=2025-03-01T00:00:00Z&to=2025-03-04T00:00:00Z&agg=mean&agg=min&agg=last'

describe('a day that is over', () => {
  test('goes to the archive, leaves the table, and is in every answer all the same', async () => {
    const bucket = await startBucket()
    ingest = await startIngest({
      snapshot: { lots, assignments },
      env: {
        LOTWATCH_INGEST_LOG_LEVEL: 'info',
        LOTWATCH_INGEST_ARCHIVE: 's3',
        LOTWATCH_INGEST_ARCHIVE_URL: bucket.url,
        LOTWATCH_INGEST_ARCHIVE_REGION: s3Keys.region,
        LOTWATCH_INGEST_ARCHIVE_ACCESS_KEY_ID: s3Keys.accessKeyId,
        LOTWATCH_INGEST_ARCHIVE_SECRET_ACCESS_KEY: s3Keys.secretAccessKey,
        LOTWATCH_INGEST_RETENTION_DAYS: '30',
      },
    })
    await send(readings)
    const before = {
      readings: await rowsOf<ReadingRow>('/v1/readings'),
      hours: await rowsOf<SeriesRow>(`${series}&every=1h`),
      odd: await rowsOf<SeriesRow>(`${series}&every=50m`),
      days: await rowsOf<SeriesRow>(`${series}&every=1d&tz=Asia/Kathmandu`),
    }

    await ingest.program().stop()
    await ingest.restart()
    await eventually(() => said('day.evicted') === 3)

    expect(daysIn(bucket.files.keys())).toEqual(['2025-03-01.1', '2025-03-02.1', '2025-03-03.1'])
    expect(await rowsOf('/v1/readings')).toEqual(before.readings)
    expect(await rowsOf(`${series}&every=1h`)).toEqual(before.hours)
    expect(await rowsOf(`${series}&every=50m`)).toEqual(before.odd)
    expect(await rowsOf(`${series}&every=1d&tz=Asia/Kathmandu`)).toEqual(before.days)

    // What comes again is known, what comes late is compared with what only the archive has.
    const [first] = readings
    const another = 'aaaaaaaaaaaaaaaa'
    expect(await send(readings.slice(0, 2))).toEqual(['rr'])
    expect(
      await send(
        [
          { ...first, seq: 0 },
          { ...first, seq: 1, occupied: 99 },
          { ...first, seq: 2, timestampMs: startMs + 1 },
        ],
        'n1',
        another,
      ),
    ).toEqual(['dcs'])
    await ingest.program().stop()
    await ingest.restart()
    await eventually(() => said('day.archived') === 1)
    expect(await rowsOf('/v1/readings')).toHaveLength(73)
    expect(daysIn(bucket.files.keys())).toContain('2025-03-01.2')
    await bucket.stop()
  }, 60_000)

  test('that is closed anew after a restore leaves in the archive what was there', async () => {
    const cold = makeDataDir()
    ingest = await startIngest({
      snapshot: { lots, assignments },
      env: {
        LOTWATCH_INGEST_LOG_LEVEL: 'info',
        LOTWATCH_INGEST_ARCHIVE: 'folder',
        LOTWATCH_INGEST_ARCHIVE_FOLDER: cold.path,
        LOTWATCH_INGEST_RETENTION_DAYS: '30',
      },
    })
    const operator = JSON.stringify(ingest.issuer.credential('operator'))
    writeFileSync(join(ingest.dataDir, 'operator.json'), operator, { mode: 0o600 })
    const lotctl = (...args: string[]) =>
      runLotctl(args, {
        LOTWATCH_DATA: ingest.dataDir,
        HOME: ingest.dataDir,
        LOTWATCH_INGEST_PORT: new URL(ingest.url()).port,
      })
    await send(readings.slice(0, 12))
    const backup = (await lotctl('backup', 'create')).stdout.trim()
    await send(readings.slice(12))
    await ingest.program().stop()
    await ingest.restart()
    await eventually(() => said('day.evicted') === 3)
    const held = archived(cold.path)

    await ingest.program().stop()
    expect((await lotctl('backup', 'restore', join(ingest.dataDir, 'backups', backup))).exit).toBe(0)
    await ingest.restart()
    await eventually(() => said('day.evicted') === 1)
    // What the devices still have comes again, and is not taken for what the archive holds.
    expect(await send(readings)).toEqual(['r'.repeat(12) + 's'.repeat(60)])
    await ingest.program().stop()
    await ingest.restart()
    await eventually(() => said('day.archived') === 3)

    expect(daysIn(archived(cold.path).keys())).toEqual([
      '2025-03-01.1',
      '2025-03-01.1',
      '2025-03-01.2',
      // Received another time.
      '2025-03-02.1',
      '2025-03-02.1',
      '2025-03-03.1',
      '2025-03-03.1',
    ])
    for (const [name, content] of held) expect(archived(cold.path).get(name)).toEqual(content)
    expect(await rowsOf('/v1/readings')).toHaveLength(72)
    cold.remove()
  }, 60_000)

  test('is gone but for its sums where retention is set and no archive; what comes for it is set aside', async () => {
    ingest = await startIngest({
      snapshot: { lots, assignments },
      env: { LOTWATCH_INGEST_LOG_LEVEL: 'info', LOTWATCH_INGEST_RETENTION_DAYS: '30' },
    })
    await send(readings)
    const hours = await rowsOf<SeriesRow>(`${series}&every=1h`)
    expect(hours).toHaveLength(72)

    await ingest.program().stop()
    await ingest.restart()
    await eventually(() => said('day.evicted') === 3)

    expect(await rowsOf(`${series}&every=1h`)).toEqual(hours)
    expect(await rowsOf('/v1/readings')).toEqual([])
    expect(await send(readings.slice(0, 1))).toEqual(['r'])
    expect(await send([{ seq: 72, timestampMs: startMs + 1, occupied: 1 }])).toEqual(['q'])
    const [row] = await rowsOf<QuarantineRow>('/v1/quarantine')
    expect(row).toMatchObject({ reason: 'reading.expired', seq: 72 })
    expect(existsSync(join(ingest.dataDir, 'archive-cache'))).toBe(false)
    expect(readdirSync(join(ingest.dataDir, 'segments'))).toEqual(['2025'])
  }, 60_000)
})
