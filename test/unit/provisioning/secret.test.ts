import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientSecretPattern } from '../../../core/contract/credential.ts'
import { createSecretHasher, findCredential, makeSecret } from '../../../provisioning/oauth/secret.ts'

const pepper = new Uint8Array(32).fill(1)
const hash = createSecretHasher(pepper)

describe('a client secret', () => {
  it('has the shape that scanners and log redaction know, whatever its bits', () => {
    const shape = new RegExp(clientSecretPattern)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(makeSecret(bytes)).toMatch(shape)
      }),
    )
  })

  it('ends in the CRC-32 of what stands before it', () => {
    // Computed with Python's zlib.crc32 over the text up to the last underscore.
    expect(makeSecret(new Uint8Array(32))).toBe('lotsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_9e62193b')
  })

  it('carries all of its random bits', () => {
    const bytes = randomBytes(32)

    const body = makeSecret(bytes).slice('lotsec_'.length, -9)

    expect(Buffer.from(body, 'base64url').equals(bytes)).toBe(true)
  })
})

describe('the stored form of a secret', () => {
  it('depends on the pepper', () => {
    const other = createSecretHasher(new Uint8Array(32).fill(2))

    expect(Buffer.from(hash('s')).equals(Buffer.from(other('s')))).toBe(false)
  })

  it('leads back to the credential it belongs to, among several', () => {
    const candidates = ['first', 'second', 'third'].map((secret) => ({
      of: 'secret' as const,
      credentialId: secret,
      digest: hash(secret),
      expiresAtMs: null,
    }))

    expect(findCredential(candidates, hash('first'))?.credentialId).toBe('first')
    expect(findCredential(candidates, hash('third'))?.credentialId).toBe('third')
  })

  it('leads nowhere for another secret, and nowhere when there is no credential', () => {
    expect(
      findCredential([{ of: 'secret', credentialId: 'a', digest: hash('a'), expiresAtMs: null }], hash('b')),
    ).toBeUndefined()
    expect(findCredential([], hash('a'))).toBeUndefined()
  })

  it('leads nowhere for the digest that stands in for nobody', () => {
    expect(findCredential([], new Uint8Array(32))).toBeUndefined()
  })
})
