/** Clients, grants and credentials over HTTP, and what holds for every route: entity tags, retries, pages, exports. */
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Api, Client, CredentialRecord, IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { eventually, freePort, makeDataDir } from '../kit/program.ts'
import { apiOf, type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

const put = (body: unknown) => ({ method: 'PUT', body })
const post = (body?: unknown) => ({ method: 'POST', ...(body === undefined ? {} : { body }) })
const patch = (body: unknown) => ({ method: 'PATCH', body })
const del = { method: 'DELETE' }
const refused = { code: 'client.refused' }
const tariffs = 'https://tariffs.example/api?v=1'
const tariffsPath = `/v1/apis/${encodeURIComponent(tariffs)}`

describe('clients, over HTTP', () => {
  const data = makeDataDir()
  let provisioning: Provisioning
  const operator = () => provisioning.operator
  const register = async (oauthClientId: string, more: object = {}) =>
    (
      await operator().json<IssuedCredential>(
        '/v1/clients',
        post({
          oauthClientId,
          kind: 'service',
          grants: [{ audience: audiences.provisioning, scopes: ['read:devices', 'read:audit'] }],
          ...more,
        }),
      )
    ).credential
  const tokenOf = async (credential: CredentialFile, audience: string = audiences.provisioning) =>
    (await tokensOf(credential, audience).get()).token
  const statusWith = async (token: string, path = '/v1/lots') =>
    (await fetch(provisioning.url + path, { headers: { authorization: `Bearer ${token}` } })).status

  beforeAll(async () => {
    provisioning = await startProvisioning(data.path)
  })
  afterAll(async () => {
    await provisioning.program.stop()
    data.remove()
  })

  it('get tokens for an API that was registered a moment ago, as the API says', async () => {
    const scopes = [{ scope: 'read:tariffs', description: 'see prices' }]
    await operator().json(tariffsPath, put({ name: 'Tariffs', scopes, tokenLifeSec: 61 }))
    const credential = await register('shop', { grants: [{ audience: tariffs, scopes: ['read:tariffs'] }] })

    const payload = (await tokenOf(credential, tariffs)).split('.')[1] ?? ''
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())

    expect(claims).toMatchObject({ aud: tariffs, scope: 'read:tariffs', client_id: 'shop' })
    expect(claims.exp - claims.iat).toBe(61)
    await expect(operator().json(tariffsPath, del)).rejects.toMatchObject({ code: 'request.conflict' })
    const { apis } = await operator().json<{ apis: Api[] }>('/v1/apis')
    expect(apis.map(({ audience }) => audience)).toContain(tariffs)
  })

  it('lose their tokens with a scope at once, and get new ones without it', async () => {
    const credential = await register('narrowed')
    const token = await tokenOf(credential)
    expect(await statusWith(token)).toBe(200)

    const path = `/v1/clients/narrowed/grants/${encodeURIComponent(audiences.provisioning)}`
    await operator().json(path, put({ scopes: ['read:devices'] }))

    expect(await statusWith(token)).toBe(401)
    const renewed = await tokenOf(credential)
    expect([await statusWith(renewed), await statusWith(renewed, '/v1/audit')]).toEqual([200, 403])
    await operator().json(path, del)
    expect(await statusWith(renewed)).toBe(401)
    await expect(tokenOf(credential)).rejects.toMatchObject(refused)
  })

  it('for which the grant type is switched off get no token until it is on again', async () => {
    const credential = await register('switched')
    await operator().json('/v1/clients/switched', patch({ grantTypes: [] }))
    await expect(tokenOf(credential)).rejects.toMatchObject(refused)

    await operator().json('/v1/clients/switched', patch({ grantTypes: ['client_credentials'] }))
    expect(await statusWith(await tokenOf(credential))).toBe(200)
  })

  it('that are retired are gone, and so is what they could do', async () => {
    const credential = await register('leaver')
    const token = await tokenOf(credential)

    await operator().json('/v1/clients/leaver', del)

    expect(await statusWith(token)).toBe(401)
    await expect(tokenOf(credential)).rejects.toMatchObject(refused)
    await expect(operator().json('/v1/clients/leaver')).rejects.toMatchObject({ code: 'request.not_found' })
    await expect(operator().json('/v1/clients/operator', del)).rejects.toMatchObject({
      code: 'request.conflict',
    })
  })

  it('rotate their secret with an overlap, and without one', async () => {
    const first = await register('rotating')
    const path = '/v1/clients/rotating/rotate'

    const second = (await operator().json<IssuedCredential>(path, post({ graceSec: 600 }))).credential
    await expect(tokenOf(first)).resolves.toBeDefined()
    const third = (await operator().json<IssuedCredential>(path, post({ graceSec: 0 }))).credential

    await expect(tokenOf(first)).rejects.toMatchObject(refused)
    await expect(tokenOf(second)).rejects.toMatchObject(refused)
    await expect(tokenOf(third)).resolves.toBeDefined()
    const { credentials } = await operator().json<{ credentials: CredentialRecord[] }>('/v1/clients/rotating')
    expect(credentials.map(({ revokedAtMs }) => revokedAtMs === null)).toEqual([false, false, true])
    await eventually(async () => {
      const shown = await operator().json<{ credentials: CredentialRecord[] }>('/v1/clients/rotating')
      return shown.credentials[2]?.lastUsedAtMs
    })
  })

  it('prove themselves with a key of their own', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const spki = publicKey.export({ format: 'pem', type: 'spki' })
    const file = await register('keyed', { publicKey: spki })
    expect(file).toMatchObject({ token_endpoint_auth_method: 'private_key_jwt' })

    const credential = {
      ...file,
      private_key_jwk: { ...privateKey.export({ format: 'jwk' }), alg: 'EdDSA' },
    } as CredentialFile // the private half of an Ed25519 key has kty and d

    expect(await statusWith(await tokenOf(credential))).toBe(200)
    await expect(register('thief', { publicKey: spki })).rejects.toMatchObject({ code: 'request.conflict' })
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
    await expect(register('careless', { publicKey: pem })).rejects.toMatchObject({ code: 'request.invalid' })
  })

  it('are told who they are', async () => {
    const credential = await register('curious', {
      grants: [{ audience: audiences.provisioning, scopes: [] }],
    })

    expect(await apiOf(provisioning.url, credential).json('/v1/whoami')).toEqual({
      oauthClientId: 'curious',
      scopes: [],
      credentialId: credential.credentialId,
      expiresAtSec: expect.any(Number),
    })
  })

  it('are edited by two people without losing what one of them did', async () => {
    await register('shared')
    const read = await operator().response('/v1/clients/shared')
    const ifMatch = read.headers.get('etag') ?? ''
    const { credentials: _, ...shown } = (await read.json()) as Client & { credentials: unknown }
    expect(shown.name).toBe('shared')

    const headers = { 'if-match': ifMatch }
    const answer = await operator().response('/v1/clients/shared', { ...patch({ name: 'One' }), headers })
    await expect(
      operator().json('/v1/clients/shared', { ...patch({ name: 'Two' }), headers }),
    ).rejects.toMatchObject({ code: 'request.precondition' })

    const now = { 'if-match': answer.headers.get('etag') ?? '' }
    await operator().json('/v1/clients/shared', { ...patch({ name: 'Three' }), headers: now })
    expect(await operator().json('/v1/clients/shared')).toMatchObject({ name: 'Three' })
  })

  it('do not register over one another an API that must be new, and read it only when it has changed', async () => {
    const path = '/v1/apis/urn%3Anew'
    const api = { ...put({ name: 'New', scopes: [] }), headers: { 'if-none-match': '*' } }
    const made = await operator().response(path, api)
    await expect(operator().json(path, api)).rejects.toMatchObject({ code: 'request.precondition' })

    const token = await tokenOf(readCredentialFile(join(data.path, 'operator.json')))
    const again = await fetch(provisioning.url + path, {
      headers: { authorization: `Bearer ${token}`, 'if-none-match': made.headers.get('etag') ?? '' },
    })
    expect([again.status, await again.text()]).toEqual([304, ''])
  })

  it('are listed page by page', async () => {
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await operator().json<{ clients: Client[]; nextCursor?: string }>('/v1/clients', {
        query: { limit: 2, cursor },
      })
      expect(page.clients.length).toBeLessThanOrEqual(2)
      seen.push(...page.clients.map(({ oauthClientId }) => oauthClientId))
      cursor = page.nextCursor
    } while (cursor !== undefined)

    expect(seen).toEqual([...new Set(seen)].toSorted())
    expect(seen).toEqual(expect.arrayContaining(['broker', 'ingest', 'operator']))
  })

  it.each([
    ['/v1/clients/nobody', {}, 'request.not_found'],
    ['/v1/clients', post({ oauthClientId: 'x', kind: 'device' }), 'request.invalid'],
    ['/v1/clients', post({ oauthClientId: 'operator', kind: 'service' }), 'request.conflict'],
    ['/v1/clients/operator/grants/urn%3Ax', put({ scopes: [] }), 'request.invalid'],
    ['/v1/clients/operator/grants/urn%3Ax', del, 'request.not_found'],
    ['/v1/apis/urn%3Ax', {}, 'request.not_found'],
    ['/v1/apis/urn%3Ax', put({ name: 'x', scopes: [{ scope: 'a b', description: '' }] }), 'request.invalid'],
    [`/v1/apis/${'x'.repeat(300)}`, put({ name: 'x', scopes: [] }), 'request.invalid'],
    ['/v1/clients/operator/credentials', post({ expiresAtMs: 1 }), 'request.invalid'],
    ['/v1/feed', { query: { types: 'weather' } }, 'token.scope'],
  ])('answer a request to %s that cannot be done with its reason', async (path, request, code) => {
    await expect(operator().json(path, request)).rejects.toMatchObject({ code })
  })

  it('are in the audit log, which can be filtered and exported whole', async () => {
    await register('audited')
    const entries = async (query: Record<string, string>) =>
      (await operator().json<{ entries: { subject: string; actor: string }[] }>('/v1/audit', { query }))
        .entries

    expect(await entries({ subject: 'audited' })).toMatchObject([
      { verb: 'client.registered', actor: 'operator', after: { name: 'audited' } },
    ])
    expect((await entries({ actor: 'provisioning' })).every(({ actor }) => actor === 'provisioning')).toBe(
      true,
    )

    const exported = async (accept: string) =>
      (await operator().response('/v1/audit', { headers: { accept }, query: { limit: 1 } })).text()
    const lines = (await exported('application/x-ndjson')).trimEnd().split('\n')
    const ids = lines.map((line) => JSON.parse(line).auditId as number)
    expect(ids[0]).toBe(ids.length)
    expect(ids).toEqual(ids.toSorted((a, b) => b - a))
    const [head, first] = (await exported('text/csv')).split('\r\n')
    expect(head).toBe('auditId,at,actor,verb,subject,before,after')
    expect(first).toMatch(/^\d+,20\d\d-[^,]+Z,operator,client.registered,audited,,"\{""/)
  })

  it('are counted in the status of the server', async () => {
    const { clients } = await operator().json<{ clients: Client[] }>('/v1/clients', {
      query: { limit: 1000 },
    })

    expect(await operator().json('/v1/status')).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      clients: clients.length,
      devices: { active: expect.any(Number), retired: 0 },
      signingKeys: [{ kid: expect.any(String), alg: 'ES256' }],
      uptimeSec: expect.any(Number),
    })
    expect(JSON.stringify(await operator().json('/v1/status'))).not.toMatch(/private|sealed/i)
  })

  it('hear only of what they asked for on the feed', async () => {
    const credential = readCredentialFile(join(data.path, 'services/ingest.json'))
    const token = await tokenOf(credential)
    const hangUp = new AbortController()
    const feed = await fetch(`${provisioning.url}/v1/feed?types=revocation`, {
      headers: { authorization: `Bearer ${token}` },
      signal: hangUp.signal,
    })
    let text = ''
    const reading = (async () => {
      for await (const chunk of feed.body ?? []) text += Buffer.from(chunk).toString()
    })().catch(() => undefined) // hung up below
    await eventually(() => text.includes('event: snapshot'))

    await operator().json('/v1/lots/unheard', put({ name: 'Unheard', capacities: [] }))
    const { credentialId } = await register('heard')
    await operator().json(`/v1/clients/heard/credentials/${credentialId}`, del)

    await eventually(() => text.includes('event: revocation'))
    expect(text).not.toContain('event: lot')
    hangUp.abort()
    await reading
  })

  it('are admitted with tokens of the key before and the key after a rotation', async () => {
    const own = makeDataDir()
    const started = await startProvisioning(own.path, { LOTWATCH_PROVISIONING_KEY_PUBLISHED_BEFORE_SEC: '0' })
    const credential = readCredentialFile(join(own.path, 'operator.json'))
    const statusOf = async (token: string) =>
      (await fetch(`${started.url}/v1/lots`, { headers: { authorization: `Bearer ${token}` } })).status
    const kidOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid

    const before = await tokenOf(credential)
    expect(await statusOf(before)).toBe(200)
    await started.operator.json('/v1/keys/rotate', post({}))
    const after = await tokenOf(credential)

    expect(kidOf(after)).not.toBe(kidOf(before))
    expect([await statusOf(before), await statusOf(after)]).toEqual([200, 200])
    await started.program.stop()
    own.remove()
  })

  it('are refused with a token that an operator has voided, and admitted with another one', async () => {
    const credential = await register('voided')
    const [one, other] = [await tokenOf(credential), await tokenOf(credential)]
    expect(await statusWith(one)).toBe(200)

    await operator().json('/v1/tokens/revoke', post({ token: one }))

    expect([await statusWith(one), await statusWith(other)]).toEqual([401, 200])
  })

  it('who void a token of their own again and again leave one record of it', async () => {
    const credential = await register('thorough')
    const token = await tokenOf(credential)
    const { client_id, client_secret = '' } = credential
    const revoke = async () => {
      const body = new URLSearchParams({ client_id, client_secret, token })
      return (await fetch(`${provisioning.url}/oauth/revoke`, { method: 'POST', body })).status
    }

    expect([await revoke(), await revoke(), await revoke()]).toEqual([200, 200, 200])

    expect(await statusWith(token)).toBe(401)
    const { entries } = await operator().json<{ entries: { verb: string }[] }>('/v1/audit', {
      query: { actor: 'thorough' },
    })
    expect(entries).toMatchObject([{ verb: 'token.revoked' }])
  })

  it('whose identifier the secret was shown for get it again under the same key, also after a kill', async () => {
    const own = makeDataDir()
    const env = { LOTWATCH_PROVISIONING_PORT: String(await freePort()) }
    const first = await startProvisioning(own.path, env)
    const request = (oauthClientId: string, key: string) => ({
      ...post({ oauthClientId, kind: 'service' }),
      headers: { 'idempotency-key': key },
    })
    const before = await first.operator.json('/v1/clients', request('once', 'key-000001'))

    await first.program.kill()
    const second = await startProvisioning(own.path, env)

    expect(await second.operator.json('/v1/clients', request('once', 'key-000001'))).toEqual(before)
    await expect(second.operator.json('/v1/clients', request('twice', 'key-000001'))).rejects.toMatchObject({
      code: 'request.replay',
    })
    await expect(second.operator.json('/v1/clients', request('short', 'key'))).rejects.toMatchObject({
      code: 'request.invalid',
    })
    const { entries } = await second.operator.json<{ entries: unknown[] }>('/v1/audit', {
      query: { subject: 'once' },
    })
    expect(entries).toHaveLength(1)
    await second.program.stop()
    own.remove()
  })
})
