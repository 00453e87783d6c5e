import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialRecord } from '../../../../core/contract/client.ts'
import { unusedOf } from '../../../../provisioning/registry/credentials.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

const owner = { of: 'client', oauthClientId: 'gate' } as const
const keyPem = () => generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' })

describe('credentials', () => {
  let kit: RegistryKit
  /** Each call in a millisecond of its own: that is what credentials are in order of. */
  const credentials = () => {
    kit.clock.nowMs++
    return kit.registry.credentials
  }
  const records = () => kit.repository.credentialsOf('gate')
  const live = async () => (await kit.repository.findAccess('gate'))?.credentials ?? []
  const idOf = (one: { credential: { credentialId?: string } }) => one.credential.credentialId ?? ''
  const revocations = async () => (await kit.events()).filter((type) => type === 'revocation')
  let first: string

  beforeEach(async () => {
    kit = await openRegistry()
    first = idOf(await kit.registry.clients.register(operator, { oauthClientId: 'gate', kind: 'service' }))
  })
  afterEach(() => kit.close())

  it('overlap: another one leaves those there are', async () => {
    const secret = idOf(await credentials().issue(operator, owner, {}))
    const key = idOf(await credentials().issue(operator, owner, { publicKey: keyPem() }))

    expect((await live()).map((one) => [one.credentialId, one.of])).toEqual([
      [first, 'secret'],
      [secret, 'secret'],
      [key, 'key'],
    ])
    expect(await kit.verbs()).toEqual(['client.registered', 'credential.issued', 'credential.issued'])
  })

  it('end when they are told to', async () => {
    const expiresAtMs = kit.clock.nowMs + 1000

    await credentials().issue(operator, owner, { expiresAtMs })

    expect((await records()).map((one) => one.expiresAtMs)).toEqual([null, expiresAtMs])
    const past = kit.clock.nowMs
    await expect(credentials().issue(operator, owner, { expiresAtMs: past })).rejects.toMatchObject({
      code: 'request.invalid',
    })
  })

  it('are rotated with a grace, in which the old ones go on to work', async () => {
    const expiresAtMs = kit.clock.nowMs + 1000
    const short = idOf(await credentials().issue(operator, owner, { expiresAtMs }))

    const renewed = idOf(await credentials().rotate(operator, owner, { graceSec: 60 }))

    const ends = (await records()).map((one) => [one.credentialId, one.expiresAtMs, one.revokedAtMs])
    expect(ends).toEqual([
      [first, kit.clock.nowMs + 60_000, null],
      // Never longer than it had.
      [short, expiresAtMs, null],
      [renewed, null, null],
    ])
    expect(await revocations()).toEqual([])
    const [entry] = await kit.repository.auditEntries({ limit: 1 })
    expect(entry).toMatchObject({
      verb: 'credential.rotated',
      before: [first, short],
      after: { credentialId: renewed },
    })
  })

  it('are rotated without a grace: the old ones are void', async () => {
    const renewed = idOf(await credentials().rotate(operator, owner, { graceSec: 0 }))

    expect((await live()).map(({ credentialId }) => credentialId)).toEqual([renewed])
    expect(await revocations()).toHaveLength(1)
  })

  it('are revoked one by one, once', async () => {
    const second = idOf(await credentials().issue(operator, owner, {}))

    await credentials().revoke(operator, owner, first)
    await credentials().revoke(operator, owner, first)

    expect((await live()).map(({ credentialId }) => credentialId)).toEqual([second])
    expect(await revocations()).toHaveLength(1)
    expect((await kit.verbs()).filter((verb) => verb === 'credential.revoked')).toHaveLength(1)
  })

  it('of one client are not those of another, and not those of a device', async () => {
    await kit.registry.clients.register(operator, { oauthClientId: 'other', kind: 'service' })
    const notFound = { code: 'request.not_found' }

    await expect(
      credentials().revoke(operator, { of: 'client', oauthClientId: 'other' }, first),
    ).rejects.toMatchObject(notFound)
    await expect(
      credentials().issue(operator, { of: 'device', oauthClientId: 'gate' }, {}),
    ).rejects.toMatchObject(notFound)
  })

  it('that are keys belong to one client alone, until they are revoked', async () => {
    const publicKey = keyPem()
    const key = idOf(await credentials().issue(operator, owner, { publicKey }))
    const conflict = { code: 'request.conflict' }

    await expect(credentials().issue(operator, owner, { publicKey })).rejects.toMatchObject(conflict)
    await expect(
      kit.registry.clients.register(operator, { oauthClientId: 'thief', kind: 'service', publicKey }),
    ).rejects.toMatchObject(conflict)
    await credentials().revoke(operator, owner, key)

    await expect(credentials().issue(operator, owner, { publicKey })).resolves.toBeDefined()
  })

  it('are of the kind that their client may use', async () => {
    await kit.registry.clients.change(operator, 'gate', { authMethods: ['private_key_jwt'] })
    await expect(credentials().issue(operator, owner, {})).rejects.toMatchObject({ code: 'request.conflict' })

    await kit.registry.clients.change(operator, 'gate', { authMethods: ['client_secret_post'] })
    const { credential } = await credentials().issue(operator, owner, {})
    expect(credential.token_endpoint_auth_method).toBe('client_secret_post')
    await expect(credentials().issue(operator, owner, { publicKey: keyPem() })).rejects.toMatchObject({
      code: 'request.conflict',
    })
  })

  it('keep their secret out of everything that is remembered', async () => {
    const idempotency = { key: 'key-000001', requestHash: 'a' }
    const issued = [
      await credentials().issue({ ...operator, idempotency }, owner, {}),
      await credentials().rotate(operator, owner, { graceSec: 1 }),
    ]

    const remembered = JSON.stringify([
      await kit.repository.auditEntries({ limit: 100 }),
      await kit.repository.feedAfter(0, 100),
      await records(),
      await kit.registry.clients.show('gate'),
    ])
    for (const { credential } of issued) {
      expect(credential.client_secret).toMatch(/^lotsec_/)
      expect(remembered).not.toContain(credential.client_secret)
    }
  })

  it('that nobody has used since a moment are retired where a newer one is in use', async () => {
    const second = idOf(await credentials().issue(operator, owner, {}))
    const dayMs = 86_400_000
    kit.clock.nowMs += 100 * dayMs
    expect(await credentials().retireUnused(kit.clock.nowMs - 90 * dayMs)).toBe(0)
    await kit.repository.noteUse(new Map([[second, kit.clock.nowMs]]))

    expect(await credentials().retireUnused(kit.clock.nowMs - 90 * dayMs)).toBe(1)

    expect((await live()).map(({ credentialId }) => credentialId)).toEqual([second])
    const [entry] = await kit.repository.auditEntries({ limit: 1 })
    expect(entry).toMatchObject({
      actor: 'provisioning',
      verb: 'credential.retired',
      subject: 'gate',
      before: { credentialId: first },
    })
    expect(await credentials().retireUnused(kit.clock.nowMs - 90 * dayMs)).toBe(0)
  })

  it('are not retired for one that lives only for a while', async () => {
    const dayMs = 86_400_000
    const expiresAtMs = kit.clock.nowMs + 120 * dayMs
    const second = idOf(await credentials().issue(operator, owner, { expiresAtMs }))
    kit.clock.nowMs += 100 * dayMs
    await kit.repository.noteUse(new Map([[second, kit.clock.nowMs]]))

    expect(await kit.repository.credentialsUnusedSince(kit.clock.nowMs - 90 * dayMs, 10)).toEqual([])
    expect(await credentials().retireUnused(kit.clock.nowMs - 90 * dayMs)).toBe(0)
  })
})

