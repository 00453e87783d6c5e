/** Introspection (RFC 7662) and revocation (RFC 7009): who is told what about a token, and whose tokens can be voided. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

const data = makeDataDir()
let provisioning: Provisioning
/** Has tokens, and knows nothing of those of others. */
let shop: CredentialFile
/** Has a grant at the shop's audience, as an API that is shown its tokens. */
let till: CredentialFile
let stranger: CredentialFile

async function register(oauthClientId: string, audience: string, scope: string): Promise<CredentialFile> {
  const issued = await provisioning.operator.json<IssuedCredential>('/v1/clients', {
    method: 'POST',
    body: { oauthClientId, kind: 'service', grants: [{ audience, scopes: [scope] }] },
  })
  return issued.credential
}

const tokenOf = async (credential: CredentialFile, audience: string) =>
  (await tokensOf(credential, audience).get()).token
const shopToken = () => tokenOf(shop, audiences.ingest)

async function ask(path: string, by: CredentialFile | undefined, parameters: Record<string, string>) {
  const { client_id, client_secret = '' } = by ?? {}
  const response = await fetch(provisioning.url + path, {
    method: 'POST',
    headers: {
      ...(by === undefined ? {} : { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` }),
    },
    body: new URLSearchParams(parameters),
  })
  const text = await response.text()
  const answer: unknown = text === '' ? undefined : JSON.parse(text)
  return { status: response.status, answer, cached: response.headers.get('cache-control') }
}
const introspect = (by: CredentialFile | undefined, token: string) => ask('/oauth/introspect', by, { token })
const revoke = (by: CredentialFile | undefined, token: string) => ask('/oauth/revoke', by, { token })
const inactive = { status: 200, answer: { active: false }, cached: 'no-store' }
const active = { status: 200, answer: expect.objectContaining({ active: true }), cached: 'no-store' }
const refused = (status: number, error: string) => ({
  status,
  answer: expect.objectContaining({ error }),
  cached: 'no-store',
})

beforeAll(async () => {
  provisioning = await startProvisioning(data.path)
  shop = await register('shop', audiences.ingest, 'read:readings')
  till = await register('till', audiences.ingest, 'query:sql')
  stranger = await register('stranger', audiences.broker, 'read:connections')
})
afterAll(async () => {
  await provisioning.program.stop()
  data.remove()
})

describe('introspection', () => {
  it('tells its owner and the API it is for what a token says', async () => {
    const token = await shopToken()
    const told = {
      active: true,
      token_type: 'Bearer',
      iss: provisioning.url,
      sub: 'shop',
      client_id: 'shop',
      aud: audiences.ingest,
      scope: 'read:readings',
      iat: expect.any(Number),
      exp: expect.any(Number),
      jti: expect.any(String),
    }
    for (const by of [shop, till])
      expect(await introspect(by, token)).toMatchObject({ status: 200, answer: told, cached: 'no-store' })
  })

  it('names the client in Auth0’s profile too', async () => {
    const audience = 'https://tariffs.example/'
    await provisioning.operator.json(`/v1/apis/${encodeURIComponent(audience)}`, {
      method: 'PUT',
      body: {
        name: 'Tariffs',
        scopes: [{ scope: 'see', description: 'see' }],
        dialect: 'auth0',
        alg: 'RS256',
      },
    })
    const buyer = await register('buyer', audience, 'see')

    const { answer } = await introspect(buyer, await tokenOf(buyer, audience))

    expect(answer).toMatchObject({ active: true, client_id: 'buyer', sub: 'buyer@clients' })
  })

  it('tells nobody else anything, nor anybody of what is no token of ours', async () => {
    const token = await shopToken()
    const [head = '', payload = '', signature = ''] = token.split('.')
    const forged = `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`

    expect(await introspect(stranger, token)).toEqual(inactive)
    for (const other of [forged, `${head}.${payload}.`, 'x', 'x'.repeat(5000)])
      expect(await introspect(shop, other)).toEqual(inactive)
  })

  it.each<[string, (token: string) => Promise<unknown>]>([
    ['its owner has voided', (token) => revoke(shop, token)],
    [
      'an operator has voided',
      (token) => provisioning.operator.json('/v1/tokens/revoke', { method: 'POST', body: { token } }),
    ],
    [
      'whose credential was rotated',
      async () => {
        const path = '/v1/clients/shop/rotate'
        const rotated = await provisioning.operator.json<IssuedCredential>(path, {
          method: 'POST',
          body: { graceSec: 0 },
        })
        shop = rotated.credential
      },
    ],
  ])('calls a token inactive that %s', async (_what, take) => {
    const token = await shopToken()
    expect(await introspect(till, token)).toEqual(active)

    await take(token)

    expect(await introspect(till, token)).toEqual(inactive)
  })
})

describe('revocation', () => {
  it('leaves the token of another as it is, and says so', async () => {
    const token = await shopToken()

    expect(await revoke(till, token)).toEqual(refused(400, 'invalid_request'))

    expect(await introspect(till, token)).toEqual(active)
  })

  it('of what is no token is no error', async () => {
    expect(await revoke(shop, 'x')).toMatchObject({ status: 200 })
  })
})

describe.each([
  ['introspection', introspect],
  ['revocation', revoke],
])('%s', (name, asking) => {
  it('is for those who authenticate', async () => {
    const token = await shopToken()
    for (const by of [undefined, { ...shop, client_secret: 'x' }, { ...shop, client_id: 'nobody' }])
      expect(await asking(by, token)).toEqual(refused(401, 'invalid_client'))
  })

  it('is about one token', async () => {
    expect(await ask(`/oauth/${name === 'revocation' ? 'revoke' : 'introspect'}`, shop, {})).toEqual(
      refused(400, 'invalid_request'),
    )
  })
})
