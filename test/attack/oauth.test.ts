/** What the token endpoint and the operators' API must refuse, sent as raw bytes where a client library would not. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

const data = makeDataDir()
let provisioning: Provisioning
let url: string
let secret: string
let offSecret: string
let suspendedSecret: string
let good: Record<string, string>

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const json = { 'content-type': 'application/json' }
const basic = (id: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`,
})

async function ask(
  body: string | Record<string, string>,
  headers: Record<string, string> = form,
  query = '',
) {
  const response = await fetch(`${url}/oauth/token${query}`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : new URLSearchParams(body).toString(),
  })
  const answer = (await response.json()) as { error?: string; access_token?: string }
  return { status: response.status, headers: response.headers, answer, error: answer.error }
}

/** The whole answer to bytes as they are. */
async function sendRaw(bytes: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname).setEncoding('utf8')
  let answer = ''
  socket.on('data', (text: string) => {
    answer += text
  })
  socket.write(bytes)
  await once(socket, 'close')
  return answer
}

beforeAll(async () => {
  provisioning = await startProvisioning(data.path)
  url = provisioning.url
  const register = async (deviceId: string) =>
    (
      await provisioning.operator.json<IssuedCredential>('/v1/devices', {
        method: 'POST',
        body: { deviceId },
      })
    ).credential.client_secret ?? ''
  secret = await register('d1')
  suspendedSecret = await register('suspended')
  await provisioning.operator.json('/v1/devices/suspended/suspend', { method: 'POST' })
  offSecret = await register('switched-off')
  await provisioning.operator.json('/v1/clients/switched-off', {
    method: 'PATCH',
    body: { grantTypes: [] },
  })
  good = { grant_type: 'client_credentials', client_id: 'd1', client_secret: secret }
})
afterAll(async () => {
  await provisioning.program.stop()
  data.remove()
})

