import { inspect } from 'node:util'
import {
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createVerifier,
  type KeptKeys,
  type KeysState,
  type TrustedIssuer,
  tokenCharsMax,
} from '../../../../core/auth/verifier.ts'
import { createFetch } from '../../../../core/runtime/fetch.ts'
import { eventually } from '../../../kit/program.ts'
import { failureOf, json, type LocalServer, startServer } from '../kit.ts'

interface Key {
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  readonly jwk: JWK
}
async function makeKey(kid: string): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  return { privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } }
}

const nowSec = 1_763_906_700
const audience = 'urn:lotwatch:broker'
let first: Key
let second: Key
let stranger: Key
let server: LocalServer
let published: JWK[]
let clock: { nowMs: number }

beforeAll(async () => {
  ;[first, second, stranger] = await Promise.all([makeKey('k1'), makeKey('k2'), makeKey('k1')])
})
const serve: LocalServer['answer'] = ({ path }, response) => {
  if (path === '/.well-known/oauth-authorization-server')
    return json(response, { issuer: server.url, jwks_uri: `${server.url}/jwks` })
  if (path === '/jwks') return json(response, { keys: published })
  return json(response, {}, 404)
}
const away: LocalServer['answer'] = (_, response) => json(response, {}, 503)
beforeEach(async () => {
  server = await startServer(serve)
  published = [first.jwk]
  clock = { nowMs: nowSec * 1000 }
})
afterEach(() => server.stop())

function verifierOf(change: Partial<TrustedIssuer> = {}) {
  return createVerifier({
    issuers: [{ issuer: server.url, audience, algorithms: ['ES256'], dialect: 'rfc9068', ...change }],
    fetch: createFetch(),
    now: () => clock.nowMs,
  })
}
const claims = (change: JWTPayload = {}): JWTPayload => ({
  iss: server.url,
  sub: 'gate-1',
  aud: audience,
  client_id: 'gate-1',
  scope: 'publish:readings',
  iat: nowSec,
  exp: nowSec + 3600,
  jti: 'jti-1',
  ...change,
})
const sign = (change: JWTPayload = {}, header: Record<string, unknown> = {}, key = first) =>
  new SignJWT(claims(change))
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'k1', ...header })
    .sign(key.privateKey)
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const looks = () => server.asked.filter(({ path }) => path === '/jwks').length

describe('a good token', () => {
  it('says who it is', async () => {
    await expect(verifierOf().verify(await sign())).resolves.toMatchObject({
      issuer: server.url,
      subject: 'gate-1',
      tokenId: 'jti-1',
      expiresAtSec: nowSec + 3600,
      scopes: new Set(['publish:readings']),
    })
  })

  it.each([
    ['names our audience among others', { aud: ['urn:else', audience] }, {}],
    ['spells its type in full', {}, { typ: 'application/at+jwt' }],
    ['names no key where there is one', {}, { kid: undefined }],
    ['lives as long as a token may', { exp: nowSec + 24 * 3600 }, {}],
    ['is ahead of our clock by less than the skew', { iat: nowSec + 30 }, {}],
    ['has expired by less than the skew', { iat: nowSec - 3600, exp: nowSec - 29 }, {}],
  ])('may be one that %s', async (_what, change, header) => {
    await expect(verifierOf().verify(await sign(change, header))).resolves.toMatchObject({
      subject: 'gate-1',
    })
  })
})

