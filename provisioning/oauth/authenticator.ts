/**
 * Whether a client is who it says it is: its secret is one of those whose hash is kept, or its assertion is signed with
 * one of its keys (RFC 7523 §3). Every failure looks alike from outside and costs alike; why is for the record.
 */
import { createHash } from 'node:crypto'
import { type CryptoKey, decodeProtectedHeader, importJWK, type JWK, jwtVerify } from 'jose'
import type { AuthMethod } from '../../core/contract/client.ts'
import { mayAuthenticate } from '../device.ts'
import type {
  ClientAccess,
  RegistryRepository,
  StoredCredential,
  StoredKey,
  StoredSecret,
} from '../repository/repository.ts'
import type { Presented, PresentedAssertion, PresentedSecret } from './client-auth.ts'
import { invalidClient } from './errors.ts'
import { findCredential, type SecretHasher } from './secret.ts'

export interface Authenticated {
  /** Read before the state it was decided on. */
  readonly nowMs: number
  readonly access: ClientAccess
  readonly credentialId: string
  readonly method: AuthMethod
}

export interface Authenticator {
  /** @throws OAuthError `invalid_client` */
  authenticate(presented: Presented): Promise<Authenticated>
}

export interface AuthenticatorOptions {
  readonly repository: Pick<RegistryRepository, 'findAccess' | 'useOnce'>
  readonly hash: SecretHasher
  /** What an assertion may be meant for: the issuer, or the token endpoint. */
  readonly audiences: readonly string[]
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** RFC 7523 §3: lives that long at most; clocks may differ by the skew. */
const assertionLifeSecMax = 300
const skewSec = 10
const tokenIdCharsMax = 128
const keysOpenMax = 10_000

/** RFC 7518 §3.1, RFC 8037, RFC 9864 by type of key. */
const algsOf: Readonly<Record<string, readonly string[]>> = {
  EC: ['ES256'],
  OKP: ['EdDSA', 'Ed25519'],
  RSA: ['RS256', 'PS256'],
}

/** Nobody's, for assertions of clients without keys: they are checked all the same, so that it costs the same. */
const nobodysKey: JWK = {
  kty: 'EC',
  crv: 'P-256',
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { repository, now } = options
  const keys = createOpenKeys()

  async function bySecret({ clientSecret }: PresentedSecret, live: readonly StoredCredential[]) {
    const digest = options.hash(clientSecret)
    const secrets = live.filter((one): one is StoredSecret => one.of === 'secret')
    return findCredential(secrets, digest)?.credentialId
  }

  async function byAssertion(
    { assertion, oauthClientId }: PresentedAssertion,
    live: readonly StoredCredential[],
    nowMs: number,
  ): Promise<string | undefined> {
    const candidates = live.filter((one): one is StoredKey => one.of === 'key')
    const [first, ...others] = candidates
    for (const candidate of [first, ...others]) {
      const jwk: JWK = candidate === undefined ? nobodysKey : candidate.publicKey
      const allowed = algsOf[jwk.kty ?? ''] ?? []
      const algorithms = jwk.alg === undefined ? [...allowed] : allowed.filter((alg) => alg === jwk.alg)
      const alg = algorithms.find((one) => one === algOf(assertion))
      if (alg === undefined) continue
      const payload = await verified(assertion, await keys.open(candidate?.thumbprint ?? '', jwk, alg), {
        issuer: oauthClientId,
        subject: oauthClientId,
        audience: [...options.audiences],
        algorithms,
        requiredClaims: ['iss', 'sub', 'aud', 'exp', 'jti'],
        clockTolerance: skewSec,
        currentDate: new Date(nowMs),
      })
      if (payload === undefined || candidate === undefined) continue
      const { aud, exp = 0, iat = 0, jti } = payload
      // Meant for us alone: what others may use too, others may have seen.
      if (Array.isArray(aud) && aud.length !== 1) return undefined
      if (exp > nowMs / 1000 + assertionLifeSecMax + skewSec || iat > nowMs / 1000 + skewSec) return undefined
      if (typeof jti !== 'string' || jti === '' || jti.length > tokenIdCharsMax) return undefined
      const id = createHash('sha256').update(`assertion ${oauthClientId} ${jti}`).digest('base64url')
      const isFirst = await repository.useOnce(id, (exp + skewSec) * 1000)
      return isFirst ? candidate.credentialId : undefined
    }
    return undefined
  }

  return {
    async authenticate(presented) {
      // In this order: the time a token bears is never later than the state it was granted on.
      const nowMs = now()
      const access = await repository.findAccess(presented.oauthClientId)
      const live = (access?.credentials ?? []).filter(
        ({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs,
      )
      const credentialId =
        presented.method === 'private_key_jwt'
          ? await byAssertion(presented, live, nowMs)
          : await bySecret(presented, live)
      if (access === undefined) throw invalidClient('there is no such client')
      if (credentialId === undefined)
        throw invalidClient(
          live.length < access.credentials.length
            ? 'no live credential fits; some have expired'
            : 'no credential fits',
        )
      if (!access.client.authMethods.includes(presented.method))
        throw invalidClient(`${presented.method} is not switched on for it`)
      if (access.deviceState !== undefined && !mayAuthenticate(access.deviceState))
        throw invalidClient(`the device is ${access.deviceState}`)
      return { nowMs, access, credentialId, method: presented.method }
    },
  }
}

async function verified(
  assertion: string,
  key: CryptoKey | undefined,
  terms: Parameters<typeof jwtVerify>[2],
) {
  if (key === undefined) return undefined
  try {
    return (await jwtVerify(assertion, key, terms)).payload
  } catch {
    return undefined // not by this key, not for us, not now: all the same to who asks
  }
}

function algOf(assertion: string): string | undefined {
  try {
    return decodeProtectedHeader(assertion).alg
  } catch {
    return undefined // no JWT: fits no key
  }
}

/** Public keys, imported once. */
function createOpenKeys() {
  const opened = new Map<string, CryptoKey>()
  return {
    async open(thumbprint: string, jwk: JWK, alg: string): Promise<CryptoKey | undefined> {
      // An RSA key is imported for one algorithm at a time.
      const name = `${alg} ${thumbprint}`
      const known = opened.get(name)
      if (known !== undefined) return known
      const key = await importJWK(jwk, alg)
      if (key instanceof Uint8Array) return undefined
      if (opened.size >= keysOpenMax) opened.clear()
      opened.set(name, key)
      return key
    },
  }
}
