/**
 * Client secrets: 256 random bits with a prefix and a checksum that scanners and our log redaction know.
 * Kept as HMAC-SHA-256 under a pepper that is not in the database: with so much chance in the secret, a slow hash
 * would add nothing, and a stolen database alone verifies nothing.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { StoredSecret } from '../repository/repository.ts'

export type SecretHasher = (secret: string) => Uint8Array

/**
 * @param random 32 bytes
 * @param prefix what it is: `lotsec` a client secret, `lotenr` an enrolment key
 */
export function makeSecret(random: Uint8Array, prefix: 'lotsec' | 'lotenr' = 'lotsec'): string {
  const body = `${prefix}_${Buffer.from(random).toString('base64url')}`
  return `${body}_${crc32(body).toString(16).padStart(8, '0')}`
}

export function createSecretHasher(pepper: Uint8Array): SecretHasher {
  return (secret) => createHmac('sha256', pepper).update(secret).digest()
}

/**
 * For what stays in memory and is asked for all the time: a third of the work of the keyed hash, under chance that no
 * other process knows and no file holds.
 * @param salt of this process alone, always of one length
 */
export function createMemoryHasher(salt: Uint8Array): SecretHasher {
  const prefix = Buffer.from(salt).toString('base64url')
  return (secret) => hash('sha256', prefix + secret, 'buffer')
}

/** Never equals a digest that was stored: no secret hashes to it but by breaking SHA-256. */
const nobody: StoredSecret = { of: 'secret', credentialId: '', digest: new Uint8Array(32), expiresAtMs: null }

/**
 * The credential that a secret belongs to. With no candidates the same comparison is made with nobody's,
 * so that an unknown client and a wrong secret cost the same.
 */
export function findCredential(
  candidates: readonly StoredSecret[],
  presented: Uint8Array,
): StoredSecret | undefined {
  const [first = nobody, ...others] = candidates
  let found: StoredSecret | undefined
  for (const candidate of [first, ...others])
    if (timingSafeEqual(candidate.digest, presented)) found = candidate
  return found === nobody ? undefined : found
}