/** What must not get in: what is wrong, the code of the refusal, and the token. */
const refusals: readonly [string, string, () => Promise<string> | string][] = [
  ['has expired by the skew', 'token.expired', () => sign({ iat: nowSec - 3600, exp: nowSec - 30 })],
  ['was issued ahead of our clock by more than the skew', 'token.claims', () => sign({ iat: nowSec + 31 })],
  ['is not valid yet', 'token.claims', () => sign({ nbf: nowSec + 31 })],
  ['lives longer than a token may', 'token.claims', () => sign({ exp: nowSec + 24 * 3600 + 1 })],
  ['is meant for another audience', 'token.audience', () => sign({ aud: 'urn:lotwatch:ingest' })],
  ['is meant for an audience that starts like ours', 'token.audience', () => sign({ aud: `${audience}x` })],
  ['is from an issuer nobody trusts', 'token.issuer', () => sign({ iss: 'https://else.example' })],
  ['is from an issuer that is spelt almost like ours', 'token.issuer', () => sign({ iss: `${server.url}/` })],
  ['names an issuer of the wrong type', 'token.issuer', () => sign({ iss: ['x'] as unknown as string })], // on purpose
  ['is of another type', 'token.claims', () => sign({}, { typ: 'JWT' })],
  ['is of no type', 'token.claims', () => sign({}, { typ: undefined })],
  ['has an expiry in words', 'token.claims', () => sign({ exp: 'never' as unknown as number })], // on purpose
  ['is signed with another key of the same name', 'token.signature', () => sign({}, {}, stranger)],
  ['names a key the issuer does not have', 'token.signature', () => sign({}, { kid: 'k9' })],
  ['brings its own key', 'token.signature', () => sign({}, { jwk: stranger.jwk }, stranger)],
  ['names a place for its key', 'token.signature', () => sign({}, { jku: 'http://127.0.0.1:9/' }, stranger)],
  [
    'asks for an extension we do not know',
    'token.malformed',
    async () => {
      const [, payload, signature] = (await sign()).split('.')
      return `${base64({ alg: 'ES256', typ: 'at+jwt', kid: 'k1', crit: ['exp'], exp: 1 })}.${payload}.${signature}`
    },
  ],
  [
    'is signed by nobody',
    'token.malformed',
    () => `${base64({ alg: 'none', typ: 'at+jwt' })}.${base64(claims())}.`,
  ],
  [
    'is signed by nobody under the name of a key',
    'token.malformed',
    async () => {
      const signature = (await sign()).split('.')[2]
      return `${base64({ alg: 'none', typ: 'at+jwt', kid: 'k1' })}.${base64(claims())}.${signature}`
    },
  ],
  [
    'takes our public key in PEM for a shared secret',
    'token.malformed',
    async () =>
      new SignJWT(claims())
        .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'k1' })
        .sign(new TextEncoder().encode(await exportSPKI(first.publicKey))),
  ],
  [
    'takes our public JWK for a shared secret',
    'token.malformed',
    async () =>
      new SignJWT(claims())
        .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: 'k1' })
        .sign(new TextEncoder().encode(JSON.stringify(first.jwk))),
  ],
  [
    'has other claims than were signed',
    'token.signature',
    async () => {
      const [header, , signature] = (await sign()).split('.')
      return `${header}.${base64(claims({ sub: 'gate-2' }))}.${signature}`
    },
  ],
  ['is cut short', 'token.malformed', async () => (await sign()).split('.').slice(0, 2).join('.')],
  [
    'has nothing for a signature',
    'token.signature',
    async () => `${(await sign()).split('.').slice(0, 2).join('.')}.`,
  ],
  ['is empty', 'token.malformed', () => ''],
  ['is a word', 'token.malformed', () => 'password'],
  [
    'has claims that are no JSON',
    'token.malformed',
    () => `${base64({ alg: 'ES256' })}.${Buffer.from('{"iss').toString('base64url')}.x`,
  ],
  ['has claims that are no object', 'token.malformed', () => `${base64({ alg: 'ES256' })}.${base64([1])}.x`],
  ['is longer than any token', 'token.malformed', () => sign({ pad: 'x'.repeat(tokenCharsMax) })],
]

describe('a token is refused', () => {
  it.each(refusals)('that %s', async (_what, code, make) => {
    const error = await failureOf(async () => verifierOf().verify(await make()))
    expect(error).toMatchObject({ kind: 'refused', code })
  })

  it.each(['exp', 'aud', 'sub', 'client_id', 'iat', 'jti'])('that lacks the claim %s', async (claim) => {
    const error = await failureOf(async () => verifierOf().verify(await sign({ [claim]: undefined })))
    expect(error).toMatchObject({ code: claim === 'aud' ? 'token.audience' : 'token.claims' })
  })

  it('without a trace of it in the error, whatever is wrong with it', async () => {
    const verifier = verifierOf()
    for (const [what, , make] of refusals) {
      const token = await make()
      const told = inspect(await failureOf(() => verifier.verify(token)), { depth: 10 })
      for (const part of token.split('.').filter((text) => text.length > 8))
        expect(told, what).not.toContain(part)
    }
  })

  it('with an algorithm the key could do, but that is not on our list', async () => {
    const error = await failureOf(async () => verifierOf({ algorithms: ['ES384'] }).verify(await sign()))
    expect(error).toMatchObject({ kind: 'refused' })
  })
})

