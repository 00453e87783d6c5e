import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/contract/principal.ts'
import { isRevoked } from '../../../provisioning/access.ts'
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
