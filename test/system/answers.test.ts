/** What analysts ask and get, of a real ingest whose devices have said when they take readings. */
import { once } from 'node:events'
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CompletenessRow } from '../../core/contract/completeness.ts'
import { audiences } from '../../core/contract/principal.ts'
import type {
  Answer,
  DeviceRow,
  HealthRow,
  LatestRow,
  LotRow,
  ProfileRow,
  ReadingRow,
  SeriesRow,
} from '../../core/contract/query.ts'
import type { Assignment, Device, Lot } from '../../core/contract/registry.ts'
import { handoverOf, postHandover, type SentMessage } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'
import { statusOf } from '../unit/ingest/kit.ts'

const epoch = '9f0c3a77d1e2b465'
const minuteMs = 60_000
const hourMs = 3600_000
/** A full hour, five hours ago. */
const startMs = Math.floor(Date.now() / hourMs) * hourMs - 5 * hourMs
const at = (atMs: number) => new Date(atMs).toISOString()
const ofTime = (fromMs: number, toMs: number) => `from=${at(fromMs)}&to=${at(toMs)}`

const lots: Lot[] = [
  { lotId: 'north', name: 'North', capacities: [{ fromMs: 0, capacity: 100 }] },
  { lotId: 'south', name: 'South', capacities: [] },
  { lotId: 'empty', name: 'Empty', capacities: [] },
]
const assigned: Readonly<Record<string, string>> = {
  steady: 'north',
  gappy: 'south',
  unseen: 'empty',
  mute: 'empty',
}
const devices: Device[] = [...Object.keys(assigned), 'held'].map((deviceId) => ({
  deviceId,
  name: `The ${deviceId} one`,
  state: deviceId === 'held' ? 'suspended' : 'active',
  registeredAtMs: 0,
  tags: deviceId === 'steady' ? ['gate', 'new'] : [],
}))
const assignments: Assignment[] = Object.entries(assigned).map(([deviceId, lotId]) => ({
  deviceId,
  lotId,
  fromMs: 0,
  toMs: null,
}))
const presence = (deviceId: string, connected: boolean, atMs: number) => ({
  deviceId,
  connected,
  brokerId: 'broker',
  connectionId: `${deviceId}-1`,
  atMs,
})

let ingest: IngestUnderTest
beforeAll(async () => {
  ingest = await startIngest({
    snapshot: { lots, devices, assignments, presence: [presence('steady', true, startMs)] },
  })
  for (const [connected, atMs, connectionId] of [
    [true, startMs, 'first'],
    [false, startMs + 2 * hourMs, 'first'],
    [true, startMs + 3 * hourMs, 'second'],
  ] as const)
    ingest.issuer.push({ type: 'presence', data: { ...presence('gappy', connected, atMs), connectionId } })
  const schedule = { cron: '*/5 * * * *', sinceMs: startMs }
  const five = (seq: number, tick: number, more: object = {}) => ({
    seq,
    timestampMs: startMs + tick * 5 * minuteMs,
    occupied: 10 + (tick % 12),
    ...more,
  })
  const span = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  await send(
    { deviceId: 'steady', kind: 'status', payload: statusOf({ schedule }) },
    {
      deviceId: 'gappy',
      kind: 'status',
      payload: statusOf({ schedule, dropped: 4, clock: { state: 'synced', offsetMs: -20 } }),
    },
    {
      deviceId: 'steady',
      payload: {
        v: 1,
        epoch,
        readings: span(0, 48).map((i) => five(i, i, { entriesTotal: i * 3, exitsTotal: i * 2 })),
      },
    },
    {
      deviceId: 'gappy',
      payload: {
        v: 1,
        epoch,
        // First hour whole; of the second four dropped and two lost; nothing was taken in the third; the fourth is silent.
        readings: [
          ...span(0, 12).map((i) => five(i, i)),
          ...span(18, 24).map((i) => five(i, i)),
          ...span(24, 36).map((i) => five(i, i + 12, { occupied: null, sensor: 'silent' })),
        ],
        dropped: [{ fromSeq: 12, toSeq: 15, reason: 'outbox_full' }],
      },
    },
    { deviceId: 'mute', payload: { v: 1, epoch, readings: [five(0, 0), five(1, 1)] } },
  )
  await eventually(async () => {
    const { rows } = await answer<DeviceRow>('/v1/devices?device=gappy')
    return rows[0]?.connected === true
  })
})
afterAll(() => ingest.stop())

