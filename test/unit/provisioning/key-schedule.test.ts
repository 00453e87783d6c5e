import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  expiredKeys,
  hasSuccessor,
  publishedKeys,
  signingKeyOf,
  successionOf,
} from '../../../provisioning/oauth/key-schedule.ts'
import type { StoredSigningKey } from '../../../provisioning/repository/repository.ts'

const times = { publishedBeforeMs: 100, tokenLifeMaxMs: 1000 }
const key = (kid: string, nowMs: number) => ({
  kid,
  alg: 'ES256' as const,
  publicKey: '{}',
  sealedPrivateKey: '',
  createdAtMs: nowMs,
})

/** Rotations at some moments, as the program makes them. */
function rotated(moments: readonly number[]): StoredSigningKey[] {
  let keys: StoredSigningKey[] = []
  for (const [i, nowMs] of moments.entries()) {
    if (hasSuccessor(keys, 'ES256', nowMs)) continue
    const changed = successionOf(keys, key(`k${i}`, nowMs), nowMs, times)
    const kids = new Set(changed.map(({ kid }) => kid))
    keys = [...keys.filter(({ kid }) => !kids.has(kid)), ...changed]
  }
  return keys
}

const moments = fc
  .array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 8 })
  .map((some) => some.toSorted((a, b) => a - b))

describe('signing keys in time', () => {
  it('the first signs at once', () => {
    expect(signingKeyOf(rotated([5]), 'ES256', 5)?.kid).toBe('k0')
    expect(signingKeyOf(rotated([5]), 'RS256', 5)).toBeUndefined()
  })

  it('at every moment from the first on one signs, and it is published', () => {
    fc.assert(
      fc.property(moments, fc.nat(5000), (some, later) => {
        const keys = rotated(some)
        const nowMs = (some[0] ?? 0) + later
        const signing = signingKeyOf(keys, 'ES256', nowMs)

        expect(signing).toBeDefined()
        expect(publishedKeys(keys, nowMs)).toContain(signing)
      }),
    )
  })

  it('a later one was published for a while before it signs, whatever happened before', () => {
    fc.assert(
      fc.property(moments, (some) => {
        for (const { kid, createdAtMs, signsFromMs } of rotated(some).filter(({ kid }) => kid !== 'k0'))
          expect([kid, signsFromMs - createdAtMs]).toEqual([kid, times.publishedBeforeMs])
      }),
    )
  })

  it('whatever signed a token is published for as long as the token lives', () => {
    fc.assert(
      fc.property(moments, fc.nat(4000), fc.nat(times.tokenLifeMaxMs - 1), (some, offset, age) => {
        const keys = rotated(some)
        const issuedAtMs = (some[0] ?? 0) + offset
        const signer = signingKeyOf(keys, 'ES256', issuedAtMs)

        expect(publishedKeys(keys, issuedAtMs + age)).toContain(signer)
        expect(expiredKeys(keys, issuedAtMs + age)).not.toContain(signer)
      }),
    )
  })
})
