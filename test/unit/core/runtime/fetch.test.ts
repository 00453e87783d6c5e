import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { initTls, parseServerName } from '../../../../cli/tls.ts'
import { createTokenSource } from '../../../../core/auth/token-source.ts'
import { readCredentialFile } from '../../../../core/runtime/credential.ts'
import {
  type Api,
  authoritiesOfOthers,
  createApi,
  createFetch,
  type EventStream,
  followEvents,
} from '../../../../core/runtime/fetch.ts'
import { requireTlsUrl } from '../../../../core/runtime/tls-url.ts'
import { eventually, makeDataDir } from '../../../kit/program.ts'
import { type Answer, failureOf, json, type LocalServer, startServer } from '../kit.ts'

let server: LocalServer
let api: Api
/** Answers everything but requests for a token. */
let answer: Answer
let serial: number

beforeEach(async () => {
  serial = 0
  answer = (_, response) => json(response, { rows: [] })
  server = await startServer((asked, response) => {
    if (asked.path !== '/oauth/token') return answer(asked, response)
    json(response, { access_token: `token-${++serial}`, expires_in: 600 })
  })
  const fetch = createFetch()
  const tokens = createTokenSource({
    credential: {
      issuer: 'https://issuer.example',
      client_id: 'console',
      client_secret: 'secret',
      token_endpoint_auth_method: 'client_secret_post',
      token_endpoint: `${server.url}/oauth/token`,
    },
    audience: 'urn:lotwatch:ingest',
    fetch,
    nowMs: () => performance.now(),
    random: () => 0.5,
  })
  api = createApi({ baseUrl: `${server.url}/base/`, tokens, fetch, unavailable: 'ingest.unavailable' })
})
afterEach(() => server.stop())

const calls = () => server.asked.filter(({ path }) => path !== '/oauth/token')
const problem =
  (status: number, body: unknown): Answer =>
  (_, response) =>
    json(response, body, status)

describe('a call', () => {
  it('brings its token, its query and its body', async () => {
    await api.json('/v1/series', {
      method: 'POST',
      query: { lot: ['a', 'b'], limit: 5, cursor: undefined, from: '-7d&x' },
      body: { name: 'Bull Ring' },
    })
    expect(calls()).toMatchObject([
      {
        method: 'POST',
        path: '/base/v1/series?lot=a&lot=b&limit=5&from=-7d%26x',
        body: '{"name":"Bull Ring"}',
        headers: { authorization: 'Bearer token-1', 'content-type': 'application/json' },
      },
    ])
  })

  it('returns what was answered, or nothing where there is nothing', async () => {
    await expect(api.json('/v1/lots')).resolves.toEqual({ rows: [] })
    answer = (_, response) => void response.writeHead(204).end()
    await expect(api.json('/v1/lots', { method: 'DELETE' })).resolves.toBeUndefined()
  })

  it('whose token is refused is made once more with a new one', async () => {
    answer = (asked, response) =>
      asked.headers.authorization === 'Bearer token-1'
        ? json(response, { code: 'token.expired' }, 401)
        : json(response, { rows: [1] })
    await expect(api.json('/v1/lots')).resolves.toEqual({ rows: [1] })
    expect(calls().map(({ headers }) => headers.authorization)).toEqual(['Bearer token-1', 'Bearer token-2'])
  })

  it('whose new token is refused too has failed', async () => {
    answer = problem(401, { code: 'token.revoked' })
    await expect(api.json('/v1/lots')).rejects.toMatchObject({ code: 'token.revoked', kind: 'refused' })
    expect(calls()).toHaveLength(2)
  })
})

