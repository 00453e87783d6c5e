/** Client assertions (RFC 7523) that the token endpoint must refuse, and the ones it must take. */
import { randomUUID } from 'node:crypto'
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning } from '../kit/provisioning.ts'

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const algs = ['ES256', 'EdDSA', 'RS256', 'PS256'] as const
type Alg = (typeof algs)[number]

const data = makeDataDir()
let provisioning: Provisioning
const privateKeys = new Map<string, CryptoKey>()

async function register(oauthClientId: string, alg: Alg, authMethods?: string[]): Promise<IssuedCredential> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  privateKeys.set(oauthClientId, privateKey)
  return provisioning.operator.json<IssuedCredential>('/v1/clients', {
    method: 'POST',
    body: {
      oauthClientId,
      kind: 'service',
      grants: [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }],
      publicKey: { ...(await exportJWK(publicKey)), alg },
      ...(authMethods === undefined ? {} : { authMethods }),
    },
  })
}

const nowSec = () => Math.floor(Date.now() / 1000)

/** As it should be; `claims` over it, those that are undefined left out. */
function claimsOf(oauthClientId: string, claims: JWTPayload = {}): JWTPayload {
  return {
    iss: oauthClientId,
    sub: oauthClientId,
    aud: provisioning.url,
    exp: nowSec() + 60,
    jti: randomUUID(),
    ...claims,
  }
}

const sign = (claims: JWTPayload, key: CryptoKey, header: JWTHeaderParameters) =>
  new SignJWT(claims).setProtectedHeader(header).sign(key)

const keyOf = (oauthClientId: string) => privateKeys.get(oauthClientId) as CryptoKey // registered before

async function ask(assertion: string, parameters: Record<string, string> = {}) {
  const response = await fetch(`${provisioning.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: assertionType,
      client_assertion: assertion,
      ...parameters,
    }),
  })
  const { error, access_token: token } = (await response.json()) as { error?: string; access_token?: string }
  return { status: response.status, error, isGranted: token !== undefined }
}

beforeAll(async () => {
  provisioning = await startProvisioning(data.path)
  for (const alg of algs) await register(`by-${alg}`, alg)
  await register('other', 'ES256')
  await register('secrets-only', 'ES256', ['client_secret_basic', 'private_key_jwt'])
})
afterAll(async () => {
  await provisioning.program.stop()
  data.remove()
})

describe('a client assertion', () => {
  it.each(algs)('of the algorithm %s is taken, for the issuer and for the token endpoint', async (alg) => {
    for (const aud of [provisioning.url, `${provisioning.url}/oauth/token`, [provisioning.url]]) {
      const claims = claimsOf(`by-${alg}`, { aud })
      const assertion = await sign(claims, keyOf(`by-${alg}`), { alg })
      expect(await ask(assertion, { client_id: `by-${alg}` })).toEqual({ status: 200, isGranted: true })
    }
  })

  const es256 = { alg: 'ES256' }
  const of = (claims: JWTPayload) => () => sign(claimsOf('by-ES256', claims), keyOf('by-ES256'), es256)

  it.concurrent.each<[string, () => Promise<string>]>([
    ['that has expired', of({ exp: nowSec() - 60 })],
    ['that lives too long', of({ exp: nowSec() + 3600 })],
    ['that is not good yet', of({ nbf: nowSec() + 120 })],
    ['of the future', of({ iat: nowSec() + 120 })],
    ['without an end', of({ exp: undefined } as unknown as JWTPayload)],
    ['without a number', of({ jti: undefined } as unknown as JWTPayload)],
    ['with an endless number', of({ jti: 'x'.repeat(129) })],
    ['for another server', of({ aud: 'https://other.example/' })],
    ['for others too', () => of({ aud: [provisioning.url, 'https://other.example/'] })()],
    ['for nobody', of({ aud: undefined } as unknown as JWTPayload)],
    ['issued by another', of({ iss: 'other' })],
    ['by the key of another client', () => sign(claimsOf('by-ES256'), keyOf('other'), es256)],
    ['by a client nobody knows', () => sign(claimsOf('nobody'), keyOf('other'), es256)],
    ['in another algorithm than its key has', () => sign(claimsOf('by-PS256'), keyOf('by-ES256'), es256)],
    [
      'that is not signed',
      async () =>
        [{ alg: 'none' }, claimsOf('by-ES256')]
          .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
          .join('.')
          .concat('.'),
    ],
    [
      'signed with the public key as if it were a shared secret',
      async () =>
        new SignJWT(claimsOf('by-ES256'))
          .setProtectedHeader({ alg: 'HS256' })
          .sign(new TextEncoder().encode('x'.repeat(32))),
    ],
  ])('%s is refused like any failed authentication', async (_what, made) => {
    expect(await ask(await made())).toEqual({ status: 401, error: 'invalid_client', isGranted: false })
  })

  it('is taken once, however many send it at the same time', async () => {
    const assertion = await of({})()

    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(assertion)))

    expect(answers.filter(({ isGranted }) => isGranted)).toHaveLength(1)
    expect((await ask(assertion)).error).toBe('invalid_client')
  })

  it('with the number of another client’s is taken all the same', async () => {
    const jti = randomUUID()
    await ask(await of({ jti })())

    const assertion = await sign(claimsOf('other', { jti }), keyOf('other'), es256)
    expect((await ask(assertion)).isGranted).toBe(true)
  })

  it('does nothing for a client for which the method is switched off', async () => {
    await provisioning.operator.json('/v1/clients/secrets-only', {
      method: 'PATCH',
      body: { authMethods: ['client_secret_basic'] },
    })

    const assertion = await sign(claimsOf('secrets-only'), keyOf('secrets-only'), es256)
    expect((await ask(assertion)).error).toBe('invalid_client')
  })
})
