import type { FastifyRequest } from 'fastify'
import { describe, expect, it } from 'vitest'
import { FleetError } from '../../../core/contract/errors.ts'
import type { Principal } from '../../../core/contract/principal.ts'
import { createAccess, isRevoked } from '../../../provisioning/access.ts'
import type { ClientAccess } from '../../../provisioning/repository/repository.ts'

const principal: Principal = {
  issuer: 'i',
  subject: 'operator',
  oauthClientId: 'operator',
  tokenId: 't',
  issuedAtSec: 100,
  expiresAtSec: 200,
  scopes: new Set(),
  deviceId: undefined,
  credentialId: 'cred_1',
  acl: undefined,
  lots: undefined,
}
const access: ClientAccess = {
  client: {
    oauthClientId: 'operator',
    name: 'Operator',
    kind: 'command-line',
    grantTypes: ['client_credentials'],
    authMethods: ['client_secret_basic'],
    grants: [],
    metadata: {},
  },
  deviceState: undefined,
  board: undefined,
  revokedAtMs: undefined,
  credentials: [{ of: 'secret', credentialId: 'cred_1', digest: new Uint8Array(32), expiresAtMs: null }],
}

describe('a token that is good in itself', () => {
  it('is honoured while its client and credential are', () => {
    expect(isRevoked(principal, access)).toBe(false)
  })

  it('is void when its client is gone', () => {
    expect(isRevoked(principal, undefined)).toBe(true)
  })

  it('is void when its credential was revoked, and when it names none', () => {
    expect(isRevoked(principal, { ...access, credentials: [] })).toBe(true)
    expect(isRevoked({ ...principal, credentialId: undefined }, access)).toBe(true)
  })

  it('is void when its device is not active', () => {
    expect(isRevoked(principal, { ...access, deviceState: 'suspended' })).toBe(true)
    expect(isRevoked(principal, { ...access, deviceState: 'active' })).toBe(false)
  })

  it('is void when it was issued up to the second in which its client was revoked', () => {
    expect(isRevoked(principal, { ...access, revokedAtMs: 100_999 })).toBe(true)
    expect(isRevoked(principal, { ...access, revokedAtMs: 99_999 })).toBe(false)
  })
})

describe('the door', () => {
  const request = { headers: { authorization: 'Bearer a.b.c' } } as FastifyRequest // all it looks at

  function open(options: { failures?: FleetError[]; tokenRevokedAtMs?: number } = {}) {
    const failures = [...(options.failures ?? [])]
    const asked: string[] = []
    const door = createAccess({
      verifier: {
        async verify() {
          asked.push('verify')
          const failure = failures.shift()
          if (failure !== undefined) throw failure
          return { ...principal, scopes: new Set(['read:audit']) }
        },
        async preload() {},
        async refresh() {
          asked.push('refresh')
        },
        keys: () => [],
      },
      repository: {
        findAccess: async () => access,
        findTokenRevocation: async () => options.tokenRevokedAtMs,
      },
      now: () => 150_000,
    })
    return { door, asked }
  }

  it('lets in who has the scope, and anybody where none is needed', async () => {
    const { door } = open()

    await expect(door.admit(request, 'read:audit')).resolves.toMatchObject({ oauthClientId: 'operator' })
    await expect(door.admit(request, undefined)).resolves.toMatchObject({ oauthClientId: 'operator' })
    await expect(door.admit(request, 'read:feed')).rejects.toMatchObject({ code: 'token.scope' })
  })

  it('looks for a new key when nobody knows the signature, once', async () => {
    const unknown = () => new FleetError('token.signature', 'unknown key')

    const made = open({ failures: [unknown()] })
    await expect(made.door.admit(request, 'read:audit')).resolves.toBeDefined()
    expect(made.asked).toEqual(['verify', 'refresh', 'verify'])

    const forged = open({ failures: [unknown(), unknown()] })
    await expect(forged.door.admit(request, 'read:audit')).rejects.toMatchObject({ code: 'token.signature' })
  })

  it('asks nobody again about a token that is wrong in any other way', async () => {
    const { door, asked } = open({ failures: [new FleetError('token.expired', 'expired')] })

    await expect(door.admit(request, 'read:audit')).rejects.toMatchObject({ code: 'token.expired' })
    expect(asked).toEqual(['verify'])
  })

  it('is closed to a token that was revoked by itself, at the next look too', async () => {
    const { door } = open({ tokenRevokedAtMs: 149_000 })

    await expect(door.admit(request, undefined)).rejects.toMatchObject({ code: 'token.revoked' })
    expect(await door.isStillAdmitted(principal)).toBe(false)
    expect(await open().door.isStillAdmitted(principal)).toBe(true)
  })

  it('is closed to a token that has ended meanwhile', async () => {
    expect(await open().door.isStillAdmitted({ ...principal, expiresAtSec: 150 })).toBe(false)
  })
})
