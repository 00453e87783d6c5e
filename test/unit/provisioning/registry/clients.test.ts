import { generateKeyPairSync } from 'node:crypto'
import { Value } from 'typebox/value'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientRequest } from '../../../../core/contract/client.ts'
import { CredentialFile } from '../../../../core/contract/credential.ts'
import { etagOf } from '../../../../provisioning/registry/changes.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

const ingest = 'urn:lotwatch:ingest'
const analyst: ClientRequest = {
  oauthClientId: 'analyst',
  kind: 'service',
  grants: [{ audience: ingest, scopes: ['read:readings', 'query:sql'] }],
}

describe('clients', () => {
  let kit: RegistryKit
  const clients = () => kit.registry.clients
  const show = async (id = 'analyst') => (await clients().show(id)).client
  /** What the feed says is void, since a position. */
  const voided = async () =>
    ((await kit.repository.feedAfter(0, 1000)) ?? [])
      .filter(({ type }) => type === 'revocation')
      .map(({ data }) => JSON.parse(data))

  beforeEach(async () => {
    kit = await openRegistry()
  })
  afterEach(() => kit.close())

  it('are registered with a credential that says all it needs, and nothing of a device', async () => {
    const { credential } = await clients().register(operator, analyst)

    expect(Value.Check(CredentialFile, credential)).toBe(true)
    expect(credential).toMatchObject({
      issuer: 'https://issuer.example/',
      token_endpoint: 'https://issuer.example/oauth/token',
      client_id: 'analyst',
      token_endpoint_auth_method: 'client_secret_basic',
    })
    expect(credential).not.toHaveProperty('deviceId')
    expect(await show()).toEqual({
      oauthClientId: 'analyst',
      name: 'analyst',
      kind: 'service',
      grants: analyst.grants,
      grantTypes: ['client_credentials'],
      authMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      metadata: {},
    })
    expect(await kit.verbs()).toEqual(['client.registered'])
  })

  it('with a public key get a file without a secret', async () => {
    const publicKey = generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' })

    const { credential } = await clients().register(operator, { ...analyst, publicKey })

    expect(credential.token_endpoint_auth_method).toBe('private_key_jwt')
    expect(credential).not.toHaveProperty('client_secret')
    expect((await clients().show('analyst')).credentials).toMatchObject([
      { of: 'key', thumbprint: expect.stringMatching(/^[\w-]{43}$/) },
    ])
  })

  it('are refused an identifier that another client has', async () => {
    await clients().register(operator, analyst)

    await expect(clients().register(operator, analyst)).rejects.toMatchObject({ code: 'request.conflict' })
    expect(await kit.verbs()).toEqual(['client.registered'])
  })

  it('are refused grants that do not exist, each by name', async () => {
    const grants = [{ audience: ingest, scopes: ['read:minds', 'read:dreams'] }]

    await expect(clients().register(operator, { ...analyst, grants })).rejects.toMatchObject({
      code: 'request.invalid',
      safeDetail: expect.stringMatching(/read:minds.*read:dreams/),
    })
  })

  it('are refused more lots than a token carries', async () => {
    const lots = Array.from({ length: 300 }, (_, i) => `lot-number-${i}`)

    await expect(clients().register(operator, { ...analyst, lots })).rejects.toMatchObject({
      code: 'request.invalid',
    })
  })

  it('that are limited to a lot for the first time lose their tokens', async () => {
    await clients().register(operator, analyst)

    await clients().change(operator, 'analyst', { lots: ['north'] })

    expect(await voided()).toMatchObject([{ of: 'client', oauthClientId: 'analyst' }])
  })

  it('are changed member by member, and null takes away', async () => {
    await clients().register(operator, { ...analyst, lots: ['north'], quota: { perHour: 5 } })

    await clients().change(operator, 'analyst', { name: 'Ann', metadata: { team: 'a' }, quota: null })

    const { quota, ...rest } = await show()
    expect(quota).toBeUndefined()
    expect(rest).toMatchObject({ name: 'Ann', metadata: { team: 'a' }, lots: ['north'] })
    expect(await voided()).toEqual([])
    expect(await kit.verbs()).toEqual(['client.registered', 'client.changed'])
  })

  it('that are told what they are stay without an audit entry', async () => {
    await clients().register(operator, analyst)

    await clients().change(operator, 'analyst', { name: 'analyst' })

    expect(await kit.verbs()).toEqual(['client.registered'])
  })

  it('lose their tokens with a scope, and keep them when they get one more', async () => {
    await clients().register(operator, analyst)

    await clients().setGrant(operator, 'analyst', 'urn:lotwatch:broker', { scopes: ['read:connections'] })
    expect(await voided()).toEqual([])
    await clients().setGrant(operator, 'analyst', ingest, { scopes: ['read:readings'] })

    expect(await voided()).toMatchObject([{ of: 'client', oauthClientId: 'analyst' }])
    expect((await show()).grants).toEqual([
      { audience: 'urn:lotwatch:broker', scopes: ['read:connections'] },
      { audience: ingest, scopes: ['read:readings'] },
    ])
    expect(await kit.verbs()).toEqual(['client.registered', 'grant.set', 'grant.set'])
  })

  it('lose their tokens with a grant, and have no grant twice to lose', async () => {
    await clients().register(operator, analyst)

    await clients().revokeGrant(operator, 'analyst', ingest)

    expect((await show()).grants).toEqual([])
    expect(await voided()).toHaveLength(1)
    await expect(clients().revokeGrant(operator, 'analyst', ingest)).rejects.toMatchObject({
      code: 'request.not_found',
    })
  })

  it('for which the grant type is switched off lose their tokens', async () => {
    await clients().register(operator, analyst)

    await clients().change(operator, 'analyst', { grantTypes: [] })

    expect(await voided()).toHaveLength(1)
  })

  it('are retired for good: nothing is left but what the audit log says', async () => {
    await clients().register(operator, analyst)

    await clients().retire(operator, 'analyst')

    expect(await voided()).toMatchObject([{ of: 'client', oauthClientId: 'analyst' }])
    expect(await kit.repository.findAccess('analyst')).toBeUndefined()
    await expect(clients().show('analyst')).rejects.toMatchObject({ code: 'request.not_found' })
    const [last] = await kit.repository.auditEntries({ limit: 1 })
    expect(last).toMatchObject({ verb: 'client.retired', subject: 'analyst', before: { name: 'analyst' } })
  })

  it('of Lotwatch itself are not retired', async () => {
    await clients().register(operator, { ...analyst, oauthClientId: 'broker' })

    await expect(clients().retire(operator, 'broker')).rejects.toMatchObject({ code: 'request.conflict' })
  })

  it('are changed only from the state that the caller saw', async () => {
    await clients().register(operator, analyst)
    const seen = etagOf(await show())
    await clients().change({ ...operator, ifMatch: seen }, 'analyst', { name: 'First' })

    await expect(
      clients().change({ ...operator, ifMatch: seen }, 'analyst', { name: 'Second' }),
    ).rejects.toMatchObject({ code: 'request.precondition' })
    expect((await show()).name).toBe('First')
  })

  it('that were registered before under the same key get the same answer, and are not registered again', async () => {
    const idempotency = { key: 'key-000001', requestHash: 'a' }

    const first = await clients().register({ ...operator, idempotency }, analyst)
    const again = await clients().register({ ...operator, idempotency }, analyst)

    expect(again).toEqual(first)
    expect(await kit.verbs()).toEqual(['client.registered'])
    await expect(
      clients().register({ ...operator, idempotency: { ...idempotency, requestHash: 'b' } }, analyst),
    ).rejects.toMatchObject({ code: 'request.replay' })
  })

  it('that are registered many times at once under one key are registered once', async () => {
    const idempotency = { key: 'key-000001', requestHash: 'a' }

    const answers = await Promise.all(
      Array.from({ length: 8 }, () => clients().register({ ...operator, idempotency }, analyst)),
    )

    expect(new Set(answers.map(({ credential }) => credential.client_secret)).size).toBe(1)
    expect(await kit.verbs()).toEqual(['client.registered'])
    expect((await clients().show('analyst')).credentials).toHaveLength(1)
  })

  it('that ask under the key of somebody else get nothing of theirs', async () => {
    const idempotency = { key: 'key-000001', requestHash: 'a' }
    await clients().register({ ...operator, idempotency }, analyst)

    await expect(clients().register({ actor: 'other', idempotency }, analyst)).rejects.toMatchObject({
      code: 'request.conflict',
    })
  })

  it('of a new version get its grants, and keep those for other audiences', async () => {
    const { apis } = kit.registry
    await apis.set(operator, 'urn:x', { name: 'X', scopes: [{ scope: 'a', description: '' }] })
    await clients().register(operator, { ...analyst, oauthClientId: 'ingest' })
    await clients().setGrant(operator, 'ingest', 'urn:x', { scopes: ['a'] })

    const client = { ...(await show('ingest')), grants: [{ audience: ingest, scopes: ['read:readings'] }] }
    await clients().ensure(client)
    await clients().ensure(client)

    expect((await show('ingest')).grants).toEqual([
      { audience: ingest, scopes: ['read:readings'] },
      { audience: 'urn:x', scopes: ['a'] },
    ])
    expect((await kit.verbs()).filter((verb) => verb === 'client.changed')).toHaveLength(1)
  })
})