describe('a token that was verified before', () => {
  it('is known again without another look at its signature', async () => {
    const verifier = verifierOf()
    const token = await sign()
    const principal = await verifier.verify(token)
    expect(await verifier.verify(token)).toBe(principal)
  })

  it('still expires', async () => {
    const verifier = verifierOf()
    const token = await sign()
    await verifier.verify(token)
    clock.nowMs = (nowSec + 3600 + 29) * 1000
    await expect(verifier.verify(token)).resolves.toMatchObject({ subject: 'gate-1' })
    clock.nowMs = (nowSec + 3600 + 30) * 1000
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token.expired' })
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token.expired' })
  })

  it('is void when its key has gone from the issuer', async () => {
    const verifier = verifierOf()
    const token = await sign()
    await verifier.verify(token)
    published = [second.jwk]
    await verifier.refresh()
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token.signature' })
  })

  it('was not vouched for by keys that came while it was looked at', async () => {
    // A peer that answers at once, so that the keys change while the signature is being checked.
    const verifier = createVerifier({
      issuers: [
        { issuer: server.url, audience, algorithms: ['ES256'], dialect: 'rfc9068', jwksUri: 'memory:' },
      ],
      fetch: async () => Response.json({ keys: published }),
      now: () => clock.nowMs,
    })
    const token = await sign()
    await verifier.preload()
    published = [second.jwk]
    const [verdict] = await Promise.allSettled([verifier.verify(token), verifier.refresh()])

    expect(verdict.status).toBe('fulfilled')
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token.signature' })
  })
})

describe('the keys of an issuer', () => {
  it('are fetched once for however many ask first', async () => {
    const verifier = verifierOf()
    const tokens = await Promise.all(Array.from({ length: 10 }, (_, i) => sign({ jti: `jti-${i}` })))
    await Promise.all(tokens.map((token) => verifier.verify(token)))
    expect(looks()).toBe(1)
  })

  it('are fetched once more for however many come with a new one, and all get in', async () => {
    const verifier = verifierOf()
    await verifier.preload()
    published = [first.jwk, second.jwk]
    clock.nowMs += 60_000
    const tokens = await Promise.all(
      Array.from({ length: 10 }, (_, i) => sign({ jti: `jti-${i}` }, { kid: 'k2' }, second)),
    )
    const principals = await Promise.all(tokens.map((token) => verifier.verify(token)))
    expect(principals).toHaveLength(tokens.length)
    expect(looks()).toBe(2)
  })

  it('are not fetched again and again for names that do not exist', async () => {
    const verifier = verifierOf()
    await verifier.preload()
    clock.nowMs += 60_000
    for (let i = 0; i < 5; i++)
      await expect(verifier.verify(await sign({}, { kid: `x${i}` }))).rejects.toMatchObject({
        code: 'token.signature',
      })
    expect(looks()).toBe(2)
  })

  it('that are not there yet leave it undecided, and are asked for again', async () => {
    server.answer = away
    const verifier = verifierOf()
    const token = await sign()
    await expect(verifier.preload()).rejects.toMatchObject({ code: 'keys.unavailable' })
    await expect(verifier.verify(token)).rejects.toMatchObject({
      code: 'keys.unavailable',
      kind: 'unavailable',
    })
    server.answer = serve
    clock.nowMs += 1000
    await expect(verifier.verify(token)).resolves.toMatchObject({ subject: 'gate-1' })
  })

  it('that are not there are asked for once a second, however many tokens come one after the other', async () => {
    const verifier = verifierOf()
    server.answer = away
    for (let i = 0; i < 5; i++)
      await expect(verifier.verify(await sign({ jti: `jti-${i}` }))).rejects.toMatchObject({
        code: 'keys.unavailable',
      })
    const lookups = () =>
      server.asked.filter(({ path }) => path === '/.well-known/oauth-authorization-server').length
    expect(lookups()).toBe(1)
    clock.nowMs -= 3_600_000
    await expect(verifier.preload()).rejects.toMatchObject({ code: 'keys.unavailable' })
    expect(lookups()).toBe(2)
  })

  it('stay when the issuer goes away', async () => {
    const verifier = verifierOf()
    await verifier.preload()
    server.answer = away
    await verifier.refresh()
    await expect(verifier.verify(await sign())).resolves.toMatchObject({ subject: 'gate-1' })
    clock.nowMs += 60_000
    await expect(verifier.verify(await sign({}, { kid: 'k2' }, second))).rejects.toMatchObject({
      code: 'token.signature',
    })
    await expect(verifier.verify(await sign({ jti: 'jti-2' }))).resolves.toMatchObject({ tokenId: 'jti-2' })
  })

  it.each([
    ['an empty set', '{"keys":[]}'],
    ['no set', '{}'],
    ['a set of something else', '{"keys":["x"]}'],
    ['null', 'null'],
    ['no JSON', '<html>'],
  ])('are not replaced by %s', async (_what, body) => {
    const verifier = verifierOf()
    await verifier.preload()
    server.answer = (asked, response) =>
      asked.path === '/jwks' ? void response.end(body) : serve(asked, response)
    await verifier.refresh()
    await expect(verifier.verify(await sign())).resolves.toMatchObject({ subject: 'gate-1' })
    await expect(verifierOf().verify(await sign())).rejects.toMatchObject({ code: 'keys.unavailable' })
  })

  it('vouch for what was verified as long as they stay the same', async () => {
    const verifier = verifierOf()
    const token = await sign()
    const principal = await verifier.verify(token)
    await verifier.refresh()
    expect(await verifier.verify(token)).toBe(principal)
  })

  it('of an issuer that hangs are not waited for by those who are known', async () => {
    const verifier = verifierOf()
    const token = await sign()
    await verifier.verify(token)
    const before = server.asked.length
    server.answer = () => undefined
    const refresh = verifier.refresh()
    await eventually(() => server.asked.length > before)
    await expect(verifier.verify(token)).resolves.toMatchObject({ subject: 'gate-1' })
    await server.stop()
    await refresh
    server = await startServer(serve)
  })
})

