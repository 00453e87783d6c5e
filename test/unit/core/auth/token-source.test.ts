import { decodeJwt, exportJWK, generateKeyPair, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type AccessToken,
  createTokenSource,
  type TokenSourceOptions,
} from '../../../../core/auth/token-source.ts'
import type { CredentialFile } from '../../../../core/contract/credential.ts'
import { createFetch } from '../../../../core/runtime/fetch.ts'
import { eventually } from '../../../kit/program.ts'
import { failureOf, json, type LocalServer, startServer } from '../kit.ts'

const lifeSec = 1000
/** What of it is certain when an issuer cuts off fractions of a second. */
const certainMs = (lifeSec - 1) * 1000
const secret = `lotsec_${'a'.repeat(43)}_0123abcd`
let server: LocalServer
let clock: { nowMs: number }
let serial: number

const grant: LocalServer['answer'] = (_, response) =>
  json(response, { access_token: `token-${++serial}`, token_type: 'Bearer', expires_in: lifeSec })
const away: LocalServer['answer'] = (_, response) => json(response, { error: 'temporarily_unavailable' }, 503)

beforeEach(async () => {
  server = await startServer(grant)
  clock = { nowMs: 5_000_000 }
  serial = 0
})
afterEach(() => server.stop())

function source(options: Partial<TokenSourceOptions> = {}) {
  return createTokenSource({
    credential: {
      issuer: 'https://issuer.example',
      client_id: 'broker',
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_basic',
      token_endpoint: `${server.url}/oauth/token`,
    },
    audience: 'urn:lotwatch:ingest',
    fetch: createFetch(),
    nowMs: () => clock.nowMs,
    random: () => 0.5,
    ...options,
  })
}
const credential = (change: Partial<TokenSourceOptions['credential']>) => ({
  issuer: 'https://issuer.example',
  client_id: 'broker',
  client_secret: secret,
  token_endpoint_auth_method: 'client_secret_basic' as const,
  token_endpoint: `${server.url}/oauth/token`,
  ...change,
})
const lastAsked = () => {
  const asked = server.asked.at(-1)
  if (asked === undefined) throw new Error('nothing was asked')
  return { ...asked, form: Object.fromEntries(new URLSearchParams(asked.body)) }
}

describe('asking for a token', () => {
  it('is a client credentials request for the audience, and all that was granted', async () => {
    await source().get()
    expect(lastAsked()).toMatchObject({
      method: 'POST',
      path: '/oauth/token',
      form: { grant_type: 'client_credentials', audience: 'urn:lotwatch:ingest' },
    })
    expect(lastAsked().form).not.toHaveProperty('scope')
    expect(lastAsked().headers['content-type']).toBe('application/x-www-form-urlencoded')
  })

  it('names the scope when less is wanted', async () => {
    await source({ scope: 'read:readings query:sql' }).get()
    expect(lastAsked().form).toMatchObject({ scope: 'read:readings query:sql' })
  })

  it.each([
    ['broker', secret],
    ['a:b', 'c:d'],
    ['100%', '50%+1 &=?'],
    ['Gerät-ä', 'Schlüssel ß€🔑'],
    ["it's (me)!*~", "~*!()'"],
  ])('proves the client by Basic, form-encoded first: %j', async (client_id, client_secret) => {
    await source({ credential: credential({ client_id, client_secret }) }).get()

    const [scheme, value = ''] = (lastAsked().headers.authorization ?? '').split(' ')
    const parts = Buffer.from(value, 'base64').toString('ascii').split(':')
    expect(scheme).toBe('Basic')
    expect(parts).toHaveLength(2)
    // RFC 6749 §2.3.1, read as a server would: as two values of a form.
    expect(parts.map((part) => new URLSearchParams(`v=${part}`).get('v'))).toEqual([client_id, client_secret])
    expect(lastAsked().form).not.toHaveProperty('client_secret')
  })

  it('proves the client in the form where the file says so', async () => {
    await source({
      credential: credential({ token_endpoint_auth_method: 'client_secret_post', client_id: 'a:b%' }),
    }).get()
    expect(lastAsked().headers.authorization).toBeUndefined()
    expect(lastAsked().form).toMatchObject({ client_id: 'a:b%', client_secret: secret })
  })
})

