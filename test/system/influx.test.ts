/** Ingest over a real InfluxDB, as a process: killed between its writes, and cut off from its store. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Answer, LatestRow, QuarantineRow, ReadingRow, SeriesRow } from '../../core/contract/query.ts'
import { handoverOf, postHandover, type SentMessage } from '../kit/handover.ts'
import { type Influx, type InfluxProxy, startInflux, startInfluxProxy } from '../kit/influx.ts'
import { type Influx3, influx3Token, startInflux3 } from '../kit/influx3.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { eventually } from '../kit/program.ts'

const epoch = '9f0c3a77d1e2b465'
const hourMs = 3600_000
const nineMs = Date.UTC(2026, 2, 2, 9)

describeWithCommand('influxd').each([1, 3] as const)('ingest over InfluxDB %i', (version) => {
  let influx: Influx
  let influx3: Influx3
  let proxy: InfluxProxy
  let ingest: IngestUnderTest
  beforeAll(async () => {
    influx = await startInflux()
    influx3 = await startInflux3(influx.url)
    proxy = await startInfluxProxy(version === 3 ? influx3.url : influx.url)
    ingest = await startIngest({
      snapshot: {
        lots: [{ lotId: 'north', name: 'North', capacities: [] }],
        assignments: [{ deviceId: 'n1', lotId: 'north', fromMs: 0, toMs: null }],
      },
      env: {
        LOTWATCH_INGEST_STORE: 'influx',
        LOTWATCH_INGEST_INFLUX_URL: proxy.url,
        LOTWATCH_INGEST_INFLUX_VERSION: String(version),
        ...(version === 3 ? { LOTWATCH_INGEST_INFLUX_TOKEN: influx3Token } : {}),
        LOTWATCH_INGEST_INFLUX_BUCKET: await influx.createDatabase(),
        LOTWATCH_INGEST_INFLUX_TIMEOUT_MS: '2000',
      },
    })
  })
  beforeEach(() => proxy.decide(() => 'pass'))
  afterAll(async () => {
    await ingest.stop()
    await proxy.stop()
    await influx3.stop()
    await influx.stop()
  })

  async function send(...messages: SentMessage[]) {
    return postHandover(ingest.url(), await ingest.writeToken(), handoverOf(messages))
  }

  async function rowsOf<Row>(path: string): Promise<Answer<Row>> {
    const response = await ingest.ask(path)
    expect(response.status).toBe(200)
    return (await response.json()) as Answer<Row>
  }

  function messageOf(deviceId: string, occupied: readonly number[]): SentMessage {
    const readings = occupied.map((count, seq) => ({
      seq,
      timestampMs: nineMs + seq * hourMs,
      occupied: count,
    }))
    return { deviceId, payload: { v: 1, epoch, readings } }
  }

  test('answers every question as over any other store', async () => {
    const { verdicts } = await send(messageOf('n1', [4, 8]), { deviceId: 'n1', payload: 'not JSON' })

    expect(verdicts).toEqual(['ss', 'q'])
    const { rows, complete } = await rowsOf<SeriesRow>(
      '/v1/series?lot=north&from=2026-03-02T09:00:00Z&to=2026-03-02T12:00:00Z&agg=mean&agg=count',
    )
    expect(rows.map(({ mean, count }) => [mean, count])).toEqual([
      [4, 1],
      [8, 1],
      [null, 0],
    ])
    expect(complete).toBe(true)
    expect((await rowsOf<LatestRow>('/v1/latest?lot=north')).rows).toMatchObject([
      { lotId: 'north', lastOccupied: 8 },
    ])
    expect((await rowsOf<QuarantineRow>('/v1/quarantine?device=n1')).rows).toMatchObject([
      { reason: 'payload.unparsable', content: 'not JSON' },
    ])
  })

  test('stores every reading once when it is killed between readings and ledger', async () => {
    const message = messageOf('killed', [1, 2, 3])
    let isBetween = false
    proxy.decide((_request, body) => {
      if (!body.startsWith('ledger,')) return 'pass'
      isBetween = true
      return 'hang'
    })
    const unanswered = send(message).catch(() => undefined) // the answer dies with the process

    await eventually(() => isBetween)
    await ingest.program().kill()
    expect(await unanswered).toBeUndefined()
    proxy.decide(() => 'pass')
    await ingest.restart()

    expect((await send(message)).verdicts).toEqual(['rrr'])
    expect((await send(message)).verdicts).toEqual(['rrr'])
    const { rows, complete } = await rowsOf<ReadingRow>('/v1/readings?device=killed')
    expect(rows.map(({ seq, occupied }) => [seq, occupied])).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ])
    expect(complete).toBe(true)
  })

  test('acknowledges nothing while InfluxDB is away, and goes on when it is back', async () => {
    const message = messageOf('away', [5])
    await send(messageOf('near', [5])) // the day is known: nothing comes before its readings
    proxy.decide(({ url }) => (url?.startsWith('/query') ? 'pass' : 'hang'))

    expect(await send(message)).toMatchObject({ status: 503, code: 'store.unavailable' })
    proxy.decide(() => 500)
    expect(await send(message)).toMatchObject({ status: 503, code: 'store.unavailable' })
    expect((await fetch(`${ingest.url()}/readyz`)).status).toBe(503)
    proxy.decide(() => 'pass')

    // What was never answered was written again first, and is found now.
    expect((await send(message)).verdicts).toEqual(['r'])
    expect((await rowsOf<ReadingRow>('/v1/readings?device=away')).rows).toHaveLength(1)
  })

  test('tells a conflict from its own reading whose write was never answered', async () => {
    const at = (seq: number, occupied: number): SentMessage => ({
      deviceId: 'doubt',
      payload: { v: 1, epoch, readings: [{ seq, timestampMs: nineMs, occupied }] },
    })
    proxy.decide((_request, body) => (body.startsWith('readings,') ? 'lose the answer' : 'pass'))
    expect(await send(at(0, 7))).toMatchObject({ status: 503, code: 'store.unavailable' })
    proxy.decide(() => 'pass')

    expect((await send(at(1, 8))).verdicts).toEqual(['c'])
    expect((await send(at(0, 7))).verdicts).toEqual(['r'])
    const { rows } = await rowsOf<ReadingRow>('/v1/readings?device=doubt')
    expect(rows.map(({ seq, occupied }) => [seq, occupied])).toEqual([[0, 7]])
  })
})
