import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Revocations } from '../../../../core/auth/revocations.ts'
import type { Revocation } from '../../../../core/contract/feed.ts'

const atMs = 1_763_906_700_500
const atSec = 1_763_906_700
const holder = { credentialId: 'cred_1', tokenId: 'jti-1', oauthClientId: 'gate-1', issuedAtSec: atSec }
const dayMs = 24 * 3600_000

function revocationsOf(...list: Revocation[]): Revocations {
  const revocations = new Revocations()
  for (const revocation of list) revocations.apply(revocation)
  return revocations
}

describe('a revocation', () => {
  it('of a credential voids every token it got, and no other', () => {
    const revocations = revocationsOf({ of: 'credential', credentialId: 'cred_1', atMs })
    expect(revocations.isRevoked({ ...holder, tokenId: 'jti-2', issuedAtSec: atSec + 60 })).toBe(true)
    expect(revocations.isRevoked({ ...holder, credentialId: 'cred_2' })).toBe(false)
    expect(revocations.isRevoked({ ...holder, credentialId: undefined })).toBe(false)
  })

  it('of a token voids that token only', () => {
    const revocations = revocationsOf({ of: 'token', tokenId: 'jti-1', atMs })
    expect(revocations.isRevoked(holder)).toBe(true)
    expect(revocations.isRevoked({ ...holder, tokenId: 'jti-2' })).toBe(false)
  })

  it('of a client voids what it got until that second, and nothing later', () => {
    const revocations = revocationsOf({ of: 'client', oauthClientId: 'gate-1', atMs })
    expect(revocations.isRevoked({ ...holder, issuedAtSec: atSec - 60 })).toBe(true)
    expect(revocations.isRevoked({ ...holder, issuedAtSec: atSec })).toBe(true)
    expect(revocations.isRevoked({ ...holder, issuedAtSec: atSec + 1 })).toBe(false)
    expect(revocations.isRevoked({ ...holder, oauthClientId: 'gate-2' })).toBe(false)
  })

  it('of a client is not taken back by an earlier one that arrives later', () => {
    const later: Revocation = { of: 'client', oauthClientId: 'gate-1', atMs }
    const revocations = revocationsOf(later, { ...later, atMs: atMs - 60_000 })
    expect(revocations.isRevoked(holder)).toBe(true)
  })

  it('does not mistake one kind of name for another', () => {
    const revocations = revocationsOf({ of: 'token', tokenId: 'cred_1', atMs })
    expect(revocations.isRevoked(holder)).toBe(false)
  })
})

describe('all that is known of revocations', () => {
  it('is replaced by a snapshot', () => {
    const revocations = revocationsOf({ of: 'credential', credentialId: 'cred_1', atMs })
    revocations.replace([{ of: 'credential', credentialId: 'cred_2', atMs }])
    expect(revocations.isRevoked(holder)).toBe(false)
    expect(revocations.isRevoked({ ...holder, credentialId: 'cred_2' })).toBe(true)
  })

  it('is kept as long as a token it concerns can live, and then forgotten', () => {
    const kinds: Revocation[] = [
      { of: 'credential', credentialId: 'cred_1', atMs },
      { of: 'token', tokenId: 'jti-1', atMs },
      { of: 'client', oauthClientId: 'gate-1', atMs },
    ]
    for (const revocation of kinds) {
      const revocations = revocationsOf(revocation)
      revocations.sweep(atMs + dayMs + 30_000)
      expect(revocations.isRevoked(holder), revocation.of).toBe(true)
      revocations.sweep(atMs + dayMs + 61_000)
      expect(revocations.isRevoked(holder), revocation.of).toBe(false)
    }
  })

  it('is the same in whatever order it arrives', () => {
    const names = fc.constantFrom('a', 'b')
    const moments = fc.integer({ min: atMs - 3000, max: atMs + 3000 })
    const some = fc.oneof(
      fc.record({ of: fc.constant('credential' as const), credentialId: names, atMs: moments }),
      fc.record({ of: fc.constant('token' as const), tokenId: names, atMs: moments }),
      fc.record({ of: fc.constant('client' as const), oauthClientId: names, atMs: moments }),
    )
    const holders = fc.record({
      credentialId: fc.option(names, { nil: undefined }),
      tokenId: names,
      oauthClientId: names,
      issuedAtSec: fc.integer({ min: atSec - 4, max: atSec + 4 }),
    })
    fc.assert(
      fc.property(fc.array(some, { maxLength: 6 }), holders, (list, who) => {
        const expected = revocationsOf(...list).isRevoked(who)
        expect(revocationsOf(...list.toReversed()).isRevoked(who)).toBe(expected)
      }),
    )
  })
})
