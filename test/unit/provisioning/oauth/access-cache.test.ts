import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialFile } from '../../../../core/contract/credential.ts'
import { createOwnIssuer } from '../../../../provisioning/issuer/own.ts'
import { createAccessCache } from '../../../../provisioning/oauth/access-cache.ts'
import { type Authenticator, createAuthenticator } from '../../../../provisioning/oauth/authenticator.ts'
import { brokerOf, createRegistry, type Registry } from '../../../../provisioning/registry.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

const audience = 'urn:lotwatch:broker'
let kit: RegistryKit
let registry: Registry
let authenticator: Authenticator
let cache: ReturnType<typeof createAccessCache>
let queries: number
/** Runs while access is being read, before it is answered. */
let meanwhile: () => Promise<unknown>

beforeEach(async () => {
  kit = await openRegistry()
  queries = 0
  meanwhile = async () => {}
  cache = createAccessCache(kit.repository, 3)
  const now = () => kit.clock.nowMs
  registry = createRegistry({
    repository: cache.repository,
    issuer: createOwnIssuer({ issuerUrl: 'https://issuer.example/', hash: kit.hash, randomBytes }),
    pepper: randomBytes(32),
    hash: kit.hash,
    randomBytes,
    now,
    broker: brokerOf('mqtts://broker.example:8883'),
    ca: undefined,
    builtInClients: new Set(),
  })
  const repository = {
    ...cache.repository,
    async findAccess(id: string) {
      queries++
      const access = await cache.repository.findAccess(id)
      await meanwhile()
      return access
    },
  }
  authenticator = cache.remembering(
    createAuthenticator({ repository, hash: kit.hash, audiences: ['https://issuer.example/'], now }),
    kit.hash,
    now,
  )
})
afterEach(() => kit.close())

async function newService(oauthClientId: string): Promise<CredentialFile> {
  const grants = [{ audience, scopes: ['publish:readings'] }]
  return (await registry.clients.register(operator, { oauthClientId, kind: 'service', grants })).credential
}

const present = ({ client_id, client_secret }: CredentialFile, secret = client_secret) =>
  authenticator.authenticate({
    method: 'client_secret_basic',
    oauthClientId: client_id,
    clientSecret: secret ?? '',
  })

describe('what is remembered of clients', () => {
  it('answers who authenticated before without a query, with the same', async () => {
    const credential = await newService('billing')
    const first = await present(credential)
    expect(await present(credential)).toEqual(first)
    expect(queries).toBe(1)
  })

  it('never answers who fails: unknown, remembered and not remembered cost one query each', async () => {
    const remembered = await newService('billing')
    const another = await newService('reports')
    await present(remembered)
    queries = 0
    for (const credential of [remembered, another, { ...another, client_id: 'nobody' }])
      await expect(present(credential, 'lotsec_wrong')).rejects.toMatchObject({ error: 'invalid_client' })
    expect(queries).toBe(3)
  })

  const changes: readonly [string, (credential: CredentialFile) => Promise<unknown>][] = [
    [
      'its credential is revoked',
      ({ credentialId }) =>
        registry.credentials.revoke(operator, { of: 'client', oauthClientId: 'billing' }, credentialId ?? ''),
    ],
    ['the client is retired', () => registry.clients.retire(operator, 'billing')],
    [
      'its way to authenticate is switched off',
      () => registry.clients.change(operator, 'billing', { authMethods: ['private_key_jwt'] }),
    ],
  ]
  it.each(changes)('is forgotten when %s', async (_name, change) => {
    const credential = await newService('billing')
    await present(credential)
    await change(credential)
    await expect(present(credential)).rejects.toMatchObject({ error: 'invalid_client' })
  })

  it('is of the newest state after a change, and only what was changed is forgotten', async () => {
    const credential = await newService('billing')
    const other = await newService('reports')
    await present(credential)
    await present(other)
    await registry.clients.change(operator, 'billing', { name: 'Billing of the city' })
    queries = 0
    expect((await present(credential)).access.client.name).toBe('Billing of the city')
    await present(other)
    expect(queries).toBe(1)
  })

  it('is not kept when a change came while it was read', async () => {
    const credential = await newService('billing')
    meanwhile = () => registry.clients.change(operator, 'billing', { name: 'newer' })
    expect((await present(credential)).access.client.name).toBe('billing')
    meanwhile = async () => {}
    expect((await present(credential)).access.client.name).toBe('newer')
  })

  it('is no longer good when the credential has expired', async () => {
    await newService('billing')
    const owner = { of: 'client', oauthClientId: 'billing' } as const
    const expiresAtMs = kit.clock.nowMs + 1000
    const { credential } = await registry.credentials.issue(operator, owner, { expiresAtMs })
    await present(credential)
    kit.clock.nowMs = expiresAtMs
    await expect(present(credential)).rejects.toMatchObject({ error: 'invalid_client' })
  })

  it('is bounded', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await present(await newService(name))
    expect(cache.clients).toBe(3)
  })

  it('knows APIs as they are now', async () => {
    const name = 'Tickets'
    await registry.apis.set(operator, 'urn:tickets', { name, scopes: [], tokenLifeSec: 60 })
    expect((await cache.repository.findApi('urn:tickets'))?.tokenLifeSec).toBe(60)
    await registry.apis.set(operator, 'urn:tickets', { name, scopes: [], tokenLifeSec: 90 })
    expect((await cache.repository.findApi('urn:tickets'))?.tokenLifeSec).toBe(90)
  })
})
