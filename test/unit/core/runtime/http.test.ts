import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { Type } from 'typebox'
import { afterEach, describe, expect, it } from 'vitest'
import { initTls, parseServerName } from '../../../../cli/tls.ts'
import { type ErrorCode, errorCodes, FleetError } from '../../../../core/contract/errors.ts'
import type { Principal } from '../../../../core/contract/principal.ts'
import { createFetch } from '../../../../core/runtime/fetch.ts'
import {
  bearerToken,
  createServer,
  httpStatusOf,
  listen,
  requireScope,
  type ServerOptions,
} from '../../../../core/runtime/http.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { makeDataDir } from '../../../kit/program.ts'
import { failureOf } from '../kit.ts'

const loopback = { host: '127.0.0.1', port: 0, portSetting: 'LOTWATCH_BROKER_PORT', insecure: false }
const secret = 'the database is at 10.0.0.7'
const principal = { oauthClientId: 'console', scopes: new Set(['read:readings']) } as unknown as Principal // all that is asked of it

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function start(options: Partial<ServerOptions> = {}) {
  const lines: string[] = []
  const log = createLog({ program: 'test', write: (line) => void lines.push(line) })
  const server = createServer({ log, ...options })
  server.get('/whoami', (request) => ({ token: bearerToken(request) }))
  server.get('/sql', () => requireScope(principal, 'query:sql'))
  server.get('/bug', () => {
    throw new TypeError(secret)
  })
  server.get<{ Params: { code: ErrorCode } }>('/fails/:code', ({ params }) => {
    throw new FleetError(params.code, secret, { safeDetail: 'told' })
  })
  const body = Type.Object({ name: Type.String(), size: Type.Integer() }, { additionalProperties: false })
  server.post('/things', { schema: { body } }, (request) => request.body)
  const querystring = Type.Object({ lot: Type.Array(Type.String()) }, { additionalProperties: false })
  server.get('/lots', { schema: { querystring } }, (request) => request.query)
  const port = await listen(server, loopback, options.tls)
  cleanups.push(() => server.close())
  const url = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await createFetch()(`${url}${path}`, init)
    return { status: response.status, headers: response.headers, body: (await response.json()) as unknown }
  }
  return { ask, lines, port, url }
}
const post = (body: string, type = 'application/json'): RequestInit => ({
  method: 'POST',
  body,
  headers: { 'content-type': type },
})
const problem = (status: number, code: ErrorCode | 'internal', rest: object = {}) => ({
  type: 'about:blank',
  title: code === 'internal' ? 'something failed here; the log says what' : errorCodes[code][1],
  status,
  code,
  ...rest,
})

