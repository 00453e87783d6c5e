import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { handoverMediaType } from '../../core/contract/handover.ts'
import { audiences } from '../../core/contract/principal.ts'
import type {
  Answer,
  LatestRow,
  LotRow,
  QuarantineRow,
  ReadingRow,
  SeriesRow,
} from '../../core/contract/query.ts'
import type { Assignment, Lot } from '../../core/contract/registry.ts'
import { handoverOf, postHandover, type SentMessage } from '../kit/handover.ts'
import { type IngestUnderTest, ingestEnv, startIngest } from '../kit/ingest.ts'
import { eventually, startProgram } from '../kit/program.ts'

const epoch = '9f0c3a77d1e2b465'
/** 2026-03-02 09:00 UTC, a Monday. */
const nineMs = Date.UTC(2026, 2, 2, 9)
const minuteMs = 60_000

const lots: Lot[] = [
  {
    lotId: 'north',
    name: 'North, "upper"',
    zone: 'Europe/London',
    capacities: [{ fromMs: 0, capacity: 100 }],
  },
  { lotId: 'south', name: 'South', capacities: [] },
]
const assignments: Assignment[] = ['n1', 's1', 's2', 'odd', 'holed']
  .map((deviceId) => ({
    deviceId,
    lotId: deviceId.startsWith('n') ? 'north' : 'south',
    fromMs: 0,
    toMs: null,
  }))
  .filter(({ deviceId }) => deviceId.length === 2)

let ingest: IngestUnderTest
beforeAll(async () => {
  ingest = await startIngest({ snapshot: { lots, assignments } })
})
afterAll(() => ingest.stop())

async function send(...messages: SentMessage[]) {
  return postHandover(ingest.url(), await ingest.writeToken(), handoverOf(messages))
}

async function answer<Row>(path: string, token?: string): Promise<Answer<Row>> {
  const response = await ingest.ask(path, token === undefined ? {} : { token })
  expect(response.status).toBe(200)
  return (await response.json()) as Answer<Row>
}

function reading(seq: number, occupied: number | null, more: object = {}) {
  return { seq, timestampMs: nineMs + seq * minuteMs, occupied, ...more }
}

