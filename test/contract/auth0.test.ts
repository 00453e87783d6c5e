import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenSource } from '../../core/auth/token-source.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import { createAuth0Issuer } from '../../provisioning/issuer/auth0.ts'
import { createManagement } from '../../provisioning/issuer/auth0-management.ts'
import { createOwnIssuer } from '../../provisioning/issuer/own.ts'
import { createSecretHasher } from '../../provisioning/oauth/secret.ts'
import { parseClientKey } from '../../provisioning/public-key.ts'
import { deviceClient } from '../../provisioning/registry/devices.ts'
import { type Auth0StandIn, startAuth0 } from '../kit/auth0-stand-in.ts'
import { openRegistry, operator, type RegistryKit } from '../unit/provisioning/kit.ts'

const nowMs = 1_763_906_700_000
let tenant: Auth0StandIn
/** What was waited for, without waiting. */
let waits: number[]
let clockMs: number

beforeEach(async () => {
  tenant = await startAuth0()
  waits = []
  clockMs = 0
})
afterEach(() => tenant.stop())

function issuerOf(change: { clientSecret?: string } = {}) {
  const hash = createSecretHasher(randomBytes(32))
  const management = createManagement({
    url: tenant.url,
    ...tenant.management,
    ...change,
    fetch: createFetch(),
    now: () => nowMs,
    nowMs: () => clockMs,
    random: () => 0.5,
    async wait(ms) {
      waits.push(ms)
      clockMs += ms
    },
  })
  const own = createOwnIssuer({ issuerUrl: 'https://issuer.example/', hash, randomBytes })
  return createAuth0Issuer({ own, url: tenant.url, management, hash, randomBytes })
}
const directoryOf = (issuer = issuerOf()) => {
  if (issuer.directory === undefined) throw new Error('no directory')
  return issuer.directory
}
const device = deviceClient('gate-1', 'Gate <1>')
const callsOf = (begin: string) => tenant.calls.filter((call) => call.startsWith(begin)).length
const scopesAt = (audience: string) =>
  [...tenant.grants.values()].find((grant) => grant.audience === audience)?.scope