describe('an error answer', () => {
  it('is a problem document with the code and the only words that may leave', async () => {
    const { ask } = await start()
    const { status, headers, body } = await ask('/fails/request.conflict')
    expect(status).toBe(409)
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(body).toEqual(problem(409, 'request.conflict', { detail: 'told' }))
  })

  it('of a bug shows nothing, and the log everything', async () => {
    const { ask, lines } = await start()
    const { status, body } = await ask('/bug')
    expect(status).toBe(500)
    expect(body).toEqual(problem(500, 'internal'))
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        event: 'http.failed',
        route: '/bug',
        error: expect.objectContaining({ message: secret, stack: expect.stringContaining('http.test.ts') }),
      }),
    ])
  })

  it.each(Object.keys(errorCodes) as ErrorCode[])(
    'has a status that fits its kind and no inner words: %s',
    async (code) => {
      const { ask } = await start()
      const { status, body } = await ask(`/fails/${code}`)
      const [kind] = errorCodes[code]
      expect(status).toBe(httpStatusOf(code, kind))
      if (kind === 'refused') expect([401, 403]).toContain(status)
      if (kind === 'invalid') expect([400, 404, 409, 412, 413, 415, 422]).toContain(status)
      if (kind === 'unavailable') expect([429, 503]).toContain(status)
      if (kind === 'misconfigured') expect([500, 501]).toContain(status)
      expect(body).toEqual(problem(status, code, { detail: 'told' }))
    },
  )

  it('names every fault of a request that does not fit', async () => {
    const { ask } = await start()
    const { status, body } = await ask('/things', post('{"size":"many","extra":1}'))
    expect(status).toBe(400)
    const { code, faults } = body as { code: string; faults: string[] }
    expect(code).toBe('request.invalid')
    expect(faults).toHaveLength(3)
    expect(faults.join()).toMatch(/body.*name.*body.*body\/size/)
  })

  it.each(['{', 'null', '', '[1]'])('says that a body is not what it should be: %j', async (text) => {
    const { ask } = await start()
    expect(await ask('/things', post(text))).toMatchObject({ status: 400, body: { code: 'request.invalid' } })
  })

  it('says that there is nothing at an address, without repeating the query', async () => {
    const { ask } = await start()
    expect(await ask('/nothing?access_token=abc')).toMatchObject({
      status: 404,
      body: problem(404, 'request.not_found', { detail: 'there is no GET /nothing' }),
    })
    expect(await ask('/whoami', { method: 'DELETE' })).toMatchObject({ status: 404 })
  })

  it('is a problem document also for an address that cannot be read', async () => {
    const { ask } = await start()
    expect(await ask('/%zz')).toMatchObject({ status: 400, body: { code: 'request.invalid' } })
  })

  it('says that a body is too large, or of a type nobody takes', async () => {
    const { ask } = await start({ bodyBytesMax: 100 })
    expect(await ask('/things', post(`"${'x'.repeat(200)}"`))).toMatchObject({
      status: 413,
      body: { code: 'request.too_large' },
    })
    expect(await ask('/things', post('<name/>', 'text/xml'))).toMatchObject({
      status: 415,
      body: { code: 'request.media_type' },
    })
  })
})

describe('a body that is refused', () => {
  it('does not cost its sender the answer while it is still being sent', async () => {
    const { port } = await start({ bodyBytesMax: 100 })
    const socket = connect(port, '127.0.0.1')
    cleanups.push(() => socket.destroy())
    const sent = Buffer.alloc(16 * 1024 * 1024, 0x20)
    socket.write('POST /things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n')
    socket.write(`content-length: ${sent.length}\r\n\r\n`)
    // Nothing is read before all is sent, as many clients do it.
    await new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.write(sent, resolve)
    })
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1.1 413 /)
  })
})

describe('a request that fits', () => {
  it('may give a list by one name, once or often', async () => {
    const { ask } = await start()
    expect(await ask('/lots?lot=a')).toMatchObject({ status: 200, body: { lot: ['a'] } })
    expect(await ask('/lots?lot=a&lot=b')).toMatchObject({ status: 200, body: { lot: ['a', 'b'] } })
  })
})

describe('a bearer token', () => {
  const ask = async (headers: Record<string, string>, path = '/whoami') =>
    (await start()).ask(path, { headers })

  it.each(['Bearer abc.def', 'bearer abc.def', 'BEARER   abc.def'])(
    'is taken from %j',
    async (authorization) => {
      expect(await ask({ authorization })).toMatchObject({ status: 200, body: { token: 'abc.def' } })
    },
  )

  it.each(['', 'Bearer', 'Bearer ', 'Basic YTpi', 'Bearer a b', 'Bearer a,b', 'xBearer a', 'abc.def'])(
    'is missing from %j',
    async (authorization) => {
      const { status, headers, body } = await ask({ authorization })
      expect(status).toBe(401)
      // RFC 6750 §3.1: who sent no token is told no error code.
      expect(headers.get('www-authenticate')).toBe('Bearer')
      expect(body).toMatchObject({ code: 'token.missing' })
    },
  )

  it('is not taken from the query', async () => {
    expect(await ask({}, '/whoami?access_token=abc')).toMatchObject({ status: 401 })
  })

  it.each(['token.expired', 'token.revoked', 'token.audience', 'token.malformed'])(
    'that is no good is answered as RFC 6750 says: %s',
    async (code) => {
      const { status, headers } = await ask({}, `/fails/${code}`)
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    },
  )

  it('without the scope is told which one it needs', async () => {
    const { status, headers, body } = await ask({}, '/sql')
    expect(status).toBe(403)
    expect(headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
    expect(body).toMatchObject({ code: 'token.scope', detail: 'needs the scope query:sql' })
  })

  it('is not asked for where something else is wrong', async () => {
    const { headers } = await ask({}, '/fails/keys.unavailable')
    expect(headers.get('www-authenticate')).toBeNull()
  })
})

describe('liveness and readiness', () => {
  it('are two questions', async () => {
    let isReady = false
    const { ask, lines } = await start({
      readiness() {
        if (!isReady) throw new FleetError('store.unavailable', secret)
      },
    })
    expect(await ask('/livez')).toMatchObject({ status: 200 })
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: problem(503, 'store.unavailable') })
    isReady = true
    expect(await ask('/readyz')).toMatchObject({ status: 200 })
    expect(lines).toEqual([])
  })
})