async function send(...messages: SentMessage[]) {
  return postHandover(ingest.url(), await ingest.writeToken(), handoverOf(messages))
}

async function answer<Row>(path: string, token?: string): Promise<Answer<Row>> {
  const response = await ingest.ask(path, token === undefined ? {} : { token })
  const body = await response.json()
  expect([response.status, body]).toMatchObject([200, {}])
  return body as Answer<Row>
}

const fourHours = ofTime(startMs, startMs + 4 * hourMs)

describe('completeness', () => {
  test('says by lot and hour what was due, what is there, and why the rest is not', async () => {
    const { rows, complete, completeness, gaps, resolution } = await answer<CompletenessRow>(
      `/v1/completeness?lot=south&${fourHours}`,
    )

    expect(resolution).toBe('1h')
    expect(
      rows.map(({ expected, received, missing, silent, dropped, reasons }) => ({
        expected,
        received,
        missing,
        silent,
        dropped,
        reasons,
      })),
    ).toEqual([
      { expected: 12, received: 12, missing: 0, silent: 0, dropped: 0, reasons: {} },
      {
        expected: 12,
        received: 6,
        missing: 6,
        silent: 0,
        dropped: 4,
        reasons: { outbox_limit: 4, unexplained: 2 },
      },
      { expected: 12, received: 0, missing: 12, silent: 0, dropped: 0, reasons: { device_offline: 12 } },
      { expected: 12, received: 12, missing: 0, silent: 12, dropped: 0, reasons: { sensor_silent: 12 } },
    ])
    expect(complete).toBe(false)
    expect(completeness).toMatchObject({
      expected: 48,
      received: 30,
      missing: 18,
      dropped: 4,
      silent: 12,
      unknown: 0,
    })
    expect(gaps).toMatchObject([
      { reason: 'outbox_limit', readings: 4, fromSeq: 12, toSeq: 15, detail: 'outbox_full', lotId: 'south' },
      { reason: 'unexplained', readings: 2, fromSeq: 16, toSeq: 17 },
      { reason: 'device_offline', readings: 12 },
      { reason: 'sensor_silent', readings: 12 },
    ])
  })

  test('of what is whole is whole, and of devices that never said anything it says so', async () => {
    const whole = await answer<CompletenessRow>(`/v1/completeness?lot=north&${fourHours}`)
    const unknown = await answer<CompletenessRow>(`/v1/completeness?lot=empty&${fourHours}&every=4h`)

    expect([whole.complete, whole.gaps]).toEqual([true, []])
    expect(unknown.rows).toMatchObject([{ expected: null, received: 2, missing: null, unknown: 2 }])
    expect(unknown.gaps).toMatchObject([{ deviceId: 'unseen', reason: 'never_seen', readings: null }])
  })

  test('goes with every answer, in headers where it is no JSON', async () => {
    const series = await answer<SeriesRow>(`/v1/series?lot=south&${fourHours}`)
    const readings = await answer<ReadingRow>(`/v1/readings?lot=south&${fourHours}&limit=1`)
    const csv = await ingest.ask(`/v1/readings?lot=south&${fourHours}&format=csv`)

    for (const { complete, completeness } of [series, readings])
      expect([complete, completeness]).toMatchObject([false, { expected: 48, received: 30, missing: 18 }])
    expect(csv.headers.get('lotwatch-complete')).toBe('false')
    expect(csv.headers.get('lotwatch-gaps')).toBe('4')
    expect(csv.headers.get('lotwatch-completeness')).toMatch(/^expected=48, received=30, .*missing=18/)
    expect((await csv.text()).split('\r\n')).toHaveLength(32)
  })

  test('of a part of the time is of that part', async () => {
    const { complete, completeness } = await answer<SeriesRow>(
      `/v1/series?lot=south&${ofTime(startMs, startMs + hourMs)}`,
    )

    expect([complete, completeness]).toMatchObject([true, { expected: 12, missing: 0 }])
  })
})

