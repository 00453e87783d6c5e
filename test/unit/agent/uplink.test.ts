import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createUplink, type Uplink, type UplinkOptions } from '../../../agent/uplink.ts'
import { initTls } from '../../../cli/tls.ts'
import { createTokenSource } from '../../../core/auth/token-source.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import { createFetch } from '../../../core/runtime/fetch.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { eventually, freePort, makeDataDir } from '../../kit/program.ts'
import { startTestBroker, startTestIssuer, type TestBroker, type TestIssuer } from './peers.ts'

const deviceId = parseDeviceId('north-1') as DeviceId

let broker: TestBroker
let issuer: TestIssuer
let uplink: Uplink
let lines: string[]
let settled: number[]
let failures: number

beforeEach(async () => {
  broker = await startTestBroker()
  issuer = await startTestIssuer()
  lines = []
  settled = []
  failures = 0
})
afterEach(async () => {
  await uplink.stop()
  await broker.stop()
  issuer.stop()
})

interface Options extends Partial<UplinkOptions> {
  ca?: string
  brokerUrl?: string
  renewal?: 'in_band' | 'reconnect'
  /** Where in a token's life it is renewed. */
  tokenLuck?: () => number
}

function start({
  brokerUrl,
  ca,
  renewal = 'in_band',
  tokenLuck = () => 0.5,
  ...options
}: Options = {}): Uplink {
  const tokens = createTokenSource({
    credential: {
      issuer: 'https://issuer.example',
      client_id: deviceId,
      client_secret: 'a-secret-of-the-test',
      token_endpoint_auth_method: 'client_secret_basic',
      token_endpoint: issuer.tokenEndpoint,
    },
    audience: 'urn:lotwatch:broker',
    fetch: createFetch(),
    nowMs: () => performance.now(),
    random: tokenLuck,
  })
  uplink = createUplink({
    deviceId,
    broker: {
      url: brokerUrl ?? broker.url,
      audience: 'urn:lotwatch:broker',
      renewal,
      ...(ca === undefined ? {} : { ca }),
    },
    tokens,
    clock: { monotonicMs: () => performance.now() },
    random: Math.random,
    log: createLog({ program: 'agent', level: 'debug', write: (line) => lines.push(line) }),
    reconnectMinMs: 10,
    reconnectMaxMs: 100,
    refusedMinMs: 20,
    refusedMaxMs: 100,
    stableMs: 60_000,
    ackTimeoutMs: 15_000,
    ...options,
  })
  uplink.start({
    onConnected: () => undefined,
    onSettled: (id) => settled.push(id),
    onDisconnected: () => failures++,
  })
  return uplink
}

const connected = () => eventually(() => uplink.isConnected)

