import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Client, IssuedCredential } from '../../../../core/contract/client.ts'
import { FleetError } from '../../../../core/contract/errors.ts'
import type { ClientDirectory, Issuer } from '../../../../provisioning/issuer/issuer.ts'
import { createOwnIssuer } from '../../../../provisioning/issuer/own.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

const ingest = 'urn:lotwatch:ingest'
const idempotency = { key: 'key-000001', requestHash: 'a' }

/** What a hosted issuer has, and what it was asked. */
function createDirectory() {
  const clients = new Map<string, Client>()
  const asked: string[] = []
  let isAway = false
  const ask = (what: string) => {
    if (isAway) throw new FleetError('provisioning.unavailable', 'the issuer is away')
    asked.push(what)
  }
  const directory: ClientDirectory = {
    async put(client) {
      ask(`put ${client.oauthClientId}`)
      clients.set(client.oauthClientId, client)
      return { issuerClientId: `hosted-${client.oauthClientId}` }
    },
    async removeCredential({ oauthClientId }, credentialId) {
      ask(`remove ${credentialId} of ${oauthClientId}`)
    },
    async endCredential({ oauthClientId }, credentialId) {
      ask(`end ${credentialId} of ${oauthClientId}`)
    },
    async remove({ oauthClientId }) {
      ask(`remove ${oauthClientId}`)
      clients.delete(oauthClientId)
    },
  }
  const goAway = () => {
    isAway = true
  }
  return { directory, clients, asked, goAway }
}

describe('with a hosted issuer', () => {
  let kit: RegistryKit
  let hosted: ReturnType<typeof createDirectory>
  const register = (by: object = {}) =>
    kit.registry.clients.register(
      { ...operator, ...by },
      { oauthClientId: 'a', kind: 'service', grants: [{ audience: ingest, scopes: ['read:readings'] }] },
    )

  beforeEach(async () => {
    hosted = createDirectory()
    kit = await openRegistry({ directory: hosted.directory })
  })
  afterEach(() => kit.close())

  it('a client is known there under a name of its own, which its file and the registry have', async () => {
    const { credential } = await register()

    expect(credential.client_id).toBe('hosted-a')
    expect((await kit.registry.clients.show('a')).client).toMatchObject({ issuerClientId: 'hosted-a' })
    expect(hosted.clients.get('a')?.grants).toEqual([{ audience: ingest, scopes: ['read:readings'] }])
  })

  it('so is a device, also one that gets its first credential later', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1' })
    await kit.registry.devices.register(operator, { deviceId: 'd2', credential: 'none' })
    expect(hosted.asked).toEqual(['put d1'])

    const owner = { of: 'device', oauthClientId: 'd2' } as const
    const { credential } = await kit.registry.credentials.issue(operator, owner, {})

    expect(credential).toMatchObject({ client_id: 'hosted-d2', deviceId: 'd2' })
    for (const id of ['d1', 'd2'])
      expect(await kit.repository.findClient(id)).toMatchObject({ issuerClientId: `hosted-${id}` })
  })

  it('a device believes our authority for the broker alone, as the issuer is on the internet', async () => {
    await kit.close()
    const own = createOwnIssuer({ issuerUrl: 'https://issuer.example/', hash: kit.hash, randomBytes })
    const issuedBy = {
      issuer: 'https://tenant.example/',
      tokenEndpoint: 'https://tenant.example/oauth/token',
      authMethod: 'client_secret_post',
    } as const
    const issueCredential: Issuer['issueCredential'] = async (...asked) => ({
      ...(await own.issueCredential(...asked)),
      issuedBy,
    })
    kit = await openRegistry({ issuer: { ...own, issueCredential }, ca: 'our authority' })

    const registered = await kit.registry.devices.register(operator, { deviceId: 'd1' })

    const { credential } = registered as IssuedCredential // one was not declined
    expect(credential).toMatchObject({ issuer: issuedBy.issuer, broker: { ca: 'our authority' } })
    expect(credential).not.toHaveProperty('ca')
  })

  it('a changed grant, a revoked credential and a retired client are told there', async () => {
    const { credential } = await register()
    hosted.asked.length = 0

    await kit.registry.clients.setGrant(operator, 'a', ingest, { scopes: [] })
    expect(hosted.clients.get('a')?.grants).toEqual([{ audience: ingest, scopes: [] }])
    const owner = { of: 'client', oauthClientId: 'a' } as const
    await kit.registry.credentials.revoke(operator, owner, credential.credentialId ?? '')
    await kit.registry.clients.retire(operator, 'a')

    expect(hosted.asked).toEqual(['put a', `remove ${credential.credentialId} of a`, 'remove a'])
  })

  it('a credential that nobody uses any more is told there', async () => {
    const { credential: first } = await register()
    kit.clock.nowMs++
    const owner = { of: 'client', oauthClientId: 'a' } as const
    const { credential: second } = await kit.registry.credentials.issue(operator, owner, {})
    await kit.repository.noteUse(new Map([[second.credentialId ?? '', kit.clock.nowMs]]))
    hosted.asked.length = 0

    await kit.registry.credentials.retireUnused(kit.clock.nowMs)

    expect(hosted.asked).toEqual([`remove ${first.credentialId} of a`])
  })

  it('what cannot be told there is not done here', async () => {
    await register()
    hosted.goAway()
    const away = { code: 'provisioning.unavailable' }

    await expect(kit.registry.clients.revokeGrant(operator, 'a', ingest)).rejects.toMatchObject(away)
    await expect(kit.registry.clients.retire(operator, 'a')).rejects.toMatchObject(away)
    await expect(kit.registry.devices.register(operator, { deviceId: 'd1' })).rejects.toMatchObject(away)

    expect(await kit.verbs()).toEqual(['client.registered'])
  })

  it('what cannot be done here is not told there', async () => {
    await register()
    hosted.asked.length = 0

    await expect(
      kit.registry.clients.setGrant(operator, 'a', ingest, { scopes: ['read:minds'] }),
    ).rejects.toMatchObject({ code: 'request.invalid' })
    await expect(
      kit.registry.clients.change({ ...operator, ifMatch: '"stale"' }, 'a', { name: 'B' }),
    ).rejects.toMatchObject({ code: 'request.precondition' })
    await expect(register()).rejects.toMatchObject({ code: 'request.conflict' })
    await expect(kit.registry.devices.register(operator, { deviceId: 'a' })).rejects.toMatchObject({
      code: 'request.conflict',
    })

    expect(hosted.asked).toEqual([])
  })

  it('what is asked again under the same key is not told again', async () => {
    const first = await register({ idempotency })
    hosted.goAway()

    expect(await register({ idempotency })).toEqual(first)
  })
})