describe('keys that outlive the process', () => {
  let disk: Map<string, KeptKeys>
  let told: [KeysState, boolean][]
  const keysAgeMaxMs = 3_600_000
  const keeping = () =>
    createVerifier({
      issuers: [{ issuer: server.url, audience, algorithms: ['ES256'], dialect: 'rfc9068' }],
      fetch: createFetch(),
      now: () => clock.nowMs,
      cache: { read: (issuer) => disk.get(issuer), write: (issuer, keys) => void disk.set(issuer, keys) },
      keysAgeMaxMs,
      onKeys: (state, error) => told.push([state, error !== undefined]),
    })
  beforeEach(() => {
    disk = new Map()
    told = []
  })

  it('are believed while the issuer is away, which is told once, and so is its return', async () => {
    await keeping().preload()
    server.answer = away
    clock.nowMs += keysAgeMaxMs
    const verifier = keeping()
    await verifier.preload()
    await verifier.refresh()
    const token = await sign({ exp: nowSec + 7200 })
    await expect(verifier.verify(token)).resolves.toMatchObject({ subject: 'gate-1' })
    expect(verifier.keys()).toEqual([{ issuer: server.url, ageMs: keysAgeMaxMs, isKept: true }])

    server.answer = serve
    await verifier.refresh()
    expect(verifier.keys()).toEqual([{ issuer: server.url, ageMs: 0, isKept: false }])
    expect(told.map(([{ isKept }, isFailure]) => [isKept, isFailure])).toEqual([
      [true, true],
      [false, false],
    ])
  })

  it('are believed no longer than is said, neither from before nor in use', async () => {
    const running = keeping()
    const token = await sign({ exp: nowSec + 7200 })
    await running.verify(token)
    server.answer = away
    await running.refresh()
    await expect(running.verify(token)).resolves.toBeDefined()
    clock.nowMs += keysAgeMaxMs + 1
    for (const verifier of [running, keeping()])
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'keys.unavailable' })
    server.answer = serve
    clock.nowMs += 1000
    await expect(running.verify(token)).resolves.toBeDefined()
  })

  it('are refreshed by a look that finds the same ones', async () => {
    const verifier = keeping()
    await verifier.preload()
    clock.nowMs += 1000
    await verifier.refresh()
    expect(disk.get(server.url)?.fetchedAtMs).toBe(clock.nowMs)
    expect(verifier.keys()).toEqual([{ issuer: server.url, ageMs: 0, isKept: false }])
  })

  it.each([
    ['are from the future', (kept: KeptKeys) => ({ ...kept, fetchedAtMs: clock.nowMs + 1 })],
    ['are no set of keys', (kept: KeptKeys) => ({ ...kept, text: '<html>' })],
  ])('are not believed when they %s', async (_what, spoil) => {
    await keeping().preload()
    const kept = disk.get(server.url)
    if (kept === undefined) throw new Error('nothing was kept')
    disk.set(server.url, spoil(kept))
    server.answer = away
    await expect(keeping().verify(await sign())).rejects.toMatchObject({ code: 'keys.unavailable' })
  })
})

