import { describe, expect, it } from 'vitest'
import { type Claims, dialects, principalOf } from '../../../../core/auth/issuers.ts'

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
  const others: Claims = { ...unnamed, azp: 'client-9' }

  it.each(['auth0', 'keycloak'] as const)('name the client in azp: %s', (name) => {
    expect(principalOf(others, dialects[name]).oauthClientId).toBe('client-9')
  })

  it('may lack a token id; subject and moment then stand for it', () => {
    const { jti: __, ...withoutId } = others
    expect(principalOf(withoutId, dialects.auth0).tokenId).toBe('gate-1@1763906700')
  })

  it('do not count under the name our own issuer uses', () => {
    expect(() => principalOf(ours, dialects.auth0)).toThrow(claimsError)
  })
})