describe('a call that fails', () => {
  it('has the code, the words and the faults of the problem document', async () => {
    answer = problem(400, { code: 'request.invalid', detail: 'from is after to', faults: ['query/from', 7] })
    await expect(api.json('/v1/series')).rejects.toMatchObject({
      code: 'request.invalid',
      safeDetail: 'from is after to',
      faults: ['query/from', '7'],
    })
  })

  it.each([
    [500, 'ingest.unavailable'],
    [503, 'ingest.unavailable'],
    [429, 'ingest.unavailable'],
    [401, 'token.claims'],
    [404, 'request.invalid'],
  ])('is judged by its status where no document says more: %d', async (status, code) => {
    for (const body of [{}, null, [], 'x', { code: 'toString' }, { code: 'of.tomorrow' }, { code: 7 }]) {
      answer = problem(status, body)
      await expect(api.json('/v1/lots')).rejects.toMatchObject({ code })
    }
    answer = (_, response) => void response.writeHead(status).end('<html>')
    await expect(api.json('/v1/lots')).rejects.toMatchObject({ code })
  })

  it.each<[string, Answer]>([
    ['hangs up', (_, response) => response.destroy()],
    [
      'breaks off',
      (_, response) => {
        response.writeHead(200, { 'content-length': 1000 }).write('{"rows":')
        setImmediate(() => response.destroy())
      },
    ],
    ['answers in another language', (_, response) => void response.end('<html>')],
  ])('is one to a peer that is away when the peer %s', async (_what, how) => {
    answer = how
    await expect(api.json('/v1/lots')).rejects.toMatchObject({
      code: 'ingest.unavailable',
      kind: 'unavailable',
    })
  })

  it('is one to a peer that is away when it takes too long', async () => {
    answer = () => undefined
    await expect(api.json('/v1/lots', { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ingest.unavailable',
    })
  })
})

describe('following events', () => {
  const streams: EventStream[] = []
  let open: ServerResponse[]
  let events: { type: string; data: string }[]
  let states: boolean[]

  beforeEach(() => {
    open = []
    events = []
    states = []
    answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      open.push(response)
    }
  })
  afterEach(async () => {
    for (const stream of streams.splice(0)) {
      stream.stop()
      await stream.done
    }
  })

  function follow(options: { silentMs?: number; random?: () => number; onEvent?: () => void } = {}) {
    const stream = followEvents({
      api,
      path: '/v1/feed',
      silentMs: options.silentMs ?? 60_000,
      random: options.random ?? (() => 0),
      onEvent(event) {
        options.onEvent?.()
        events.push(event)
      },
      onState: ({ connected }) => states.push(connected),
    })
    streams.push(stream)
    return stream
  }
  const opened = (count: number) => eventually(() => open[count - 1])

  it('hears each event, however it is cut into pieces', async () => {
    follow()
    const response = await opened(1)
    const bytes = Buffer.from('id: 1\nevent: lot\ndata: {"name":"Mün\ndata: ster"}\n\n: beat\n\ndata: x\n\n')
    const cut = bytes.indexOf(0xc3) + 1 // within a character
    response.write(bytes.subarray(0, cut))
    await new Promise((resolve) => setImmediate(resolve))
    response.write(bytes.subarray(cut))
    await eventually(() => events.length === 2)
    expect(events).toEqual([
      { type: 'lot', data: '{"name":"Mün\nster"}' },
      { type: 'message', data: 'x' },
    ])
  })

  it('comes back after the last event it heard', async () => {
    follow()
    const first = await opened(1)
    first.write('id: 41\ndata: a\n\nid: 42\ndata: b\n\nid: 43\ndata: never finished\n')
    await eventually(() => events.length === 2)
    first.destroy()
    await opened(2)
    expect(calls().map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '42'])
    expect(calls()[0]?.headers.accept).toBe('text/event-stream')
    expect(states).toEqual([true, false, true])
  })

  it('asks again for an event that could not be taken in', async () => {
    let failures = 1
    follow({
      onEvent() {
        if (failures-- > 0) throw new Error('not now')
      },
    })
    ;(await opened(1)).write('id: 1\ndata: a\n\n')
    const second = await opened(2)
    expect(calls()[1]?.headers['last-event-id']).toBeUndefined()
    second.write('id: 1\ndata: a\n\n')
    await eventually(() => events.length === 1)
  })

  it('tells of an outage once, however many tries it takes', async () => {
    answer = problem(503, {})
    follow()
    await eventually(() => calls().length >= 4)
    expect(states).toEqual([false])
  })

  it('hangs up on a stream that has fallen silent, and comes back', async () => {
    follow({ silentMs: 100 })
    await opened(2)
    expect(states.slice(0, 2)).toEqual([true, false])
  })

  it('stays on a stream that is kept awake by comments', async () => {
    follow({ silentMs: 1000 })
    const response = await opened(1)
    const startedAtMs = performance.now()
    const beats = setInterval(() => response.write(': beat\n\n'), 50)
    try {
      await eventually(() => performance.now() - startedAtMs > 2000)
    } finally {
      clearInterval(beats)
    }
    expect(open).toHaveLength(1)
  })

  it('waits longer and longer for a server that hangs up right after hello', async () => {
    const atMs: number[] = []
    answer = (_, response) => {
      atMs.push(performance.now())
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': hello\n\n')
    }
    follow({ random: () => 1 })
    await eventually(() => atMs.length === 4)
    const waits = atMs.slice(1).map((at, i) => at - (atMs[i] ?? 0))
    // Only from below: a busy machine may take longer, but never less. A timer may be a millisecond early.
    expect(waits.map((waitMs, i) => waitMs >= 200 * 2 ** i - 2)).toEqual([true, true, true])
  })

  it('ends for good when it is stopped, wherever it is', async () => {
    const live = follow()
    await opened(1)
    live.stop()
    await live.done

    answer = () => undefined
    const asking = follow()
    await eventually(() => calls().length === 2)
    asking.stop()
    await asking.done

    answer = problem(503, {})
    const waiting = follow({ random: () => 1 })
    await eventually(() => calls().length === 3)
    waiting.stop()
    await waiting.done
    expect(calls()).toHaveLength(3)
  })
})