describe('the token endpoint', () => {
  it('grants what is right, in each way of asking', async () => {
    const grant = { grant_type: 'client_credentials' }

    const answers = await Promise.all([
      ask(good),
      ask(JSON.stringify(good), json),
      ask(grant, { ...form, ...basic('d1', secret) }),
      ask(JSON.stringify(grant), { ...json, ...basic('d1', secret) }),
    ])

    for (const { status, answer, headers } of answers) {
      expect(status).toBe(200)
      expect(answer).toMatchObject({
        token_type: 'Bearer',
        expires_in: 3600,
        access_token: expect.any(String),
      })
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('pragma')).toBe('no-cache')
    }
  })

  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name))
  it.each<[string, () => Promise<{ status: number; error?: string | undefined }>, number, string]>([
    ['no grant type', () => ask(without('grant_type')), 400, 'invalid_request'],
    ['an empty grant type', () => ask({ ...good, grant_type: '' }), 400, 'invalid_request'],
    ['another grant', () => ask({ ...good, grant_type: 'password' }), 400, 'unsupported_grant_type'],
    [
      'a grant type in other case',
      () => ask({ ...good, grant_type: 'Client_Credentials' }),
      400,
      'unsupported_grant_type',
    ],
    ['a scope beyond the grant', () => ask({ ...good, scope: 'write:readings' }), 400, 'invalid_scope'],
    ['a malformed scope', () => ask({ ...good, scope: 'publish:readings  x' }), 400, 'invalid_scope'],
    [
      'an audience that is not granted',
      () => ask({ ...good, audience: audiences.ingest }),
      400,
      'invalid_target',
    ],
    ['an audience that is unknown', () => ask({ ...good, audience: 'urn:x' }), 400, 'invalid_target'],
    [
      'a client for which the grant is switched off',
      () => ask({ ...good, client_id: 'switched-off', client_secret: offSecret }),
      400,
      'unauthorized_client',
    ],
    ['a wrong secret', () => ask({ ...good, client_secret: `${secret}x` }), 401, 'invalid_client'],
    ['an unknown client', () => ask({ ...good, client_id: 'nobody' }), 401, 'invalid_client'],
    ['no authentication', () => ask({ grant_type: 'client_credentials' }), 401, 'invalid_client'],
    ["another client's secret", () => ask({ ...good, client_id: 'suspended' }), 401, 'invalid_client'],
    [
      'a client assertion of no type',
      () => ask({ ...without('client_secret'), client_assertion: 'eyJ.e30.' }),
      400,
      'invalid_request',
    ],
    [
      'a secret and an assertion at once',
      () => ask({ ...good, client_assertion_type: assertionType, client_assertion: 'eyJ.e30.' }),
      400,
      'invalid_request',
    ],
    [
      'an assertion that is no JWT',
      () =>
        ask({
          ...without('client_secret'),
          client_assertion_type: assertionType,
          client_assertion: 'eyJ.e30.',
        }),
      401,
      'invalid_client',
    ],
    [
      'an audience and another resource',
      () => ask({ ...good, audience: audiences.broker, resource: audiences.ingest }),
      400,
      'invalid_target',
    ],
    [
      'two resources',
      () => ask(`${new URLSearchParams(good)}&resource=urn:a&resource=urn:b`),
      400,
      'invalid_target',
    ],
    [
      'a duplicate parameter',
      () => ask(`${new URLSearchParams(good)}&scope=a&scope=a`),
      400,
      'invalid_request',
    ],
    ['a duplicate secret', () => ask(`${new URLSearchParams(good)}&client_secret=x`), 400, 'invalid_request'],
    [
      'a duplicate unknown parameter',
      () => ask(`${new URLSearchParams(good)}&x=1&x=2`),
      400,
      'invalid_request',
    ],
    [
      'two ways to authenticate',
      () => ask(good, { ...form, ...basic('d1', secret) }),
      400,
      'invalid_request',
    ],
    [
      'two clients',
      () => ask({ ...without('client_secret'), client_id: 'd2' }, { ...form, ...basic('d1', secret) }),
      400,
      'invalid_request',
    ],
    [
      'a list for a parameter',
      () => ask(JSON.stringify({ ...good, scope: ['publish:readings'] }), json),
      400,
      'invalid_request',
    ],
    ['JSON that is none', () => ask('{', json), 400, 'invalid_request'],
    ['JSON that is no object', () => ask('[]', json), 400, 'invalid_request'],
    ['a form called JSON', () => ask(good, json), 400, 'invalid_request'],
    ['JSON called a form', () => ask(JSON.stringify(good)), 401, 'invalid_client'],
    [
      'the secret in the query',
      () => ask(without('client_secret'), form, `?client_secret=${secret}`),
      400,
      'invalid_request',
    ],
    ['everything in the query', () => ask('', form, `?${new URLSearchParams(good)}`), 400, 'invalid_request'],
    ['a text body', () => ask(good, { 'content-type': 'text/plain' }), 415, 'invalid_request'],
    [
      'a multipart body',
      () => ask('--x--', { 'content-type': 'multipart/form-data; boundary=x' }),
      415,
      'invalid_request',
    ],
    ['a body beyond the limit', () => ask({ ...good, x: 'x'.repeat(1024 * 1024) }), 413, 'invalid_request'],
  ])('refuses %s', async (_what, request, status, error) => {
    expect(await request()).toMatchObject({ status, error })
  })

  it.each([
    'Basic',
    'Basic ',
    'Basic !!!!',
    `Basic ${Buffer.from('no-colon').toString('base64')}`,
    `Basic ${Buffer.from(':').toString('base64')}`,
    `Basic ${Buffer.from('d1:%zz').toString('base64')}`,
    'Bearer eyJhbGciOiJub25lIn0.e30.',
    'Digest username="d1"',
  ])('refuses the Authorization %j and says which scheme it takes', async (authorization) => {
    const { status, error, headers } = await ask(
      { grant_type: 'client_credentials' },
      { ...form, authorization },
    )

    expect({ status, error }).toEqual({ status: 401, error: 'invalid_client' })
    expect(headers.get('www-authenticate')).toMatch(/^Basic /)
  })

  it('answers an unknown client, a wrong secret and a suspended device alike', async () => {
    const answers = await Promise.all(
      [
        basic('nobody', secret),
        basic('d1', suspendedSecret),
        basic('d1', 'x'),
        basic('suspended', suspendedSecret),
      ].map((header) => ask({ grant_type: 'client_credentials' }, { ...form, ...header })),
    )

    const [first, ...others] = answers.map(({ status, answer, headers }) => {
      // Each answer has a number of its own, and says no more by it.
      const { date: _, 'lotwatch-decision': decision, ...rest } = Object.fromEntries(headers)
      expect(decision).toMatch(/^dec_[0-9a-z]+$/)
      return { status, answer, headers: rest }
    })
    expect(first).toMatchObject({ status: 401, answer: { error: 'invalid_client' } })
    for (const other of others) expect(other).toEqual(first)
  })

  it('keeps no answer in caches, errors included', async () => {
    for (const { headers } of [await ask({}), await ask('', { 'content-type': 'text/plain' })]) {
      expect(headers.get('cache-control')).toBe('no-store')
    }
  })

  it('is there for POST only', async () => {
    for (const method of ['GET', 'PUT', 'DELETE'])
      expect((await fetch(`${url}/oauth/token`, { method })).status).toBe(404)
  })

  it('refuses a request without a body', async () => {
    const answer = await sendRaw(
      'POST /oauth/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    )

    expect(answer).toMatch(/^HTTP\/1\.1 (400|401) /)
    expect(answer).toMatch(/"error":"invalid_(request|client)"/)
  })

  it('writes no line break of the client into its log or its answer', async () => {
    const before = provisioning.program.lines.length
    const { answer } = await ask({ ...good, scope: 'x\r\n{"event":"token.issued"}' })

    expect(JSON.stringify(answer)).not.toMatch(/\\r|\\n/)
    for (const line of provisioning.program.lines.slice(before)) expect(() => JSON.parse(line)).not.toThrow()
  })

  it('goes on after all of this', async () => {
    expect((await ask(good)).status).toBe(200)
  })
})

