import { describe, expect, it } from 'vitest'
import { type Claims, dialectOf, dialects, principalOf } from '../../../../core/auth/issuers.ts'

const ours: Claims = {
  iss: 'https://issuer.example',
  sub: 'gate-1',
  aud: 'urn:lotwatch:broker',
  client_id: 'gate-1',
  scope: 'publish:readings receive:commands',
  iat: 1_763_906_700,
  exp: 1_763_910_300,
  jti: 'jti-1',
}
const claimsError = expect.objectContaining({ code: 'token.claims' })
const principal = (change: Record<string, unknown>) => principalOf({ ...ours, ...change }, dialects.rfc9068)

describe('the claims of our own issuer', () => {
  it('say who it is and what it may do', () => {
    const acl = [{ permission: 'deny', action: 'all', topic: '#' }]
    expect(principal({ device_id: 'gate-1', cred: 'cred_1', acl, lots: ['Bull-Ring'] })).toEqual({
      issuer: 'https://issuer.example',
      subject: 'gate-1',
      oauthClientId: 'gate-1',
      tokenId: 'jti-1',
      issuedAtSec: 1_763_906_700,
      expiresAtSec: 1_763_910_300,
      scopes: new Set(['publish:readings', 'receive:commands']),
      deviceId: 'gate-1',
      credentialId: 'cred_1',
      acl,
      lots: new Set(['Bull-Ring']),
    })
  })

  it('leave open what they do not say', () => {
    expect(principal({ scope: undefined })).toMatchObject({
      scopes: new Set(),
      deviceId: undefined,
      credentialId: undefined,
      acl: undefined,
      lots: undefined,
    })
  })

  it('distinguish no lots from no limit', () => {
    expect(principal({ lots: [] }).lots).toEqual(new Set())
  })

  it('take scopes apart at spaces only', () => {
    expect(principal({ scope: ' a  b\tc a ' }).scopes).toEqual(new Set(['a', 'b\tc']))
  })

  it.each([
    ['client_id', ['', 7, null, undefined, 'c'.repeat(257)]],
    ['sub', ['', 7, undefined]],
    ['jti', ['', 7, {}, 'j'.repeat(257)]],
    ['iat', ['1763906700', null, undefined]],
    ['exp', ['1763906700', null, undefined]],
    ['scope', [['publish:readings'], 7, null]],
    ['device_id', ['gate 1', '', null, 7, '+', 'gate-1/readings']],
    ['cred', ['', 7, null, 'cred/1', 'crèd', 'c'.repeat(65)]],
    ['lots', ['Bull-Ring', [7], ['Bull Ring'], null, {}]],
    [
      'acl',
      [
        'allow all',
        {},
        null,
        [{ permission: 'allow', action: 'all' }],
        [{ permission: 'allow', action: 'all', topic: '#', extra: 1 }],
        [{ permission: 'allow', action: 'read', topic: '#' }],
        Array.from({ length: 65 }, () => ({ permission: 'deny', action: 'all', topic: '#' })),
      ],
    ],
  ])('are refused when %s is not what it should be', (claim, values) => {
    for (const value of values)
      expect(() => principal({ [claim]: value }), JSON.stringify(value)).toThrow(claimsError)
  })
})