describe('a device in Auth0', () => {
  it('is an application with its grant, and is made once however often it is put', async () => {
    const directory = directoryOf()
    const first = await directory.put(device)
    const again = await directory.put(device)
    const known = await directory.put({ ...device, ...first })

    expect([again, known]).toEqual([first, first])
    expect(tenant.of('gate-1')).toMatchObject({
      client_id: first.issuerClientId,
      name: 'Gate  1 ',
      grant_types: ['client_credentials'],
    })
    expect(scopesAt(audiences.broker)).toEqual(['publish:readings', 'receive:commands'])
    expect([callsOf('POST /clients'), callsOf('POST /client-grants')]).toEqual([1, 1])
    expect(tenant.managementTokens).toBe(1)
  })

  it('has the grants it is to have, and loses others', async () => {
    const directory = directoryOf()
    const named = { ...device, ...(await directory.put(device)) }
    await directory.put({ ...named, grants: [{ audience: audiences.broker, scopes: ['publish:readings'] }] })
    expect(scopesAt(audiences.broker)).toEqual(['publish:readings'])
    await directory.put({ ...named, grants: [] })
    expect(tenant.grants.size).toBe(0)
  })

  it('is made anew when somebody has removed it there', async () => {
    const directory = directoryOf()
    const { issuerClientId } = await directory.put(device)
    tenant.applications.clear()
    const next = await directory.put({
      ...device,
      ...(issuerClientId === undefined ? {} : { issuerClientId }),
    })
    expect(next.issuerClientId).not.toBe(issuerClientId)
    expect(tenant.of('gate-1').client_id).toBe(next.issuerClientId)
  })

  it('is found among many, and not made twice, when nobody knows whether it was made', async () => {
    const directory = directoryOf()
    for (let i = 0; i < 120; i++)
      tenant.applications.set(`other-${i}`, {
        client_id: `other-${i}`,
        name: 'Gate 1',
        client_secret: '',
        grant_types: [],
        token_endpoint_auth_method: 'client_secret_post',
        client_authentication_methods: null,
        client_metadata: { device_id: `other-${i}` },
        credentials: [],
      })
    tenant.faults.push({ on: 'POST /clients', times: 1, status: undefined, isDone: true })
    await expect(directory.put(device)).rejects.toMatchObject({ code: 'issuer.unavailable' })
    const { issuerClientId } = await directory.put(device)
    expect(tenant.of('gate-1').client_id).toBe(issuerClientId)
    expect(callsOf('GET /clients')).toBe(2)
  })

  it('is made as it should be where Auth0 says that it exists', async () => {
    const directory = directoryOf()
    const { issuerClientId = '' } = await directory.put(device)
    for (const grant of tenant.grants.values()) grant.scope = ['publish:readings']
    tenant.faults.push(
      { on: 'POST /clients', times: 1, status: 409 },
      { on: 'POST /client-grants', times: 1, status: 409, isDone: true },
    )
    expect(await directoryOf().put(device)).toEqual({ issuerClientId })
    expect(scopesAt(audiences.broker)).toEqual(['publish:readings', 'receive:commands'])
  })

  it('is gone with its grants when it is removed, which may be asked again', async () => {
    const directory = directoryOf()
    const named = { ...device, ...(await directory.put(device)) }
    await directory.remove(named)
    await directory.remove(named)
    expect([tenant.applications.size, tenant.grants.size]).toEqual([0, 0])
  })

  it('is the only kind of client that is told there', async () => {
    const issuer = issuerOf()
    const service = { ...device, kind: 'service', oauthClientId: 'reporter' } as const
    expect(await directoryOf(issuer).put(service)).toEqual({})
    const issued = await issuer.issueCredential(service, { expiresAtMs: null })
    expect(issued.issuedBy).toBeUndefined()
    expect(tenant.calls).toEqual([])
  })
})

describe('an Auth0 that is busy or away', () => {
  it.each([
    ['says when to come back', { 'retry-after': '3' }, 3000],
    ['says at which moment', { 'x-ratelimit-reset': String(nowMs / 1000 + 2) }, 2000],
  ])('is waited for when it %s', async (_what, headers, waitMs) => {
    tenant.faults.push({ on: 'POST /clients', times: 1, status: 429, headers })
    await directoryOf().put(device)
    expect(waits).toEqual([waitMs])
    expect(tenant.of('gate-1')).toBeDefined()
  })

  it('is not waited for beyond the deadline', async () => {
    tenant.faults.push({ on: 'POST /clients', times: 1, status: 429, headers: { 'retry-after': '60' } })
    await expect(directoryOf().put(device)).rejects.toMatchObject({
      code: 'issuer.unavailable',
      safeDetail: expect.stringContaining('creating the application'),
    })
    expect(waits).toEqual([])
  })

  it.each([[503], [undefined]])(
    'is asked again, with growing pauses, after a failure (%s)',
    async (status) => {
      tenant.faults.push({ on: 'GET /client-grants', times: 3, status })
      await directoryOf().put(device)
      expect(waits).toEqual([100, 200, 400])
    },
  )

  it('is given up at the deadline', async () => {
    tenant.faults.push({ on: 'GET /client-grants', times: 1000, status: 500 })
    await expect(directoryOf().put(device)).rejects.toMatchObject({
      code: 'issuer.unavailable',
      safeDetail: expect.stringContaining('reading the grants'),
    })
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(4000)
  })

  it('is asked for a new token once when it has forgotten the old one', async () => {
    const directory = directoryOf()
    const named = { ...device, ...(await directory.put(device)) }
    tenant.forgetTokens()
    await directory.put(named)
    expect(tenant.managementTokens).toBe(2)
  })

  it('that refuses is the operator’s to set right, with the step and without a secret', async () => {
    tenant.faults.push({ on: 'POST /client-grants', times: 1, status: 403 })
    const failure = {
      code: 'issuer.refused',
      safeDetail: expect.stringMatching(/granting .*: 403 injected$/),
    }
    await expect(directoryOf().put(device)).rejects.toMatchObject(failure)
    const clientSecret = 'a-wrong-one'
    const error = await directoryOf(issuerOf({ clientSecret }))
      .put(device)
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'issuer.refused' })
    expect(JSON.stringify([error, String((error as Error).stack)])).not.toContain(clientSecret)
  })
})