describe('uplink', () => {
  it('connects as the device, with an access token as password, and publishes on its own topic', async () => {
    start()
    await connected()
    uplink.send(7, '{"v":1,"readings":[]}')
    await eventually(() => settled.length === 1)
    expect(broker.passwords).toEqual(['token-1'])
    expect(broker.published).toEqual([
      { topic: 'devices/north-1/readings', payload: '{"v":1,"readings":[]}' },
    ])
    expect(settled).toEqual([7])
  })

  it('settles each message by its own PUBACK, whatever order they come in', async () => {
    broker.acknowledges = false
    start()
    await connected()
    for (const id of [1, 2, 3]) uplink.send(id, String(id))
    await eventually(() => broker.published.length === 3)
    expect(settled).toEqual([])
    broker.release('newest first')
    await eventually(() => settled.length === 3)
    expect(settled).toEqual([3, 2, 1])
  })

  it('comes back after a cut with the same token and settles nothing that was in flight', async () => {
    broker.acknowledges = false
    start()
    await connected()
    uplink.send(1, 'lost')
    await eventually(() => broker.published.length === 1)
    broker.cut()
    await eventually(() => broker.passwords.length === 2)
    await connected()
    expect(failures).toBe(1)
    broker.release()
    broker.acknowledges = true
    uplink.send(2, 'after')
    await eventually(() => settled.length > 0)
    expect(settled).toEqual([2])
    expect(broker.passwords).toEqual(['token-1', 'token-1'])
  })

  it('gives a connection up on which PUBACKs stop coming', async () => {
    broker.acknowledges = false
    start({ ackTimeoutMs: 200 })
    await connected()
    uplink.send(1, 'swallowed')
    await eventually(() => failures === 1)
    expect(lines.join('')).toContain('"reason":"ack_timeout"')
    await eventually(() => broker.passwords.length >= 2)
  })

  it('keeps its token when the broker cannot decide', async () => {
    broker.connack = 3
    start()
    await eventually(() => broker.passwords.length >= 3)
    broker.connack = 0
    await connected()
    expect(new Set(broker.passwords)).toEqual(new Set(['token-1']))
  })

  it('gets another token when the broker refuses', async () => {
    broker.connack = 5
    start()
    await eventually(() => broker.passwords.length >= 3)
    broker.connack = 0
    await connected()
    expect(new Set(broker.passwords).size).toBe(broker.passwords.length)
    expect(lines.join('')).toContain('"reason":"connack_5"')
  })

  it('tells an outage once and not at each attempt', async () => {
    broker.connack = 3
    start()
    await eventually(() => broker.passwords.length >= 4)
    expect(lines.filter((line) => line.includes('device.unreachable'))).toHaveLength(1)
  })

  it('waits for an issuer that refuses or is away, and says which', async () => {
    issuer.status = 401
    start()
    await eventually(() => lines.some((line) => line.includes('token.refused')))
    issuer.status = 503
    await eventually(() => lines.some((line) => line.includes('token.unavailable')))
    issuer.status = 200
    await connected()
    expect(issuer.given).toBe(1)
  })

  it('asks an issuer that refuses ever more slowly, and one that is away at the pace of a reconnect', async () => {
    const waits = () =>
      lines
        .map((line) => JSON.parse(line) as { event: string; waitMs: number })
        .filter(({ event }) => event === 'device.waiting')
        .map(({ waitMs }) => waitMs)
    issuer.status = 401
    start({ random: () => 0, refusedMinMs: 20, refusedMaxMs: 60 })

    await eventually(() => waits().length >= 4)
    expect(waits().slice(0, 4)).toEqual([20, 40, 60, 60])
    issuer.status = 503
    await eventually(() => waits().at(-1) === 0)
  })

  it('waits for a broker that is not there yet', async () => {
    const port = await freePort()
    start({ brokerUrl: `mqtt://127.0.0.1:${port}` })
    await eventually(() => lines.some((line) => line.includes('econnrefused')))
    const late = await startTestBroker({ port })
    await connected()
    await uplink.stop()
    await late.stop()
    expect(late.passwords).toEqual(['token-1'])
  })

  it('speaks TLS, believing only the authority that its credential names', async () => {
    const data = makeDataDir()
    const servers = [{ name: 'broker', others: ['127.0.0.1'] }]
    await initTls(data.path, { servers, days: 1, now: new Date() })
    const pem = (name: string) => readFileSync(join(data.path, name), 'utf8')
    const secure = await startTestBroker({ tls: { cert: pem('broker.pem'), key: pem('broker.key') } })
    const ca = pem('ca.pem')
    data.remove()

    start({ brokerUrl: secure.url })
    await eventually(() => lines.some((line) => line.includes('device.unreachable')))
    expect(lines.join('')).toMatch(/"reason":"\w*(issuer|signed|verify)\w*"/)
    await uplink.stop()
    expect(secure.passwords).toEqual([])

    start({ brokerUrl: secure.url, ca })
    await connected()
    expect(secure.passwords).toHaveLength(1)
    await uplink.stop()
    await secure.stop()
  })

  it('starts over with the shortest wait only after a stable connection', async () => {
    start({ reconnectMinMs: 1, reconnectMaxMs: 8, stableMs: 1500, random: () => 0.999 })
    const waits = () => lines.flatMap((line) => /"waitMs":(\d+)/.exec(line)?.[1] ?? []).map(Number)
    for (let cuts = 1; cuts <= 5; cuts++) {
      await connected()
      broker.cut()
      await eventually(() => waits().length === cuts)
    }
    expect(waits()).toEqual([1, 2, 4, 8, 8])
    await eventually(() => lines.some((line) => line.includes('device.stable')))
    broker.cut()
    await eventually(() => waits().length === 6)
    expect(waits().at(-1)).toBe(1)
  })

  it('renews in-band where the credential allows it, without a new connection', async () => {
    issuer.stop()
    issuer = await startTestIssuer(1)
    start({ tokenLuck: () => 0 })
    await connected()
    await eventually(() => broker.published.some(({ topic }) => topic === 'authz-info'))
    expect(broker.published.find(({ topic }) => topic === 'authz-info')?.payload).toBe('token-2')
    await eventually(() => issuer.given >= 3)
    expect(broker.passwords).toEqual(['token-1'])
    expect(settled).toEqual([])
  })

  it('asks again at once when the timer was early by a moment that has passed since', async () => {
    let nowMs = 999.9
    let calls = 0
    const held = { token: 'token-held', expiresAtMs: 2000, renewAtMs: 1000 }
    const next = { token: 'token-next', expiresAtMs: 60_000, renewAtMs: 50_000 }
    const tokens = {
      async get() {
        if (nowMs >= held.renewAtMs) return next
        // The first call is that of CONNECT; the second comes a fraction too early.
        if (++calls > 1) nowMs = held.renewAtMs
        return held
      },
      invalidate: () => undefined,
    }
    start({ tokens, clock: { monotonicMs: () => nowMs } })
    await eventually(() => broker.published.some(({ payload }) => payload === 'token-next'))
    expect(broker.passwords).toEqual(['token-held'])
  })

  it('renews by reconnecting elsewhere, and never shows the token to such a broker', async () => {
    issuer.stop()
    issuer = await startTestIssuer(1)
    start({ renewal: 'reconnect', tokenLuck: () => 0 })
    await eventually(() => broker.passwords.length >= 2)
    expect(broker.passwords.slice(0, 2)).toEqual(['token-1', 'token-2'])
    expect(broker.published).toEqual([])
    expect(lines.join('')).toContain('"reason":"renewal"')
  })

  describe('with a listener', () => {
    let heard: string[]
    const listener = {
      connected: () => heard.push('connected'),
      disconnected: () => heard.push('disconnected'),
      received: (topic: string, payload: string) => heard.push(`${topic} ${payload}`),
    }
    beforeEach(() => {
      heard = []
    })

    it('hears what comes down on its own topics, at each connection', async () => {
      start({ listener })
      await eventually(() => heard.includes('connected'))
      broker.say('devices/north-1/commands', 'one')
      broker.say('devices/south-1/commands', 'of another')
      broker.say('devices/north-1/config', 'two')
      await eventually(() => heard.includes('config two'))
      broker.cut()
      await eventually(() => heard.filter((word) => word === 'connected').length === 2)
      broker.say('devices/north-1/commands', 'three')
      await eventually(() => heard.includes('commands three'))
      expect(heard.filter((word) => word !== 'connected' && word !== 'disconnected')).toEqual([
        'commands one',
        'config two',
        'commands three',
      ])
    })

    it('goes on where the broker refuses the subscription, and says so', async () => {
      broker.grants = false
      start({ listener })
      await eventually(() => heard.includes('connected'))
      uplink.send(1, 'a reading')
      await eventually(() => settled.length === 1)
      expect(lines.join('')).toContain('downlink.refused')
      expect(broker.passwords).toHaveLength(1)
    })

    it('says of a side message whether it was acknowledged, also when its connection ends first', async () => {
      start({ listener })
      expect(await uplink.publish('status', 'too early')).toBe(false)
      await eventually(() => heard.includes('connected'))
      expect(await uplink.publish('status', 'in time')).toBe(true)
      broker.acknowledges = false
      const late = uplink.publish('replies', 'never acknowledged')
      await eventually(() => broker.published.length === 2)
      broker.cut()
      expect(await late).toBe(false)
      expect(settled).toEqual([])
    })
  })

  it('never logs a token or the secret', async () => {
    issuer.stop()
    issuer = await startTestIssuer(1)
    start({ tokenLuck: () => 0 })
    await eventually(() => broker.published.some(({ topic }) => topic === 'authz-info'))
    broker.connack = 5
    broker.cut()
    await eventually(() => lines.some((line) => line.includes('connack_5')))
    issuer.status = 401
    await eventually(() => lines.some((line) => line.includes('token.refused')))
    expect(lines.join('')).not.toMatch(/token-\d|a-secret-of-the-test/)
  })

  it('stops at once, also while it tries to connect', async () => {
    const port = await freePort()
    start({ brokerUrl: `mqtt://127.0.0.1:${port}`, reconnectMinMs: 60_000, reconnectMaxMs: 60_000 })
    await eventually(() => lines.some((line) => line.includes('econnrefused')))
    const startedMs = performance.now()
    await uplink.stop()
    expect(performance.now() - startedMs).toBeLessThan(1000)
  })
})