describe('the claims of other issuers', () => {
  const { client_id: _, ...unnamed } = ours
  const others: Claims = { ...unnamed, azp: 'client-9', typ: 'Bearer' }

  it.each(['auth0', 'keycloak', 'entra', 'custom'] as const)('name the client in azp: %s', (name) => {
    expect(principalOf(others, dialectOf(name)).oauthClientId).toBe('client-9')
  })

  it('of Keycloak, for a service account with a mapper for the device', () => {
    // As Keycloak's client credentials grant answers, with a hardcoded-claim mapper.
    const claims: Claims = {
      exp: 1_763_907_000,
      iat: 1_763_906_700,
      jti: 'trrtcc:5c2c1b1e-5b0e-4f43-9a4e-0b7e0f3f7a55',
      iss: 'https://sso.example/realms/lots',
      aud: ['urn:lotwatch:broker', 'account'],
      sub: 'f5b2b7a0-6b3a-4a0f-8f7e-5d1f5d0f4c11',
      typ: 'Bearer',
      azp: 'lot-gate-1',
      acr: '1',
      realm_access: { roles: ['offline_access'] },
      resource_access: { 'urn:lotwatch:broker': { roles: ['publish:readings'] } },
      scope: 'email profile',
      clientHost: '10.0.0.7',
      preferred_username: 'service-account-lot-gate-1',
      device_id: 'gate-1',
    }
    expect(principalOf(claims, dialectOf('keycloak'))).toMatchObject({
      oauthClientId: 'lot-gate-1',
      deviceId: 'gate-1',
      scopes: new Set(['email', 'profile']),
    })
    const byRoles = dialectOf('keycloak', {
      deviceClaim: 'azp',
      scopeClaim: '/resource_access/urn:lotwatch:broker/roles',
    })
    expect(principalOf(claims, byRoles)).toMatchObject({
      deviceId: 'lot-gate-1',
      scopes: new Set(['publish:readings']),
    })
    for (const typ of ['ID', 'Refresh', undefined])
      expect(() => principalOf({ ...claims, typ }, dialectOf('keycloak'))).toThrow(claimsError)
  })

  it.each([
    ['1.0', 'appid', 'https://sts.windows.net/8f3c1b1e-0000-4000-8000-000000000001/'],
    ['2.0', 'azp', 'https://login.microsoftonline.com/8f3c1b1e-0000-4000-8000-000000000001/v2.0'],
  ])('of Entra, version %s, for an application with roles', (ver, clientClaim, iss) => {
    const application = '6e74172b-be56-4843-9ff4-e66a39bb12e3'
    const claims: Claims = {
      aud: 'api://lotwatch-broker',
      iss,
      iat: 1_763_906_700,
      nbf: 1_763_906_700,
      exp: 1_763_910_600,
      [clientClaim]: application,
      idtyp: 'app',
      oid: '1f2e3d4c-0000-4000-8000-000000000002',
      sub: '1f2e3d4c-0000-4000-8000-000000000002',
      roles: ['publish:readings', 'receive:commands'],
      scp: 'manage:connections',
      tid: '8f3c1b1e-0000-4000-8000-000000000001',
      uti: 'aVeryShortId',
      ver,
    }
    expect(principalOf(claims, dialectOf('entra', { deviceClaim: clientClaim }))).toMatchObject({
      oauthClientId: application,
      deviceId: application,
      tokenId: 'aVeryShortId',
      scopes: new Set(['publish:readings', 'receive:commands']),
    })
  })

  it('are looked for where the row says, by name or by pointer', () => {
    const namespaced = 'https://lots.example/device_id'
    const claims: Claims = { ...others, [namespaced]: 'gate-1', 'a/b': { '~': ['x', 'gate-2'] }, id: 'me' }
    const at = (deviceClaim: string) => principalOf(claims, dialectOf('auth0', { deviceClaim })).deviceId
    expect(at(namespaced)).toBe('gate-1')
    expect(at('/a~1b/~0/1')).toBe('gate-2')
    expect(at('/a~1b/nothing/1')).toBeUndefined()
    expect(at('constructor')).toBeUndefined()
    expect(at('/a~1b/constructor')).toBeUndefined()
    expect(principalOf(claims, dialectOf('custom', { clientClaim: 'id' })).oauthClientId).toBe('me')
  })

  it('are refused when the place of the client or of the scopes holds something else', () => {
    const entra = (change: Claims) => () => principalOf({ ...others, ...change }, dialects.entra)
    for (const change of [{ azp: 7 }, { azp: undefined }, { roles: [7] }, { roles: {} }, { uti: 7 }])
      expect(entra(change), JSON.stringify(change)).toThrow(claimsError)
  })

  it('may lack a token id; subject and moment then stand for it', () => {
    const { jti: __, ...withoutId } = others
    expect(principalOf(withoutId, dialects.auth0).tokenId).toBe('gate-1@1763906700')
  })

  it('do not count under the name our own issuer uses', () => {
    expect(() => principalOf(ours, dialects.auth0)).toThrow(claimsError)
  })
})
