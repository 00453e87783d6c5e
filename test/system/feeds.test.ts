import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'

const epoch = '9f0c3a77d1e2b465'
const lots = [
  {
    lotId: 'north',
    name: 'North',
    latitude: 51.05,
    longitude: 13.74,
    capacities: [{ fromMs: 0, capacity: 100 }],
  },
  { lotId: 'south', name: 'South', capacities: [{ fromMs: 0, capacity: 50 }] },
  {
    lotId: 'west',
    name: 'West',
    zone: 'Europe/Berlin',
    openingHours: 'Mo-Su off',
    capacities: [{ fromMs: 0, capacity: 10 }],
  },
]
const assignments = [{ deviceId: 'n1', lotId: 'north', fromMs: 0, toMs: null }]

/** As the documentation of ParkAPI has the fields of a city and its lots. */
interface City {
  last_updated: string
  last_downloaded: string
  data_source: string
  lots: Record<string, unknown>[]
}

let ingest: IngestUnderTest
let open: IngestUnderTest
beforeAll(async () => {
  const env = { LOTWATCH_INGEST_FEED_CITY_ID: 'dresden', LOTWATCH_INGEST_REQUESTS_PER_MINUTE_MAX: '30' }
  ingest = await startIngest({ snapshot: { lots, assignments }, env })
  open = await startIngest({
    snapshot: { lots, assignments },
    env: { ...env, LOTWATCH_INGEST_FEEDS_PUBLIC: 'true' },
  })
  for (const one of [ingest, open]) {
    const payload = { v: 1, epoch, readings: [{ seq: 0, timestampMs: Date.now() - 1000, occupied: 30 }] }
    await postHandover(one.url(), await one.writeToken(), handoverOf([{ deviceId: 'n1', payload }]))
  }
})
afterAll(async () => {
  await ingest.stop()
  await open.stop()
})

describe('the feed for ParkAPI', () => {
  test('has every documented field, free only where somebody counted, and the reading that just came', async () => {
    const city = (await (await ingest.ask('/v1/feeds/parkapi/dresden')).json()) as City
    const time = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$/

    expect(Object.keys(city).toSorted()).toEqual(['data_source', 'last_downloaded', 'last_updated', 'lots'])
    expect([city.last_updated, city.last_downloaded].every((text) => time.test(text))).toBe(true)
    expect(Date.now() - Date.parse(`${city.last_updated}Z`)).toBeLessThan(120_000)
    expect(city.lots).toEqual([
      {
        id: 'north',
        name: 'North',
        total: 100,
        free: 70,
        state: 'open',
        coords: { lat: 51.05, lng: 13.74 },
        forecast: false,
      },
      { id: 'south', name: 'South', total: 50, state: 'nodata', coords: null, forecast: false },
      { id: 'west', name: 'West', total: 10, state: 'closed', coords: null, forecast: false },
    ])
  })

  test('names its cities, and knows no other', async () => {
    expect(await (await ingest.ask('/v1/feeds/parkapi')).json()).toMatchObject({
      api_version: '1.0',
      cities: { dresden: 'Lots' },
    })
    expect((await ingest.ask('/v1/feeds/parkapi/elsewhere')).status).toBe(404)
  })

  test('shows a token with a limit its own lots', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings', { lots: ['south'] })
    const city = (await (await ingest.ask('/v1/feeds/parkapi/dresden', { token })).json()) as City
    expect(city.lots.map(({ id }) => id)).toEqual(['south'])
  })

  test('is closed to strangers, unless the operator opens it', async () => {
    const stranger = (one: IngestUnderTest, path: string) => fetch(`${one.url()}${path}`)

    expect((await stranger(ingest, '/v1/feeds/parkapi/dresden')).status).toBe(401)
    expect((await stranger(open, '/v1/lots')).status).toBe(401)
    const answer = await stranger(open, '/v1/feeds/parkapi/dresden')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('public, max-age=5')
    expect(((await answer.json()) as City).lots).toHaveLength(lots.length)
  })
})

describe('one client', () => {
  test('is told to slow down, and when to come back, while others and brokers are answered', async () => {
    const greedy = await ingest.issuer.token(audiences.ingest, 'read:readings', { client_id: 'greedy' })
    const answers: Response[] = []
    for (let i = 0; i < 31; i++) answers.push(await ingest.ask('/v1/lots', { token: greedy }))

    expect(answers.slice(0, 30).every(({ status }) => status === 200)).toBe(true)
    const last = answers.at(-1) as Response // there are 31
    expect([last.status, ((await last.json()) as { code: string }).code]).toEqual([429, 'request.too_many'])
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0)

    const modest = await ingest.issuer.token(audiences.ingest, 'read:readings', { client_id: 'modest' })
    expect((await ingest.ask('/v1/lots', { token: modest })).status).toBe(200)
    const broker = await ingest.issuer.token(audiences.ingest, 'write:readings', { client_id: 'greedy' })
    const payload = { v: 1, epoch, readings: [{ seq: 1, timestampMs: Date.now(), occupied: 31 }] }
    for (let i = 0; i < 40; i++)
      expect(
        (await postHandover(ingest.url(), broker, handoverOf([{ deviceId: 'n1', payload }]))).status,
      ).toBe(200)
    expect((await fetch(`${ingest.url()}/livez`)).status).toBe(200)
  })
})