describe("the operators' API", () => {
  const routes: [method: string, path: string][] = [
    ['GET', '/v1/lots'],
    ['PUT', '/v1/lots/x'],
    ['GET', '/v1/devices'],
    ['GET', '/v1/devices/d1'],
    ['POST', '/v1/devices'],
    ['POST', '/v1/devices/d1/credentials'],
    ['DELETE', '/v1/devices/d1/credentials/x'],
    ['POST', '/v1/devices/d1/assignments'],
    ['POST', '/v1/devices/d1/suspend'],
    ['POST', '/v1/devices/d1/resume'],
    ['POST', '/v1/devices/d1/retire'],
    ['GET', '/v1/clients'],
    ['POST', '/v1/clients'],
    ['DELETE', '/v1/clients/operator/credentials/x'],
    ['GET', '/v1/audit'],
    ['GET', '/v1/feed'],
  ]
  const call = (method: string, path: string, authorization?: string) =>
    fetch(url + path, { method, headers: authorization === undefined ? {} : { authorization } })

  it.each(routes)('refuses %s %s to strangers, to devices and to forged tokens', async (method, path) => {
    const device = await ask(good)
    const operator = readCredentialFile(join(data.path, 'operator.json'))
    const { token } = await tokensOf(operator, audiences.provisioning).get()
    const [header = '', payload = ''] = token.split('.')
    const forged = await new SignJWT(JSON.parse(Buffer.from(payload, 'base64url').toString()))
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
      .sign(new Uint8Array(32))
    const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`

    const refusals = [
      undefined,
      'Bearer',
      'Bearer x',
      basic('operator', operator.client_secret ?? '').authorization,
      `Bearer ${device.answer.access_token}`,
      `Bearer ${forged}`,
      `Bearer ${unsigned}`,
      `Bearer ${header}.${payload}.${'A'.repeat(86)}`,
    ]
    for (const authorization of refusals) {
      const response = await call(method, path, authorization)
      expect(response.status, String(authorization).slice(0, 20)).toBe(401)
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/)
    }
  })

  it('knows of no token in the query', async () => {
    const operator = readCredentialFile(join(data.path, 'operator.json'))
    const { token } = await tokensOf(operator, audiences.provisioning).get()

    expect((await call('GET', `/v1/lots?access_token=${token}`)).status).toBe(401)
  })
})