describe('a credential that has done its service', () => {
  const record = (credentialId: string, more: Partial<CredentialRecord> = {}): CredentialRecord => ({
    credentialId,
    oauthClientId: 'gate',
    of: 'secret',
    createdAtMs: 0,
    lastUsedAtMs: null,
    expiresAtMs: null,
    revokedAtMs: null,
    ...more,
  })
  const unused = (...credentials: CredentialRecord[]) =>
    unusedOf(credentials, 100, 1000).map(({ credentialId }) => credentialId)
  const inUse = record('new', { createdAtMs: 50, lastUsedAtMs: 900 })

  it('has a newer one in use, and was not used for long', () => {
    expect(unused(record('old'), inUse)).toEqual(['old'])
    expect(unused(record('old', { lastUsedAtMs: 99 }), inUse)).toEqual(['old'])
    expect(unused(record('old', { lastUsedAtMs: 100 }), inUse)).toEqual([])
  })

  it('is not the newest, whoever else is used', () => {
    expect(unused({ ...inUse, credentialId: 'old' }, record('new', { createdAtMs: 60 }))).toEqual([])
  })

  it('is not one whose successor nobody has used, or was revoked', () => {
    expect(unused(record('old'), record('new'))).toEqual([])
    expect(unused(record('old'), { ...inUse, revokedAtMs: 950 })).toEqual([])
  })

  it('is not one that works for longer than its successor', () => {
    expect(unused(record('old'), { ...inUse, expiresAtMs: 1000 })).toEqual([])
    expect(unused(record('old'), { ...inUse, expiresAtMs: 5000 })).toEqual([])
    expect(unused(record('old', { expiresAtMs: 4000 }), { ...inUse, expiresAtMs: 5000 })).toEqual(['old'])
  })

  it('is not one that has ended already', () => {
    expect(unused(record('old', { revokedAtMs: 5 }), inUse)).toEqual([])
    expect(unused(record('old', { expiresAtMs: 1000 }), inUse)).toEqual([])
  })
})
