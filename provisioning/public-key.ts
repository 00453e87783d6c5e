/**
 * Public keys of clients as they arrive, JWK (RFC 7517) or PEM (SPKI), and what is kept of them. Which of them a
 * token request was signed with is `oauth/`'s to find out.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { FleetError } from '../core/contract/errors.ts'

export interface ClientKey {
  /** RFC 7517: only the public members, `alg` and `kid` when they were given. */
  readonly jwk: Readonly<Record<string, unknown>>
  /** RFC 7638, SHA-256. */
  readonly thumbprint: string
}

/** What an algorithm says of its key: P-256, Ed25519, or RSA of 2048 bits and more. */
const algsOf = { EC: ['ES256'], OKP: ['EdDSA', 'Ed25519'], RSA: ['RS256', 'PS256'] } as const

const rsaBitsMin = 2048
const rsaBitsMax = 8192
const textCharsMax = 8192

/** RFC 7518 §6: members that only a private key, or a shared one, has. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

/** @throws FleetError `request.invalid` for private keys, and keys of a kind or size that is not accepted here */
export async function parseClientKey(value: unknown): Promise<ClientKey> {
  const given = typeof value === 'string' ? undefined : membersOf(value)
  const key = given === undefined ? keyOfPem(value as string) : keyOfJwk(given)
  refuseWeak(key)
  const { kty, crv, n, e, x, y } = key.export({ format: 'jwk' }) as JWK
  const bare = kty === 'RSA' ? { kty, n, e } : kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x }
  const { alg, kid } = given ?? {}
  if (alg !== undefined && !(algsOf[kty as keyof typeof algsOf] as readonly unknown[]).includes(alg))
    throw unusable(`alg does not fit a key of type ${kty}`)
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > 256))
    throw unusable('kid is no short text')
  return {
    jwk: { ...bare, ...(alg === undefined ? {} : { alg }), ...(kid === undefined ? {} : { kid }) },
    thumbprint: await calculateJwkThumbprint(bare as JWK, 'sha256'),
  }
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unusable('neither a JWK nor PEM text')
  const found = privateMembers.filter((member) => Object.hasOwn(value, member))
  if (found.length > 0) throw unusable('it is a private key: make a new one, and send its public half only')
  return value as Readonly<Record<string, unknown>>
}

function keyOfPem(text: string): KeyObject {
  if (text.length > textCharsMax) throw unusable('longer than any key')
  // createPublicKey would take a private one as well, and give its public half: it was shown to the network by then.
  if (/PRIVATE KEY/.test(text))
    throw unusable('it is a private key: make a new one, and send its public half only')
  if (!/^\s*-----BEGIN PUBLIC KEY-----/.test(text)) throw unusable('no PEM of a public key (SPKI)')
  return read(() => createPublicKey({ key: text, format: 'pem', type: 'spki' }))
}

function keyOfJwk({ kty, crv, x, y, n, e }: Readonly<Record<string, unknown>>): KeyObject {
  const members = kty === 'RSA' ? { kty, n, e } : kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x }
  return read(() => createPublicKey({ key: members as JWK, format: 'jwk' }))
}

function read(make: () => KeyObject): KeyObject {
  try {
    return make()
  } catch (cause) {
    throw unusable('it cannot be read', cause)
  }
}

function refuseWeak({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): void {
  const bits = details?.modulusLength ?? 0
  const fits =
    (type === 'ec' && details?.namedCurve === 'prime256v1') || // P-256 in OpenSSL's words
    type === 'ed25519' ||
    (type === 'rsa' && bits >= rsaBitsMin && bits <= rsaBitsMax)
  if (!fits) throw unusable('P-256, Ed25519 and RSA of 2048 to 8192 bits are accepted')
}

function unusable(why: string, cause?: unknown): FleetError {
  const safeDetail = `publicKey: ${why}`
  return new FleetError('request.invalid', safeDetail, { safeDetail, cause })
}