describe('several issuers', () => {
  it('are each asked for their own keys, by the exact name in the token', async () => {
    const other = await startServer(({ path }, response) =>
      path === '/jwks' ? json(response, { keys: [stranger.jwk] }) : json(response, {}, 404),
    )
    try {
      const verifier = createVerifier({
        issuers: [
          { issuer: server.url, audience, algorithms: ['ES256'], dialect: 'rfc9068' },
          {
            issuer: other.url,
            audience: 'api',
            algorithms: ['ES256'],
            dialect: 'auth0',
            jwksUri: `${other.url}/jwks`,
          },
        ],
        fetch: createFetch(),
        now: () => clock.nowMs,
      })
      const theirs = { iss: other.url, aud: 'api', azp: 'app-1' }
      const header = { typ: 'JWT' }
      await expect(verifier.verify(await sign())).resolves.toMatchObject({ issuer: server.url })
      await expect(verifier.verify(await sign(theirs, header, stranger))).resolves.toMatchObject({
        issuer: other.url,
        oauthClientId: 'app-1',
      })
      // The keys have the same name; neither issuer speaks for the other.
      await expect(verifier.verify(await sign(theirs, header))).rejects.toMatchObject({
        code: 'token.signature',
      })
      await expect(verifier.verify(await sign({}, {}, stranger))).rejects.toMatchObject({
        code: 'token.signature',
      })
      await expect(
        verifier.verify(await sign({ ...theirs, aud: audience }, header, stranger)),
      ).rejects.toMatchObject({ code: 'token.audience' })
    } finally {
      await other.stop()
    }
  })
})

describe('an issuer without keys', () => {
  it('does not keep those of another from being ready, or their devices out', async () => {
    const verifier = createVerifier({
      issuers: [
        { issuer: server.url, audience, algorithms: ['ES256'], dialect: 'rfc9068' },
        { issuer: `${server.url}/away`, audience, algorithms: ['ES256'], dialect: 'rfc9068' },
      ],
      fetch: createFetch(),
      now: () => clock.nowMs,
    })
    await expect(verifier.preload(server.url)).resolves.toBeUndefined()
    await expect(verifier.preload()).rejects.toMatchObject({ code: 'keys.unavailable' })
    await expect(verifier.verify(await sign())).resolves.toMatchObject({ issuer: server.url })
    await expect(verifier.verify(await sign({ iss: `${server.url}/away` }))).rejects.toMatchObject({
      code: 'keys.unavailable',
    })
  })
})

describe('where the keys are', () => {
  it('is taken from the settings when they say', async () => {
    await expect(verifierOf({ jwksUri: `${server.url}/jwks` }).verify(await sign())).resolves.toBeDefined()
    expect(server.asked.map(({ path }) => path)).toEqual(['/jwks'])
  })

  it('is looked for where RFC 8414 puts it for an issuer with a path, then where OpenID does', async () => {
    const issuer = `${server.url}/realms/lots`
    server.answer = (asked, response) =>
      asked.path === '/realms/lots/.well-known/openid-configuration'
        ? json(response, { issuer, jwks_uri: `${server.url}/jwks` })
        : serve(asked, response)
    await expect(verifierOf({ issuer }).verify(await sign({ iss: issuer }))).resolves.toMatchObject({
      issuer,
    })
    expect(server.asked.map(({ path }) => path)).toEqual([
      '/.well-known/oauth-authorization-server/realms/lots',
      '/realms/lots/.well-known/openid-configuration',
      '/jwks',
    ])
  })

  it.each([
    ['is of another issuer', { issuer: 'https://else.example', jwks_uri: 'x' }],
    ['does not say', { issuer: undefined }],
  ])('is not believed from metadata that %s', async (_what, metadata) => {
    server.answer = (asked, response) =>
      asked.path === '/jwks'
        ? serve(asked, response)
        : json(response, { jwks_uri: `${server.url}/jwks`, ...metadata })
    await expect(verifierOf().verify(await sign())).rejects.toMatchObject({ code: 'keys.unavailable' })
    expect(looks()).toBe(0)
  })

  it('is not elsewhere by a redirect', async () => {
    server.answer = (asked, response) =>
      asked.path === '/jwks'
        ? void response.writeHead(302, { location: `${server.url}/keys-of-another` }).end()
        : serve(asked, response)
    await expect(verifierOf().verify(await sign())).rejects.toMatchObject({ code: 'keys.unavailable' })
    expect(server.asked.map(({ path }) => path)).not.toContain('/keys-of-another')
  })
})