describe('a client with a key of its own', () => {
  it('proves itself with an assertion for the issuer, another one each time', async () => {
    const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true })
    const jwk = (await exportJWK(privateKey)) as NonNullable<CredentialFile['private_key_jwk']> // has kty and d
    const numbers = new Set<unknown>()
    for (let i = 0; i < 2; i++) {
      await source({
        credential: {
          ...credential({ token_endpoint_auth_method: 'private_key_jwt' }),
          private_key_jwk: jwk,
        },
      }).get()

      const { form, headers } = lastAsked()
      expect(headers.authorization).toBeUndefined()
      expect(form).not.toHaveProperty('client_secret')
      expect(form.client_assertion_type).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const { payload, protectedHeader } = await jwtVerify(String(form.client_assertion), publicKey, {
        issuer: 'broker',
        subject: 'broker',
        audience: 'https://issuer.example',
        requiredClaims: ['exp', 'jti'],
      })
      expect(protectedHeader.alg).toBe('EdDSA')
      expect((payload.exp ?? 0) - Date.now() / 1000).toBeLessThanOrEqual(300)
      numbers.add(payload.jti)
    }
    expect(numbers.size).toBe(2)
  })

  it('without the key says what is wrong with its file', async () => {
    const asking = source({ credential: credential({ token_endpoint_auth_method: 'private_key_jwt' }) }).get()
    await expect(asking).rejects.toMatchObject({ code: 'credential.invalid' })
  })
})

describe('a token', () => {
  it('is asked for once by however many want one', async () => {
    const tokens = source()
    const got = await Promise.all(Array.from({ length: 20 }, () => tokens.get()))
    expect(new Set(got.map(({ token }) => token))).toEqual(new Set(['token-1']))
    expect(server.asked).toHaveLength(1)
  })

  it.each([
    [0, 0.6],
    [0.999999, 0.8],
  ])('is renewed at a random part of its life: random %d, part %d', async (random, part) => {
    const startMs = clock.nowMs
    const tokens = source({ random: () => random })
    const { renewAtMs, expiresAtMs } = await tokens.get()
    expect(expiresAtMs).toBe(startMs + certainMs)
    expect((renewAtMs - startMs) / certainMs).toBeCloseTo(part, 4)

    clock.nowMs = renewAtMs - 1
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-1' })
    clock.nowMs = renewAtMs
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-2' })
  })

  it.each([
    [5, 4000],
    [1, 500],
  ])('of %d s is good for %d ms: fractions of a second may be cut off its end', async (given, ms) => {
    const startMs = clock.nowMs
    server.answer = (_, response) =>
      json(response, { access_token: 'brief', token_type: 'Bearer', expires_in: given })
    await expect(source().get()).resolves.toMatchObject({
      expiresAtMs: startMs + ms,
      renewAtMs: startMs + ms * 0.7,
    })
  })

  it('lives from before it was asked for, so that a slow answer shortens its life', async () => {
    const startMs = clock.nowMs
    server.answer = (asked, response) => {
      clock.nowMs += 7000
      grant(asked, response)
    }
    await expect(source().get()).resolves.toMatchObject({ expiresAtMs: startMs + certainMs })
  })

  it('goes on being handed out while the issuer is away, until it expires', async () => {
    const tokens = source()
    const { renewAtMs, expiresAtMs } = await tokens.get()
    server.answer = away

    clock.nowMs = renewAtMs
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-1' })
    clock.nowMs = expiresAtMs - 1
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-1' })
    clock.nowMs = expiresAtMs
    await expect(tokens.get()).rejects.toMatchObject({ code: 'token.unavailable' })
  })

  it('is not asked for again at once when its renewal has failed', async () => {
    const tokens = source()
    const { renewAtMs } = await tokens.get()
    server.answer = away
    clock.nowMs = renewAtMs
    for (let i = 0; i < 5; i++) await tokens.get()
    expect(server.asked).toHaveLength(2)

    server.answer = grant
    clock.nowMs += 15_000
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-2' })
  })

  it('is handed out to others while one caller waits for its renewal', async () => {
    const tokens = source()
    const { renewAtMs } = await tokens.get()
    clock.nowMs = renewAtMs
    let release: () => void = () => undefined
    server.answer = (asked, response) => {
      release = () => grant(asked, response)
    }
    const renewal = tokens.get()
    await eventually(() => server.asked.length === 2)

    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-1' })
    release()
    await expect(renewal).resolves.toMatchObject({ token: 'token-2' })
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-2' })
  })

  it('that was refused somewhere is not handed out again', async () => {
    const tokens = source()
    const { token } = await tokens.get()
    tokens.invalidate(token)
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-2' })
  })

  it('stays when another one was refused', async () => {
    const tokens = source()
    await tokens.get()
    tokens.invalidate('token-0')
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-1' })
    expect(server.asked).toHaveLength(1)
  })

  it('that was refused is not handed out even when the issuer is away', async () => {
    const tokens = source()
    const { token, renewAtMs } = await tokens.get()
    clock.nowMs = renewAtMs
    server.answer = away
    tokens.invalidate(token)
    await expect(tokens.get()).rejects.toMatchObject({ code: 'token.unavailable' })
  })
})

