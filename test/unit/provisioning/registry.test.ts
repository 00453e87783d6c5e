import { Value } from 'typebox/value'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CredentialFile } from '../../../core/contract/credential.ts'
import type { DeviceRequest } from '../../../core/contract/registry.ts'
import { openRegistry, operator, type RegistryKit } from './kit.ts'

describe('the registry', () => {
  let kit: RegistryKit
  const verbs = () => kit.verbs()
  const events = () => kit.events()
  const device = { of: 'device', oauthClientId: 'd1' } as const
  /** Registered with a secret. */
  const issued = async (request: DeviceRequest) => {
    const answer = await kit.registry.devices.register(operator, request)
    if (!('credential' in answer)) throw new Error('no credential')
    return answer
  }

  beforeEach(async () => {
    kit = await openRegistry()
    await kit.registry.lots.set(operator, 'north', { name: 'North', capacities: [] })
  })
  afterEach(() => kit.close())

  it('registers a device with its lot, its grant and a credential that says all it needs', async () => {
    const { credential } = await issued({ deviceId: 'd1', lotId: 'north' })

    expect(Value.Check(CredentialFile, credential)).toBe(true)
    expect(credential).toMatchObject({
      issuer: 'https://issuer.example/',
      token_endpoint: 'https://issuer.example/oauth/token',
      client_id: 'd1',
      deviceId: 'd1',
      broker: { url: 'mqtts://broker.example:8883', audience: 'urn:lotwatch:broker', renewal: 'in_band' },
    })
    expect(await kit.registry.devices.show('d1')).toMatchObject({
      deviceId: 'd1',
      name: 'd1',
      state: 'enrolled',
      credentials: [{ credentialId: credential.credentialId, revokedAtMs: null }],
      assignments: [{ lotId: 'north', fromMs: kit.clock.nowMs, toMs: null }],
    })
    expect(await verbs()).toEqual(['lot.set', 'device.registered'])
    expect(await events()).toEqual(['lot', 'device', 'assignment'])
  })

  it('assigns a device from the past when asked to', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1', lotId: 'north', assignedFromMs: 5 })

    expect((await kit.registry.devices.show('d1')).assignments).toEqual([
      { deviceId: 'd1', lotId: 'north', fromMs: 5, toMs: null },
    ])
  })

  it('keeps the secret out of everything it remembers', async () => {
    const { credential } = await issued({ deviceId: 'd1' })
    const { credential: second } = await kit.registry.credentials.issue(operator, device, {})

    const remembered = JSON.stringify([
      await kit.repository.auditEntries({ limit: 100 }),
      await kit.repository.feedAfter(0, 100),
      await kit.registry.devices.show('d1'),
    ])
    for (const secret of [credential.client_secret, second.client_secret]) {
      expect(secret).toMatch(/^lotsec_/)
      expect(remembered).not.toContain(secret)
    }
  })

  it('refuses an identifier that a device or a client has', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1' })

    await expect(kit.registry.devices.register(operator, { deviceId: 'd1' })).rejects.toMatchObject({
      code: 'request.conflict',
    })
    await expect(
      kit.registry.clients.register(operator, { oauthClientId: 'd1', kind: 'service', grants: [] }),
    ).rejects.toMatchObject({ code: 'request.conflict' })
  })

  it('refuses a lot nobody has registered', async () => {
    await expect(
      kit.registry.devices.register(operator, { deviceId: 'd1', lotId: 'south' }),
    ).rejects.toMatchObject({ code: 'request.invalid' })
    await kit.registry.devices.register(operator, { deviceId: 'd2' })
    await expect(
      kit.registry.devices.assign(operator, 'd2', { lotId: 'south', fromMs: 0 }),
    ).rejects.toMatchObject({ code: 'request.invalid' })
    expect(await verbs()).toEqual(['lot.set', 'device.registered'])
  })

  it('finds no device that is a client, and no client that is a device', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1' })
    await kit.registry.clients.register(operator, { oauthClientId: 'analyst', kind: 'service', grants: [] })

    const notFound = { code: 'request.not_found' }
    await expect(
      kit.registry.credentials.issue(operator, { of: 'client', oauthClientId: 'd1' }, {}),
    ).rejects.toMatchObject(notFound)
    await expect(
      kit.registry.credentials.issue(operator, { of: 'device', oauthClientId: 'analyst' }, {}),
    ).rejects.toMatchObject(notFound)
    await expect(kit.registry.devices.move(operator, 'analyst', 'suspend')).rejects.toMatchObject(notFound)
  })

  it('refuses grants that do not exist, and names each', async () => {
    const grants = [{ audience: 'urn:lotwatch:ingest', scopes: ['read:minds', 'read:dreams'] }]

    await expect(
      kit.registry.clients.register(operator, { oauthClientId: 'a', kind: 'service', grants }),
    ).rejects.toMatchObject({
      code: 'request.invalid',
      safeDetail: expect.stringMatching(/read:minds.*read:dreams/),
    })
  })

  it('moves a device and leaves its history right', async () => {
    await kit.registry.lots.set(operator, 'south', { name: 'South', capacities: [] })
    await kit.registry.devices.register(operator, { deviceId: 'd1', lotId: 'north', assignedFromMs: 10 })

    const assigned = await kit.registry.devices.assign(operator, 'd1', { lotId: 'south', fromMs: 20 })

    expect(assigned).toEqual({ deviceId: 'd1', lotId: 'south', fromMs: 20, toMs: null })
    expect((await kit.registry.devices.show('d1')).assignments).toEqual([
      { deviceId: 'd1', lotId: 'north', fromMs: 10, toMs: 20 },
      assigned,
    ])
  })

  it('voids all tokens of a device that is suspended, and none when it comes back', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1' })
    const suspended = await kit.registry.devices.move(operator, 'd1', 'suspend')
    const resumed = await kit.registry.devices.move(operator, 'd1', 'resume')

    expect([suspended.state, resumed.state]).toEqual(['suspended', 'enrolled'])
    expect((await events()).toSorted()).toEqual(['device', 'device', 'device', 'lot', 'revocation'])
    expect(await verbs()).toEqual(['lot.set', 'device.registered', 'device.suspended', 'device.resumed'])
  })

  it('does nothing twice: a device that is suspended already stays as it is', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1' })
    await kit.registry.devices.move(operator, 'd1', 'suspend')
    const before = await events()

    await kit.registry.devices.move(operator, 'd1', 'suspend')

    expect(await events()).toEqual(before)
  })

  it('retires a device for good: out of its lot, without a way back', async () => {
    await kit.registry.devices.register(operator, { deviceId: 'd1', lotId: 'north', assignedFromMs: 10 })
    await kit.registry.devices.move(operator, 'd1', 'retire')

    expect(await kit.registry.devices.show('d1')).toMatchObject({
      state: 'retired',
      assignments: [{ fromMs: 10, toMs: kit.clock.nowMs }],
    })
    const conflict = { code: 'request.conflict' }
    await expect(kit.registry.devices.move(operator, 'd1', 'resume')).rejects.toMatchObject(conflict)
    await expect(kit.registry.credentials.issue(operator, device, {})).rejects.toMatchObject(conflict)
    await expect(
      kit.registry.devices.assign(operator, 'd1', { lotId: 'north', fromMs: 50 }),
    ).rejects.toMatchObject(conflict)
  })

  it('revokes one credential of several, once', async () => {
    const { credential: first } = await issued({ deviceId: 'd1' })
    const { credential: second } = await kit.registry.credentials.issue(operator, device, {})
    const { credentialId = '' } = first

    await kit.registry.credentials.revoke(operator, device, credentialId)
    await kit.registry.credentials.revoke(operator, device, credentialId)

    const access = await kit.repository.findAccess('d1')
    expect(access?.credentials.map((one) => one.credentialId)).toEqual([second.credentialId])
    expect((await events()).filter((type) => type === 'revocation')).toHaveLength(1)
  })

  it("revokes no other client's credential", async () => {
    const { credential } = await issued({ deviceId: 'd1' })
    await kit.registry.devices.register(operator, { deviceId: 'd2' })

    await expect(
      kit.registry.credentials.revoke(
        operator,
        { of: 'device', oauthClientId: 'd2' },
        credential.credentialId ?? '',
      ),
    ).rejects.toMatchObject({ code: 'request.not_found' })
  })

  it('keeps the capacities of a lot in order of their dates', async () => {
    const capacities = [
      { fromMs: 20, capacity: 2 },
      { fromMs: 10, capacity: 1 },
    ]

    const lot = await kit.registry.lots.set(operator, 'south', { name: 'South', capacities })

    expect(lot.capacities.map(({ fromMs }) => fromMs)).toEqual([10, 20])
  })

  it('refuses a lot in a time zone nobody knows', async () => {
    const lot = { name: 'South', zone: 'Mars/X', capacities: [] }
    await expect(kit.registry.lots.set(operator, 'south', lot)).rejects.toMatchObject({
      code: 'request.invalid',
      safeDetail: expect.stringContaining('Mars/X'),
    })
    expect(await kit.repository.lots()).toHaveLength(1)
  })

  it('writes nothing for a lot that is set to what it is', async () => {
    await kit.registry.lots.set(operator, 'north', { name: 'North', capacities: [] })

    expect(await verbs()).toEqual(['lot.set'])
  })
})