describe('a credential file', () => {
  let dir: ReturnType<typeof makeDataDir>
  beforeAll(() => {
    dir = makeDataDir()
  })
  afterAll(() => dir.remove())

  const secret = `lotsec_${'a'.repeat(43)}_0123abcd`
  const credential = {
    v: 1,
    issuer: 'https://issuer.example',
    token_endpoint: 'https://issuer.example/oauth/token',
    client_id: 'broker',
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_basic',
  }
  const write = (text: string, mode = 0o600) => {
    const path = join(dir.path, 'credential.json')
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  it.each([0o600, 0o400])('is read when only its owner can: mode %o', (mode) => {
    expect(readCredentialFile(write(JSON.stringify(credential), mode))).toEqual(credential)
  })

  it.each([0o644, 0o640, 0o660, 0o604, 0o610])(
    'is refused when others can touch it: mode %o',
    async (mode) => {
      const path = write(JSON.stringify(credential), mode)
      const error = await failureOf(() => readCredentialFile(path))
      expect(error).toMatchObject({ code: 'credential.invalid', kind: 'misconfigured' })
      expect(String(error)).toContain(path)
    },
  )

  it('is refused by name when it is missing', async () => {
    const path = join(dir.path, 'none.json')
    const error = await failureOf(() => readCredentialFile(path))
    expect(error).toMatchObject({ code: 'credential.invalid' })
    expect(String(error)).toContain(path)
  })

  it.each([
    ['cut short', JSON.stringify(credential).slice(0, -1)],
    ['only the secret', secret],
    ['broken within the secret', JSON.stringify(credential).replace('aaa_', 'aaa"_')],
    ['of another version', JSON.stringify({ ...credential, v: 2 })],
    ['of another shape', JSON.stringify({ ...credential, client_secret: { value: secret } })],
    ['a list', '[]'],
    ['empty', ''],
  ])('that is %s is refused without a word of the secret', async (_what, text) => {
    const error = await failureOf(() => readCredentialFile(write(text)))
    expect(error).toMatchObject({ code: 'credential.invalid' })
    expect(inspect(error, { depth: 10 })).not.toMatch(/lotsec|aaaa|0123abcd/)
  })

  it('names every member that is wrong', async () => {
    const path = write(JSON.stringify({ ...credential, client_id: '', issuer: 7 }))
    const error = await failureOf(() => readCredentialFile(path))
    expect(error).toMatchObject({
      faults: expect.arrayContaining([
        expect.stringContaining(`${path}/client_id`),
        expect.stringContaining(`${path}/issuer`),
      ]),
    })
  })
})

describe('a URL', () => {
  const require = (url: string, insecure = false) =>
    requireTlsUrl(url, { setting: 'LOTWATCH_BROKER_INGEST_URL', insecure })

  it.each([
    'https://ingest.example',
    'mqtts://broker.example:8883',
    'http://127.0.0.1:8082',
    'http://[::1]:8082',
    'mqtt://localhost',
  ])('is good with TLS or on loopback: %s', (url) => {
    expect(require(url).href).toContain(url)
  })

  it.each([
    'http://ingest.example',
    'http://10.0.0.7:8082',
    'mqtt://broker.example',
    'http://127.0.0.1.example',
    'http://localhost.example',
  ])('is refused without TLS beyond loopback, unless that was asked for by name: %s', async (url) => {
    const error = await failureOf(() => require(url))
    expect(error).toMatchObject({ code: 'config.invalid', kind: 'misconfigured' })
    expect(inspect(error)).toContain(`LOTWATCH_BROKER_INGEST_URL: ${url} `)
    expect(require(url, true).href).toContain(url)
  })

  it.each(['', 'ingest', '127.0.0.1:8082', 'http://'])('is one: %j', async (text) => {
    expect(await failureOf(() => require(text))).toMatchObject({
      code: 'config.invalid',
      faults: ['LOTWATCH_BROKER_INGEST_URL: is not a URL'],
    })
  })
})

describe('over TLS', () => {
  const folder = makeDataDir()
  const file = (authority: string, name: string) => readFileSync(join(folder.path, authority, name), 'utf8')
  const servers: Server[] = []

  async function serveBy(authority: string): Promise<string> {
    const servedBy = { servers: [parseServerName('localhost:127.0.0.1')], days: 30, now: new Date() }
    await initTls(join(folder.path, authority), servedBy)
    const tls = { cert: file(authority, 'localhost.pem'), key: file(authority, 'localhost.key') }
    const https = createServer(tls, (_, response) => response.end()).listen(0, '127.0.0.1')
    servers.push(https)
    await once(https, 'listening')
    return `https://127.0.0.1:${(https.address() as AddressInfo).port}` // listening on TCP
  }
  afterAll(() => {
    for (const https of servers) https.close().closeAllConnections()
    folder.remove()
  })

  it('each authority that is named is trusted, and no other', async () => {
    const [one, other, third] = [await serveBy('one'), await serveBy('other'), await serveBy('third')]
    const statusOf = (url: string, ca: string | string[]) =>
      createFetch({ ca })(url).then(
        ({ status }) => status,
        () => 'refused',
      )
    const both = [file('one', 'ca.pem'), file('other', 'ca.pem')]

    expect([await statusOf(one, both), await statusOf(other, both), await statusOf(third, both)]).toEqual([
      200,
      200,
      'refused',
    ])
    expect(await statusOf(other, file('one', 'ca.pem'))).toBe('refused')
  })

  it('servers of others are believed by what everybody knows and by ours', () => {
    expect(authoritiesOfOthers(undefined)).toBeUndefined()
    const authorities = authoritiesOfOthers('ours')
    expect(authorities).toContain('ours')
    expect(authorities).toEqual(expect.arrayContaining([...rootCertificates]))
  })
})