describe('the token endpoint', () => {
  it.each([400, 401, 403])('refuses the client with %d', async (status) => {
    server.answer = (_, response) =>
      json(response, { error: 'invalid_client', error_description: 'unknown client' }, status)
    const error = await failureOf(() => source().get())
    expect(error).toMatchObject({ code: 'client.refused', kind: 'refused', safeDetail: 'invalid_client' })
    expect(JSON.stringify([error, String(error)])).not.toContain(secret)
  })

  it('refuses the client without OAuth’s words', async () => {
    server.answer = (_, response) => void response.writeHead(404).end('<html>')
    await expect(source().get()).rejects.toMatchObject({ code: 'client.refused', safeDetail: '404' })
  })

  it.each([500, 502, 503, 429])('is away when it answers %d', async (status) => {
    server.answer = (_, response) => json(response, { error: 'server_error' }, status)
    await expect(source().get()).rejects.toMatchObject({ code: 'token.unavailable' })
  })

  it.each([
    ['no JSON', 'x'],
    ['null', 'null'],
    ['a list', '[]'],
    ['no token', '{"expires_in":60}'],
    ['a token of the wrong type', '{"access_token":7,"expires_in":60}'],
    ['no life', '{"access_token":"t"}'],
    ['a life of nothing', '{"access_token":"t","expires_in":0}'],
    ['a life in text', '{"access_token":"t","expires_in":"60"}'],
  ])('is away when it answers with %s', async (_what, body) => {
    server.answer = (_, response) => void response.writeHead(200).end(body)
    await expect(source().get()).rejects.toMatchObject({ code: 'token.unavailable' })
  })

  it('is away when it does not answer in time', async () => {
    server.answer = () => undefined
    await expect(source({ timeoutMs: 50 }).get()).rejects.toMatchObject({ code: 'token.unavailable' })
  })

  it('is away when nobody listens', async () => {
    await server.stop()
    await expect(source().get()).rejects.toMatchObject({ code: 'token.unavailable' })
    server = await startServer(grant)
  })

  it('cannot send the secret elsewhere by a redirect', async () => {
    const elsewhere = await startServer(grant)
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        server.answer = (_, response) =>
          void response.writeHead(status, { location: `${elsewhere.url}/oauth/token` }).end()
        await expect(source().get()).rejects.toMatchObject({ code: 'token.unavailable' })
      }
      expect(elsewhere.asked).toEqual([])
    } finally {
      await elsewhere.stop()
    }
  })

  it('is asked again after it has failed', async () => {
    const tokens = source()
    server.answer = away
    await expect(tokens.get()).rejects.toMatchObject({ code: 'token.unavailable' })
    server.answer = grant
    await expect(tokens.get()).resolves.toMatchObject({ token: 'token-1' })
  })
})

