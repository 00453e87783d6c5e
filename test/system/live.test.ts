import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LiveMissed } from '../../core/contract/live.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { ReadingRow } from '../../core/contract/query.ts'
import { handoverOf, postHandover } from '../kit/handover.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { eventually } from '../kit/program.ts'

const epoch = '9f0c3a77d1e2b465'
const lots = ['north', 'south'].map((lotId) => ({ lotId, name: lotId, capacities: [] }))
const assignments = [
  { deviceId: 'n1', lotId: 'north', fromMs: 0, toMs: null },
  { deviceId: 's1', lotId: 'south', fromMs: 0, toMs: null },
]

let ingest: IngestUnderTest
let seq = 0
beforeAll(async () => {
  ingest = await startIngest({
    snapshot: { lots, assignments },
    env: { LOTWATCH_INGEST_SKEW_SEC: '0', LOTWATCH_INGEST_LIVE_READINGS_MAX: '2000' },
  })
})
afterAll(() => ingest.stop())

async function send(deviceId: string, count = 1, atMs = Date.now()): Promise<number[]> {
  const readings = Array.from({ length: count }, () => ({
    seq: seq++,
    timestampMs: atMs + seq,
    occupied: seq,
  }))
  const answer = await postHandover(
    ingest.url(),
    await ingest.writeToken(),
    handoverOf([{ deviceId, payload: { v: 1, epoch, readings } }]),
  )
  expect(answer.verdicts).toEqual(['s'.repeat(count)])
  return readings.map(({ occupied }) => occupied)
}

interface Ear {
  readonly response: IncomingMessage
  text: string
  isClosed: boolean
  seen(): number[]
  leave(): void
}

/** Listens on a connection of its own, which takes nothing while it is paused. */
async function listen(query = '', options: { token?: string; lastEventId?: string } = {}): Promise<Ear> {
  const token = options.token ?? (await ingest.issuer.token(audiences.ingest, 'read:readings'))
  const asked = request(`${ingest.url()}/v1/live${query}`, {
    agent: false,
    headers: {
      authorization: `Bearer ${token}`,
      ...(options.lastEventId === undefined ? {} : { 'last-event-id': options.lastEventId }),
    },
  })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const ear: Ear = {
    response,
    text: '',
    isClosed: false,
    seen: () =>
      [...ear.text.matchAll(/^event: reading\ndata: (.*)$/gm)].map(
        ([, data]) => (JSON.parse(data ?? '') as ReadingRow).occupied ?? -1,
      ),
    leave: () => void asked.destroy(),
  }
  response.setEncoding('utf8').on('data', (chunk: string) => {
    ear.text += chunk
  })
  response.once('close', () => {
    ear.isClosed = true
  })
  response.on('error', () => undefined) // cut: that is looked at
  await eventually(() => ear.text.startsWith('retry:'))
  return ear
}

describe('the live feed', () => {
  test('tells of each stored reading once, as the row that a question would have, and of no duplicate', async () => {
    const ear = await listen('?lot=north')
    const [first] = await send('n1')
    const again = { seq: seq - 1, timestampMs: 1, occupied: first }
    const redelivered = handoverOf([{ deviceId: 'n1', payload: { v: 1, epoch, readings: [again] } }])
    const { verdicts } = await postHandover(ingest.url(), await ingest.writeToken(), redelivered)
    expect(verdicts).toEqual(['r'])
    await send('s1')
    const [second] = await send('n1')
    await eventually(() => ear.seen().length >= 2)

    expect(ear.seen()).toEqual([first, second])
    const [, data] = /^event: reading\ndata: (.*)$/m.exec(ear.text) ?? []
    const found = (await (await ingest.ask('/v1/readings?lot=north')).json()) as { rows: ReadingRow[] }
    expect(JSON.parse(data ?? '')).toEqual(found.rows.find(({ occupied }) => occupied === first))
    ear.leave()
  })

  test('shows a token with a limit its own lots, whatever it asks for', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings', { lots: ['south'] })
    const ear = await listen('', { token })
    await send('n1')
    const [seen] = await send('s1')
    await eventually(() => ear.seen().length > 0)

    expect(ear.seen()).toEqual([seen])
    expect((await ingest.ask('/v1/live?lot=north', { token })).status).toBe(404)
    ear.leave()
  })

  test('goes on where a client was that comes back, without a reading twice or missing', async () => {
    const before = await listen()
    const first = await send('n1', 3)
    await eventually(() => before.seen().length === 3)
    before.leave()
    const second = await send('s1', 2)
    const [lastEventId] = [...before.text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id).slice(-1)

    const after = await listen('', { lastEventId: lastEventId ?? '' })
    const third = await send('n1')
    await eventually(() => after.seen().length >= 3)

    expect([...before.seen(), ...after.seen()]).toEqual([...first, ...second, ...third])
    after.leave()
  })

  test('says after a restart since when something may be missed, and all of that can be asked for', async () => {
    const before = await listen()
    const seen = await send('n1')
    await eventually(() => before.seen().length === 1)
    const lastEventId = /^id: (.*)$/m.exec(before.text)?.[1] ?? ''

    await ingest.program().stop()
    expect(before.text).toContain('"reason":"stopping"')
    await ingest.restart()
    const missed = await send('n1', 2, Date.now() - 86_400_000)
    const after = await listen('', { lastEventId })

    await eventually(() => after.text.includes('event: missed'))
    const { receivedFrom } = JSON.parse(
      /^event: missed\ndata: (.*)$/m.exec(after.text)?.[1] ?? '',
    ) as LiveMissed
    const asked = `/v1/readings?limit=1000&receivedFrom=${encodeURIComponent(receivedFrom ?? '')}`
    const { rows } = (await (await ingest.ask(asked)).json()) as { rows: ReadingRow[] }
    expect(rows.map(({ occupied }) => occupied)).toEqual(expect.arrayContaining([...seen, ...missed]))
    after.leave()
  })

  test('cuts a client that takes nothing, while readings are stored and others hear of them', async () => {
    const slow = await listen()
    slow.response.pause()
    const good = await listen('?device=s1')
    // More than the kernel's buffers and the ring hold.
    for (let i = 0; i < 60; i++) await send('n1', 300)
    const [last] = await send('s1')

    await eventually(() => good.seen().includes(last ?? -1))
    slow.response.resume()
    await eventually(() => slow.isClosed, 20_000)
    expect(slow.seen().length).toBeLessThan(18_000)
    expect(good.isClosed).toBe(false)
    good.leave()
  })

  test('ends with the token: when it expires, and when it is revoked', async () => {
    const nowSec = Math.floor(Date.now() / 1000)
    const short = await ingest.issuer.token(audiences.ingest, 'read:readings', { exp: nowSec + 4 })
    const revoked = await ingest.issuer.token(audiences.ingest, 'read:readings', { jti: 'to-be-revoked' })
    const [expiring, other] = [await listen('', { token: short }), await listen('', { token: revoked })]

    ingest.issuer.push({
      type: 'revocation',
      data: { of: 'token', tokenId: 'to-be-revoked', atMs: Date.now() },
    })

    await eventually(() => other.text.includes('"reason":"token.revoked"') && other.isClosed)
    await eventually(() => expiring.text.includes('"reason":"token.expired"') && expiring.isClosed)
  })

  test('is closed to strangers', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'query:sql')
    expect((await ingest.ask('/v1/live', { token })).status).toBe(403)
    expect((await ingest.ask('/v1/live', { token: 'x.y.z' })).status).toBe(401)
  })
})