describe('devices', () => {
  test('are in one word how they are, with what they said of themselves', async () => {
    const { rows } = await answer<DeviceRow>('/v1/devices')

    expect(rows.map(({ deviceId, state }) => [deviceId, state])).toEqual([
      ['gappy', 'silent_sensor'],
      ['held', 'suspended'],
      ['mute', 'offline'],
      ['steady', 'late'],
      ['unseen', 'never_seen'],
    ])
    expect(rows[0]).toMatchObject({
      name: 'The gappy one',
      lotId: 'south',
      connected: true,
      dropped: 4,
      clockOffsetMs: -20,
      schedule: '*/5 * * * *',
      sensors: ['main:simulated:ok'],
      queueReadings: 0,
    })
    expect(rows[4]).toMatchObject({ lastSeen: null, queueReadings: null, version: null, connected: null })
  })

  test('are found by state, tag and lot, a page at a time', async () => {
    const ids = async (query: string) => {
      const { rows, nextCursor } = await answer<DeviceRow>(`/v1/devices?${query}`)
      return [rows.map(({ deviceId }) => deviceId).join(), nextCursor] as const
    }
    const [first, cursor] = await ids('limit=2')

    expect(first).toBe('gappy,held')
    expect(await ids(`limit=3&cursor=${cursor}`)).toEqual(['mute,steady,unseen', undefined])
    expect((await ids('state=late,never_seen'))[0]).toBe('steady,unseen')
    expect((await ids('tag=gate'))[0]).toBe('steady')
    expect((await ids('lot=empty'))[0]).toBe('mute,unseen')
  })

  test('have a health by hour', async () => {
    const { rows } = await answer<HealthRow>(`/v1/devices/health?device=gappy&${fourHours}`)

    expect(rows.map(({ state, connectedSec, missing }) => [state, connectedSec, missing])).toEqual([
      ['online', 3600, 0],
      ['late', 3600, 6],
      ['offline', 0, 12],
      ['silent_sensor', 3600, 0],
    ])
  })

  test('are known after a restart as before', async () => {
    // Who is connected, the feed says anew.
    const words = async () =>
      (await answer<DeviceRow>('/v1/devices')).rows.map(({ deviceId, schedule, version, lastReading }) => [
        deviceId,
        schedule,
        version,
        lastReading,
      ])
    const before = await words()
    await ingest.program().kill()
    await ingest.restart()

    expect(await words()).toEqual(before)
    expect(
      (await answer<CompletenessRow>(`/v1/completeness?lot=south&${fourHours}`)).completeness,
    ).toMatchObject({
      expected: 48,
      missing: 18,
    })
  })
})