describe('a listener', () => {
  const server = () => createServer({ log: createLog({ program: 'test', level: 'silent' }) })

  it.each(['0.0.0.0', '::', '192.168.1.5', 'broker.example', '127.0.0.1.example', ''])(
    'does not speak plaintext beyond loopback: %j',
    async (host) => {
      const error = await failureOf(() => listen(server(), { ...loopback, host }))
      expect(error).toMatchObject({
        code: 'config.invalid',
        faults: [expect.stringContaining('LOTWATCH_BROKER_HOST')],
      })
    },
  )

  it.each(['127.0.0.1', '127.0.0.2', 'localhost'])('may speak plaintext on %s', async (host) => {
    const local = server()
    cleanups.push(() => local.close())
    await expect(listen(local, { ...loopback, host })).resolves.toBeGreaterThan(0)
  })

  it('speaks plaintext elsewhere when that was asked for by name', async () => {
    const open = server()
    cleanups.push(() => open.close())
    await expect(listen(open, { ...loopback, host: '0.0.0.0', insecure: true })).resolves.toBeGreaterThan(0)
  })

  it('names the port and its setting when another program has it', async () => {
    const other = createTcpServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    cleanups.push(() => other.close())
    const { port } = other.address() as { port: number } // listening on TCP
    const error = await failureOf(() => listen(server(), { ...loopback, port }))
    expect(error).toMatchObject({ code: 'port.taken', kind: 'misconfigured' })
    expect(String(error)).toContain(`${port}`)
    expect(String(error)).toContain('LOTWATCH_BROKER_PORT')
  })

  it('names an address that this machine does not have', async () => {
    const error = await failureOf(() => listen(server(), { ...loopback, host: '192.0.2.1', insecure: true }))
    expect(error).toMatchObject({ code: 'config.invalid', kind: 'misconfigured' })
    expect(String(error)).toContain('192.0.2.1')
  })

  it('speaks TLS with the certificate it is given, to whoever trusts its authority', async () => {
    const dir = makeDataDir()
    cleanups.push(() => dir.remove())
    await initTls(dir.path, { servers: [parseServerName('broker:127.0.0.1')], days: 1, now: new Date() })
    const tls = { certFile: join(dir.path, 'broker.pem'), keyFile: join(dir.path, 'broker.key') }
    const { url } = await start({ tls })

    const ca = readFileSync(join(dir.path, 'ca.pem'), 'utf8')
    await expect(createFetch({ ca })(`${url}/livez`)).resolves.toMatchObject({ status: 200 })
    await expect(createFetch()(`${url}/livez`)).rejects.toThrow()
    await expect(createFetch({ ca })(url.replace('https', 'http'))).rejects.toThrow()
  })

  it.each(['missing', 'no certificate'])('names a TLS file that is %s', async (what) => {
    const dir = makeDataDir()
    cleanups.push(() => dir.remove())
    const certFile = join(dir.path, 'broker.pem')
    if (what !== 'missing') writeFileSync(certFile, 'x')
    const error = await failureOf(() => start({ tls: { certFile, keyFile: certFile } }))
    expect(error).toMatchObject({ code: 'config.invalid', kind: 'misconfigured' })
  })
})