describe('credentials of devices at Auth0', () => {
  let kit: RegistryKit
  const owner = { of: 'device', oauthClientId: 'gate-1' } as const
  const tokenWith = (credential: CredentialFile, privateKey?: JWK) =>
    createTokenSource({
      credential: {
        ...credential,
        ...(privateKey === undefined
          ? {}
          : { private_key_jwk: privateKey as CredentialFile['private_key_jwk'] }), // made below
      } as CredentialFile,
      audience: audiences.broker,
      fetch: createFetch(),
      nowMs: () => performance.now(),
      random: Math.random,
    })
      .get()
      .then(({ token }) => token)
  const works = (credential: CredentialFile, privateKey?: JWK) =>
    tokenWith(credential, privateKey).then(
      () => true,
      () => false,
    )
  async function rsaKey() {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
    return {
      privateKey: { ...(await exportJWK(privateKey)), alg: 'RS256' },
      publicKey: await exportJWK(publicKey),
    }
  }
  async function register(): Promise<CredentialFile> {
    const answer = await kit.registry.devices.register(operator, { deviceId: 'gate-1' })
    if (!('credential' in answer)) throw new Error('no credential')
    return answer.credential
  }
  const states = async () =>
    (await kit.registry.devices.show('gate-1')).credentials.map(({ of, revokedAtMs }) => [
      of,
      revokedAtMs === null,
    ])

  beforeEach(async () => {
    kit = await openRegistry({ issuer: issuerOf() })
  })
  afterEach(() => kit.close())

  it('point at the tenant, and get tokens there and nowhere else', async () => {
    const credential = await register()
    expect(credential).toMatchObject({
      issuer: `${tenant.url}/`,
      token_endpoint: `${tenant.url}/oauth/token`,
      client_id: tenant.of('gate-1').client_id,
      token_endpoint_auth_method: 'client_secret_post',
      client_secret: expect.stringMatching(/^lotsec_/),
      deviceId: 'gate-1',
    })
    expect(await works(credential)).toBe(true)
    const [held] = (await kit.repository.findAccess('gate-1'))?.credentials ?? []
    if (held?.of !== 'secret') throw new Error('no secret')
    expect(Buffer.from(held.digest)).not.toEqual(Buffer.from(kit.hash(credential.client_secret ?? '')))
  })

  it('are one secret at a time: a rotation ends the other at once, here too', async () => {
    const first = await register()
    kit.clock.nowMs++
    const { credential: second } = await kit.registry.credentials.rotate(operator, owner, { graceSec: 3600 })
    expect([await works(first), await works(second)]).toEqual([false, true])
    expect(await states()).toEqual([
      ['secret', false],
      ['secret', true],
    ])
    expect((await kit.events()).filter((type) => type === 'revocation')).toHaveLength(2)
  })

  it('overlap as keys, of which the older ends after the grace', async () => {
    await register()
    kit.clock.nowMs++
    const [one, two] = [await rsaKey(), await rsaKey()]
    const first = (await kit.registry.credentials.issue(operator, owner, { publicKey: one.publicKey }))
      .credential
    expect(first.token_endpoint_auth_method).toBe('private_key_jwt')
    kit.clock.nowMs = Date.now()
    const second = (
      await kit.registry.credentials.rotate(operator, owner, { publicKey: two.publicKey, graceSec: 3600 })
    ).credential

    expect([await works(first, one.privateKey), await works(second, two.privateKey)]).toEqual([true, true])
    expect(tenant.of('gate-1').credentials.map((one) => [one.id, one.expires_at])).toEqual([
      [first.credentialId, new Date(kit.clock.nowMs + 3_600_000).toISOString()],
      [second.credentialId, undefined],
    ])
    expect(await states()).toEqual([
      ['secret', false],
      ['key', true],
      ['key', true],
    ])

    await kit.registry.credentials.revoke(operator, owner, first.credentialId ?? '')
    expect([await works(first, one.privateKey), await works(second, two.privateKey)]).toEqual([false, true])
    await kit.registry.credentials.revoke(operator, owner, second.credentialId ?? '')
    expect(await works(second, two.privateKey)).toBe(false)
    expect(tenant.of('gate-1').credentials).toEqual([])
  })

  it('that were handed in before are not added again', async () => {
    const issuer = issuerOf()
    const named = { ...device, ...(await directoryOf(issuer).put(device)) }
    const publicKey = await parseClientKey((await rsaKey()).publicKey)
    const first = await issuer.issueCredential(named, { publicKey, expiresAtMs: null })
    const again = await issuer.issueCredential(named, { publicKey, expiresAtMs: null })
    expect(again.stored.credentialId).toBe(first.stored.credentialId)
    expect(tenant.of('gate-1').credentials).toHaveLength(1)
  })

  it('that are revoked get no token, an older one leaves the newer alone, and the feed says it at once', async () => {
    const first = await register()
    const { credential: second } = await kit.registry.credentials.issue(operator, owner, {})
    await kit.registry.credentials.revoke(operator, owner, first.credentialId ?? '')
    expect(await works(second)).toBe(true)
    tenant.faults.push({ on: 'GET /clients', times: 1, status: 403 })
    const before = (await kit.events()).length
    const revoke = () => kit.registry.credentials.revoke(operator, owner, second.credentialId ?? '')
    await expect(revoke()).rejects.toMatchObject({ code: 'issuer.refused' })
    expect((await kit.events()).slice(before)).toEqual(['revocation', 'revocation'])
    expect(await works(second)).toBe(true)
    await revoke()
    expect(await works(second)).toBe(false)
  })

  it('are of no use while the device is suspended, and none is made by which it would be', async () => {
    const credential = await register()
    const before = (await kit.events()).length
    await kit.registry.devices.move(operator, 'gate-1', 'suspend')
    expect((await kit.events()).slice(before)).toEqual(['device', 'revocation', 'revocation'])
    expect(await works(credential)).toBe(false)
    const { credential: next } = await kit.registry.credentials.issue(operator, owner, {})
    expect(await works(next)).toBe(false)
    await kit.registry.devices.move(operator, 'gate-1', 'resume')
    expect(await works(next)).toBe(true)
  })

  it('go with the device, also when Auth0 hears of it later than everybody else', async () => {
    const credential = await register()
    tenant.faults.push({ on: 'DELETE /clients', times: 1, status: 403 })
    const retire = () => kit.registry.devices.move(operator, 'gate-1', 'retire')
    await expect(retire()).rejects.toMatchObject({ code: 'issuer.refused' })
    expect((await kit.registry.devices.show('gate-1')).state).toBe('retired')
    expect(await works(credential)).toBe(true)
    await retire()
    expect(await works(credential)).toBe(false)
    expect(tenant.applications.size).toBe(0)
  })

  it('that Auth0 cannot have are refused before anything is made there', async () => {
    const { publicKey } = await generateKeyPair('ES256', { extractable: true })
    await kit.registry.devices.register(operator, { deviceId: 'gate-1', credential: 'none' })
    const wanted = [{ publicKey: await exportJWK(publicKey) }, { expiresAtMs: kit.clock.nowMs + 1000 }]
    for (const one of wanted)
      await expect(kit.registry.credentials.issue(operator, owner, one)).rejects.toMatchObject({
        code: 'request.invalid',
      })
    expect(tenant.calls).toEqual([])
  })
})