describe('a handover', () => {
  test('is answered with a letter per reading, and its readings are in queries', async () => {
    const message = { v: 1, epoch, readings: [reading(0, 10), reading(1, 120, { clock: 'unsynced' })] }

    const first = await send({ deviceId: 'n1', payload: message })

    expect(first).toMatchObject({ status: 200, verdicts: ['ss'] })
    const { rows, complete } = await answer<ReadingRow>('/v1/readings?device=n1&tz=Europe/Berlin')
    expect(complete).toBe(true)
    expect(
      rows.map(({ time, lotId, occupied, seq, flags }) => ({ time, lotId, occupied, seq, flags })),
    ).toEqual([
      { time: '2026-03-02T10:00:00+01:00', lotId: 'north', occupied: 10, seq: 0, flags: ['late'] },
      {
        time: '2026-03-02T10:01:00+01:00',
        lotId: 'north',
        occupied: 120,
        seq: 1,
        flags: ['late', 'clock_unsynced', 'over_capacity'],
      },
    ])
  })

  test('that comes again changes nothing', async () => {
    const message: SentMessage = {
      deviceId: 'again',
      payload: { v: 1, epoch, readings: [reading(0, 1), reading(1, 2)] },
    }
    await send(message)

    const second = await send(message, message)

    expect(second.verdicts).toEqual(['rr', 'rr'])
    expect((await answer<ReadingRow>('/v1/readings?device=again')).rows).toHaveLength(2)
  })

  test('with the same instant under another identity is a duplicate or a conflict', async () => {
    const at = nineMs + 5
    const one = (seq: number, occupied: number) => ({
      v: 1,
      epoch,
      readings: [{ seq, timestampMs: at, occupied }],
    })
    await send({ deviceId: 'twin', payload: one(0, 7) })

    const { verdicts } = await send(
      { deviceId: 'twin', payload: one(1, 7) },
      { deviceId: 'twin', payload: one(2, 8) },
      { deviceId: 'twin', payload: { v: 1, readings: [{ timestampMs: at, occupied: 7 }] } },
    )

    expect(verdicts).toEqual(['d', 'c', 'd'])
    const { rows } = await answer<QuarantineRow>('/v1/quarantine?device=twin')
    expect(rows).toMatchObject([
      {
        reason: 'reading.conflict',
        seq: 2,
        storedOccupied: 7,
        content: JSON.stringify(one(2, 8).readings[0]),
      },
    ])
  })

  test.each([
    ['payload.unparsable', 'readings', 'not JSON'],
    ['payload.unparsable', 'readings', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['payload.unparsable', 'status', '[]'],
    ['payload.invalid', 'readings', { v: 2, readings: [] }],
    ['payload.invalid', 'readings', { v: 1, epoch: 'short', readings: [] }],
    ['payload.invalid', 'readings', `{"v":1,"readings":[${'['.repeat(30_000)}${']'.repeat(30_000)}]}`],
    ['payload.topic', 'replies', {}],
    ['reading.type', 'readings', { v: 1, readings: [{ timestampMs: nineMs }] }],
    ['reading.type', 'readings', { v: 1, epoch, readings: [{ timestampMs: nineMs, occupied: 1 }] }],
    ['reading.type', 'readings', { v: 1, readings: [{ seq: 4, timestampMs: nineMs, occupied: 1 }] }],
    ['reading.negative', 'readings', { v: 1, epoch, readings: [reading(1, -1)] }],
    ['reading.not_integer', 'readings', { v: 1, epoch, readings: [reading(2, 1.5)] }],
    ['reading.too_large', 'readings', { v: 1, epoch, readings: [reading(3, 2 ** 31)] }],
    ['reading.ancient', 'readings', { v: 1, epoch, readings: [{ seq: 4, timestampMs: 1, occupied: 1 }] }],
    ['reading.future', 'readings', { v: 1, epoch, readings: [{ seq: 5, timestampMs: 9e15, occupied: 1 }] }],
  ])('with what can never be right ends in quarantine as %s on %s', async (reason, kind, payload) => {
    const deviceId = `bad-${reason.replace('.', '-')}-${kind}`
    const before = (await answer<QuarantineRow>(`/v1/quarantine?device=${deviceId}`)).rows.length

    const first = await send({ deviceId, kind, payload })
    const second = await send({ deviceId, kind, payload })

    expect([first.verdicts, second.verdicts]).toEqual([['q'], ['q']])
    const { rows } = await answer<QuarantineRow>(`/v1/quarantine?device=${deviceId}`)
    expect(rows.length).toBe(before + 1)
    expect(rows[0]).toMatchObject({ reason, count: 2, deviceId })
    expect((await answer<ReadingRow>(`/v1/readings?device=${deviceId}`)).rows).toEqual([])
  })

  test('one bad reading does not take its neighbours along', async () => {
    const { verdicts } = await send({
      deviceId: 'odd',
      payload: { v: 1, epoch, readings: [reading(0, 1), reading(1, -1), reading(2, 3)] },
    })

    expect(verdicts).toEqual(['sqs'])
    expect((await answer<ReadingRow>('/v1/readings?device=odd')).complete).toBe(true)
  })

  test('a status is taken', async () => {
    const { verdicts } = await send({ deviceId: 'n1', kind: 'status', payload: { v: 1, state: 'up' } })

    expect(verdicts).toEqual(['s'])
  })

  test('from a time that no clock shows is refused as a whole', async () => {
    const { code } = await postHandover(
      ingest.url(),
      await ingest.writeToken(),
      handoverOf([
        {
          deviceId: 'n1',
          receivedAtMs: 1e300,
          payload: { v: 1, readings: [{ timestampMs: 1e300, occupied: 1 }] },
        },
      ]),
    )

    expect(code).toBe('handover.malformed')
  })

  test('whose frames cannot be read is refused as a whole', async () => {
    const body = handoverOf([{ deviceId: 'n1', payload: { v: 1, readings: [] } }])

    const { status, code } = await postHandover(ingest.url(), await ingest.writeToken(), body.subarray(0, -1))

    expect({ status, code }).toEqual({ status: 400, code: 'handover.malformed' })
  })

  test.each([
    ['JSON', 415, 'request.media_type', { headers: { 'content-type': 'application/json' }, body: '{}' }],
    ['text', 415, 'request.media_type', { headers: { 'content-type': 'text/plain' }, body: 'x' }],
    ['nothing', 400, 'handover.malformed', {}],
  ])('that is %s is refused with %i %s', async (_what, status, code, { headers, body }: RequestInit) => {
    const response = await fetch(`${ingest.url()}/v1/readings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await ingest.writeToken()}`, ...headers },
      ...(body === undefined ? {} : { body }),
    })

    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ code })
  })

  test('beyond the largest size is refused before it is read', async () => {
    // Only the head is sent: an answer proves that nobody waited for the body.
    const asked = request(`${ingest.url()}/v1/readings`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await ingest.writeToken()}`,
        'content-type': handoverMediaType,
        'content-length': 16 * 1024 * 1024 + 1,
      },
    })
    asked.flushHeaders()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    asked.on('error', () => {}).destroy() // the server has hung up by now, or will

    expect(response.statusCode).toBe(413)
  })
})

describe('the ledger', () => {
  test('shows holes, what a device dropped, and the missing tail of an epoch', async () => {
    const next = 'aaaaaaaaaaaaaaaa'
    await send(
      { deviceId: 'holed', payload: { v: 1, epoch, readings: [reading(0, 1), reading(3, 1)] } },
      {
        deviceId: 'holed',
        payload: {
          v: 1,
          epoch: next,
          readings: [reading(4, 1)],
          dropped: [{ fromSeq: 0, toSeq: 3, reason: 'outbox_full' }],
          previous: { epoch, lastSeq: 5 },
        },
      },
    )

    const { complete, gaps } = await answer<ReadingRow>('/v1/readings?device=holed')

    expect(complete).toBe(false)
    expect(gaps).toMatchObject([
      { deviceId: 'holed', epoch, fromSeq: 1, toSeq: 2, reason: 'unexplained' },
      { deviceId: 'holed', epoch, fromSeq: 4, toSeq: 5, reason: 'unexplained' },
      { deviceId: 'holed', epoch: next, fromSeq: 0, toSeq: 3, reason: 'outbox_limit', detail: 'outbox_full' },
    ])
  })

  test('takes a reading that its device believed lost', async () => {
    const dropped = [{ fromSeq: 0, toSeq: 1, reason: 'outbox_full' }]
    await send({ deviceId: 'found', payload: { v: 1, epoch, readings: [], dropped } })

    const { verdicts } = await send({
      deviceId: 'found',
      payload: { v: 1, epoch, readings: [reading(0, 1), reading(1, 1)] },
    })

    expect(verdicts).toEqual(['ss'])
    expect((await answer<ReadingRow>('/v1/readings?device=found')).complete).toBe(true)
  })
})

describe('a question', () => {
  beforeAll(async () => {
    await send(
      { deviceId: 's1', payload: { v: 1, epoch, readings: [reading(0, 10), reading(30, 20)] } },
      {
        deviceId: 's2',
        payload: { v: 1, epoch, readings: [reading(10, 1), reading(40, 3), reading(70, 5)] },
      },
    )
  })
  const series = '/v1/series?from=2026-03-02T09:00:00Z&to=2026-03-02T11:30:00Z&every=1h&lot=south'

  test('for a series gives sums of devices, and null where one of them has nothing', async () => {
    const { rows } = await answer<SeriesRow>(
      `${series}&agg=mean&agg=min&agg=max&agg=first&agg=last&agg=count`,
    )

    expect(rows).toEqual([
      {
        lotId: 'south',
        start: '2026-03-02T09:00:00+00:00',
        end: '2026-03-02T10:00:00+00:00',
        mean: 17,
        min: 11,
        max: 23,
        first: 11,
        last: 23,
        count: 4,
      },
      {
        lotId: 'south',
        start: '2026-03-02T10:00:00+00:00',
        end: '2026-03-02T11:00:00+00:00',
        mean: null,
        min: null,
        max: null,
        first: null,
        last: null,
        count: 1,
      },
      {
        lotId: 'south',
        start: '2026-03-02T11:00:00+00:00',
        end: '2026-03-02T11:30:00+00:00',
        mean: null,
        min: null,
        max: null,
        first: null,
        last: null,
        count: 0,
      },
    ])
  })

  test('for CSV gives the same rows, with empty cells for null', async () => {
    const response = await ingest.ask(`${series}&agg=mean&format=csv`)

    expect(response.headers.get('content-type')).toMatch('text/csv')
    expect(response.headers.get('lotwatch-complete')).toBe('false')
    expect((await response.text()).split('\r\n')).toEqual([
      'lotId,start,end,mean',
      'south,2026-03-02T09:00:00+00:00,2026-03-02T10:00:00+00:00,17',
      'south,2026-03-02T10:00:00+00:00,2026-03-02T11:00:00+00:00,',
      'south,2026-03-02T11:00:00+00:00,2026-03-02T11:30:00+00:00,',
      '',
    ])
  })

  test('for columns gives these, in this order', async () => {
    const response = await ingest.ask(
      '/v1/readings?lot=south&columns=occupied,deviceId&format=ndjson&limit=1',
    )
    const unknown = await ingest.ask('/v1/readings?columns=nothing')

    expect(await response.text()).toBe('{"occupied":10,"deviceId":"s1"}\n')
    expect(response.headers.get('lotwatch-next-cursor')).not.toBeNull()
    expect(await unknown.json()).toMatchObject({
      code: 'request.invalid',
      detail: expect.stringMatching(/^columns: nothing/),
    })
  })

  test('for Parquet gives a file, with what JSON says beside its rows in headers', async () => {
    const response = await ingest.ask(`${series}&agg=mean`, {
      headers: { accept: 'application/vnd.apache.parquet' },
    })
    const bytes = Buffer.from(await response.arrayBuffer())

    expect(response.headers.get('content-length')).toBe(String(bytes.length))
    expect([bytes.subarray(0, 4).toString(), bytes.subarray(-4).toString()]).toEqual(['PAR1', 'PAR1'])
    expect(response.headers.get('lotwatch-rows')).toBe('3')
    expect(response.headers.get('lotwatch-tz')).toBe('UTC')
  })

  test('for lots quotes what CSV has to quote', async () => {
    const response = await ingest.ask('/v1/lots', { headers: { accept: 'text/csv' } })

    expect(await response.text()).toContain('north,"North, ""upper""",100,,,Europe/London,,n1\r\n')
  })

  test('for what a lot holds now says how old that is', async () => {
    const nowMs = Date.now()
    await send({
      deviceId: 'n1',
      payload: { v: 1, epoch, readings: [{ seq: 2, timestampMs: nowMs, occupied: 40 }] },
    })

    const { rows } = await answer<LatestRow>('/v1/latest')

    expect(rows).toMatchObject([
      { lotId: 'north', state: 'current', occupied: 40, capacity: 100, free: 60 },
      { lotId: 'south', state: 'stale', occupied: null, lastOccupied: 25, capacity: null, free: null },
    ])
  })

  test('goes on where the page before ended', async () => {
    const path = '/v1/readings?lot=south&limit=2&order=desc'
    const seen: (number | null)[] = []
    let cursor = ''

    for (;;) {
      const { rows, nextCursor } = await answer<ReadingRow>(`${path}${cursor}`)
      seen.push(...rows.map(({ occupied }) => occupied))
      if (nextCursor === undefined) break
      cursor = `&cursor=${nextCursor}`
    }

    expect(seen).toEqual([5, 3, 20, 1, 10])
  })

  test('sees only the lots its token names', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings', { lots: ['south'] })

    const lotIds = (await answer<LotRow>('/v1/lots', token)).rows.map(({ lotId }) => lotId)
    const devices = (await answer<ReadingRow>('/v1/readings', token)).rows.map(({ deviceId }) => deviceId)
    const quarantine = (await answer<QuarantineRow>('/v1/quarantine', token)).rows
    const foreign = await ingest.ask('/v1/latest?lot=north', { token })

    expect(lotIds).toEqual(['south'])
    expect(new Set(devices)).toEqual(new Set(['s1', 's2']))
    expect(quarantine).toEqual([])
    expect(foreign.status).toBe(404)
  })

  test.each([
    ['/v1/series?from=yesterday', 400, 'from must be a time: now, -7d'],
    ['/v1/series?from=2026-02-30', 400, '2026-02-30'],
    ['/v1/series?from=-7d&tz=Mars/Olympus', 400, 'Mars/Olympus'],
    ['/v1/series?from=-7d&every=0h', 400, 'every must be a length such as 15m'],
    ['/v1/series?from=-7d&agg=median', 400, 'must be one of mean, min, max'],
    ['/v1/series?from=2000-01-01&every=1m', 400, 'windows'],
    ['/v1/series?from=now&to=-1d', 400, 'is before from'],
    ['/v1/readings?cursor=nonsense', 400, 'cursor'],
    ['/v1/latest?lot=nowhere', 404, 'nowhere'],
  ])('that cannot be answered says why: %s', async (path, status, words) => {
    const response = await ingest.ask(path)

    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch('application/problem+json')
    expect(await response.text()).toContain(words)
  })
})

describe('the door', () => {
  test('lets a token do only what its scope says', async () => {
    const read = await ingest.issuer.token(audiences.ingest, 'read:readings')
    const write = await ingest.writeToken()

    const handover = await postHandover(ingest.url(), read, handoverOf([]))
    const question = await ingest.ask('/v1/lots', { token: write })

    expect([handover.status, question.status]).toEqual([403, 403])
  })

  test('closes for a credential that the feed revokes', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings', { cred: 'stolen' })
    expect((await ingest.ask('/v1/lots', { token })).status).toBe(200)

    ingest.issuer.push({
      type: 'revocation',
      data: { of: 'credential', credentialId: 'stolen', atMs: Date.now() },
    })

    await eventually(async () => (await ingest.ask('/v1/lots', { token })).status === 401, 1000)
  })
})

test('a second process may not have the same database', async () => {
  await expect(startProgram('ingest', { env: ingestEnv(ingest.issuer, ingest.dataDir) })).rejects.toThrow(
    /ended with 78/,
  )
})

test('whatever is killed in between, every reading is stored once', async () => {
  const crashed = await startIngest()
  try {
    const devices = ['k1', 'k2', 'k3']
    const perBatch = 50
    const batches = Array.from({ length: 40 }, (_, b) =>
      handoverOf(
        devices.map((deviceId) => ({
          deviceId,
          payload: {
            v: 1,
            epoch,
            readings: Array.from({ length: perBatch }, (_, i) => reading(b * perBatch + i, i)),
          },
        })),
      ),
    )
    const token = await crashed.writeToken()
    for (let kill = 0; kill < 5; kill++) {
      // Each time from the start: what is there already must stay as it is.
      let killed: Promise<void> | undefined
      for (const [i, body] of batches.slice(0, (kill + 1) * 8).entries()) {
        if (i === kill * 8 + kill) killed = crashed.program().kill()
        await postHandover(crashed.url(), token, body).catch(() => undefined) // the program is gone
      }
      await killed
      await crashed.restart()
    }

    for (const body of batches) expect((await postHandover(crashed.url(), token, body)).status).toBe(200)

    const response = await crashed.ask('/v1/readings?limit=100000')
    const { rows, complete } = (await response.json()) as Answer<ReadingRow>
    expect(complete).toBe(true)
    const identities = rows.map(({ deviceId, seq }) => `${deviceId}/${seq}`)
    expect(identities).toHaveLength(devices.length * batches.length * perBatch)
    expect(new Set(identities).size).toBe(identities.length)
  } finally {
    await crashed.stop()
  }
}, 180_000)