describe('parameters', () => {
  const north = `/v1/series?lot=north&${ofTime(startMs, startMs + 2 * hourMs)}`

  test('ask for more than the count of cars', async () => {
    const { rows } = await answer<SeriesRow>(
      `${north}&metric=occupied,free,utilisation,entries,exits&agg=mean,sum,p95`,
    )

    expect(rows.filter(({ start }) => start === rows[0]?.start)).toMatchObject([
      { metric: 'occupied', mean: 15.5, sum: 186, p95: 20.45 },
      { metric: 'free', mean: 84.5, sum: null },
      { metric: 'utilisation', mean: 15.5, sum: null },
      { metric: 'entries', mean: null, sum: 33 },
      { metric: 'exits', mean: null, sum: 22 },
    ])
    expect(rows.at(-1)).toMatchObject({ metric: 'exits', sum: 24 })
  })

  test('narrow a question to devices and tags', async () => {
    const lotIds = async (query: string) =>
      (await answer<SeriesRow>(`/v1/series?${fourHours}&every=4h&${query}`)).rows.map(({ lotId }) => lotId)

    expect(await lotIds('tag=gate')).toEqual(['north'])
    expect(await lotIds('device=gappy,mute')).toEqual(['empty', 'south'])
    expect((await answer<LatestRow>('/v1/latest?tag=new')).rows).toMatchObject([{ lotId: 'north' }])
    expect((await answer<LotRow>('/v1/lots?device=unseen')).rows).toMatchObject([{ lotId: 'empty' }])
    expect((await answer<ReadingRow>('/v1/readings?tag=nobody')).rows).toEqual([])
  })

  test('fill what nobody measured, and mark it', async () => {
    const south = `/v1/series?lot=south&${fourHours}`
    const of = async (fill: string) =>
      (await answer<SeriesRow>(`${south}&fill=${fill}`)).rows.map(({ mean, filled }) => [mean, filled])

    expect(await of('null')).toEqual([
      [15.5, undefined],
      [18.5, undefined],
      [null, undefined],
      [null, undefined],
    ])
    expect(await of('previous')).toEqual([
      [15.5, false],
      [18.5, false],
      [18.5, true],
      [18.5, true],
    ])
    expect(await of('linear')).toEqual([
      [15.5, false],
      [18.5, false],
      [null, false],
      [null, false],
    ])
    expect(await of('none')).toEqual([
      [15.5, undefined],
      [18.5, undefined],
    ])
  })

  test('choose windows by themselves, and times relative to a day', async () => {
    const auto = await answer<SeriesRow>('/v1/series?lot=north&from=now-2d/d&to=now/d&every=auto')

    expect(auto.resolution).toBe('15m')
    expect(auto.rows).toHaveLength(192)
    expect(auto.rows[0]?.start).toMatch(/T00:00:00\+00:00$/)
  })

  test('leave out what is flagged, or not', async () => {
    const half = startMs + 30 * minuteMs
    await send({
      deviceId: 'mute',
      payload: { v: 1, epoch, readings: [{ seq: 2, timestampMs: half, occupied: 99, sensor: 'stuck' }] },
    })
    const of = async (quality: string) => {
      const { rows } = await answer<SeriesRow>(
        `/v1/series?device=mute&${fourHours}&every=4h&agg=max,count&quality=${quality}`,
      )
      const readings = await answer<ReadingRow>(`/v1/readings?device=mute&quality=${quality}`)
      return [rows[0]?.max, rows[0]?.count, readings.rows.length]
    }

    expect(await of('all')).toEqual([99, 3, 3])
    expect(await of('good')).toEqual([11, 2, 2])
  })

  test('a typical week has an hour for what was measured, and null for the rest', async () => {
    const { rows } = await answer<ProfileRow>('/v1/profile?lot=north&from=-1w')

    expect(rows).toHaveLength(168)
    expect(rows.filter(({ mean }) => mean !== null)).toMatchObject(
      Array.from({ length: 4 }, () => ({ mean: 15.5, p10: 15.5, p90: 15.5, hours: 1 })),
    )
  })
})

describe('a token with lots', () => {
  test.each([
    ['/v1/completeness', ['north']],
    ['/v1/profile', ['north']],
    ['/v1/devices', ['steady']],
    ['/v1/devices/health?every=1d', ['steady']],
    ['/v1/series?from=-1d&every=1d', ['north']],
  ])('sees nothing of others at %s', async (path, seen) => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings', { lots: ['north'] })

    const { rows, gaps } = await answer<{ lotId?: string; deviceId?: string }>(path, token)

    expect([...new Set(rows.map(({ deviceId, lotId }) => deviceId ?? lotId))]).toEqual(seen)
    expect(gaps.every(({ deviceId }) => deviceId === 'steady')).toBe(true)
    const other = await ingest.ask(`${path}${path.includes('?') ? '&' : '?'}lot=south`, { token })
    expect(other.status).toBe(404)
  })
})

describe('a client that leaves', () => {
  test('in the middle of a stream ends its question, and nobody else notices', async () => {
    const many = 25_000
    const messages = Array.from({ length: many / 500 }, (_, message) => ({
      deviceId: 'bulk',
      payload: {
        v: 1,
        epoch,
        readings: Array.from({ length: 500 }, (_, i) => {
          const seq = message * 500 + i
          return { seq, timestampMs: startMs - 86_400_000 + seq * 1000, occupied: 1 }
        }),
      },
    }))
    await send(...messages)
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
    const asked = request(`${ingest.url()}/v1/readings?device=bulk&format=ndjson`, {
      headers: { authorization: `Bearer ${token}` },
    })
    asked.on('error', () => undefined).end()
    const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage]
    await once(response, 'data')
    response.destroy()

    const text = await (await ingest.ask('/v1/readings?device=bulk&format=ndjson')).text()
    expect(text.split('\n').length - 1).toBe(many)
  }, 60_000)
})