describe('a source that keeps its token elsewhere', () => {
  function keep(held: AccessToken | undefined) {
    const written: (string | undefined)[] = []
    return {
      written,
      read: () => held,
      write: ({ token }: AccessToken) => written.push(token),
      forget: () => written.push(undefined),
    }
  }
  const earlier = (life: { expiresInMs: number; renewInMs: number }): AccessToken => ({
    token: 'earlier',
    expiresAtMs: clock.nowMs + life.expiresInMs,
    renewAtMs: clock.nowMs + life.renewInMs,
  })

  it('goes on with the one of an earlier process, and asks nobody', async () => {
    const kept = keep(earlier({ expiresInMs: 10_000, renewInMs: 5000 }))
    expect((await source({ kept }).get()).token).toBe('earlier')
    expect(server.asked).toHaveLength(0)
  })

  it('renews one whose time has come, and writes the next', async () => {
    const kept = keep(earlier({ expiresInMs: 10_000, renewInMs: -1 }))
    expect((await source({ kept }).get()).token).toBe('token-1')
    expect(kept.written).toEqual(['token-1'])
  })

  it('forgets one that was refused somewhere', async () => {
    const kept = keep(earlier({ expiresInMs: 10_000, renewInMs: 5000 }))
    const tokens = source({ kept })
    tokens.invalidate('earlier')
    expect(kept.written).toEqual([undefined])
    expect((await tokens.get()).token).toBe('token-1')
  })

  it('asks an issuer that refuses the renewal less often than one that is away', async () => {
    const kept = keep(earlier({ expiresInMs: 600_000, renewInMs: -1 }))
    const tokens = source({ kept })
    server.answer = (_, response) => json(response, { error: 'invalid_client' }, 401)
    expect((await tokens.get()).token).toBe('earlier')
    clock.nowMs += 59_000
    expect((await tokens.get()).token).toBe('earlier')
    expect(server.asked).toHaveLength(1)
    clock.nowMs += 1000
    expect((await tokens.get()).token).toBe('earlier')
    expect(server.asked).toHaveLength(2)
  })
})

describe('an assertion by a clock that is wrong', () => {
  const hourMs = 3600_000
  let keyed: Pick<TokenSourceOptions, 'credential'>
  /** Says what time it is, and takes only assertions of that time. */
  const strict =
    (aheadMs: number): LocalServer['answer'] =>
    (asked, response) => {
      const nowMs = Date.now() + aheadMs
      const { exp = 0 } = decodeJwt(new URLSearchParams(asked.body).get('client_assertion') ?? '')
      response.setHeader('date', new Date(nowMs).toUTCString())
      if (Math.abs(exp * 1000 - nowMs) < 300_000) return grant(asked, response)
      json(response, { error: 'invalid_client' }, 401)
    }

  beforeEach(async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    keyed = {
      credential: credential({
        client_secret: undefined as never,
        token_endpoint_auth_method: 'private_key_jwt',
        private_key_jwk: (await exportJWK(privateKey)) as CredentialFile['private_key_jwk'] & object,
      }),
    }
  })

  it.each([
    ['behind', 2 * hourMs],
    ['ahead', -2 * hourMs],
    ['right after it was set', 0],
  ])('%s is corrected by the time the issuer says', async (_, aheadMs) => {
    server.answer = strict(aheadMs)
    const tokens = source(keyed)
    expect((await tokens.get()).token).toBe('token-1')
    expect(server.asked).toHaveLength(aheadMs === 0 ? 1 : 2)
    expect(Math.abs((tokens.clockOffsetMs ?? Number.NaN) + aheadMs)).toBeLessThan(5000)

    tokens.invalidate('token-1')
    await tokens.get()
    expect(server.asked).toHaveLength(aheadMs === 0 ? 2 : 3)
  })

  it('is tried once more and not for ever', async () => {
    server.answer = (_, response) => {
      response.setHeader('date', new Date(Date.now() + 2 * hourMs).toUTCString())
      json(response, { error: 'invalid_client' }, 401)
    }
    await expect(source(keyed).get()).rejects.toMatchObject({ code: 'client.refused' })
    expect(server.asked).toHaveLength(2)
  })
})
