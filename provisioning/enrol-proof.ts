/**
 * The proofs of `POST /v1/enrol`: that a board holds the private half of the key it brings, and, of a device that enrols
 * again, that it still holds the old one. Each is a JWS that counts once. A device with a client secret shows that.
 */
import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, importJWK, type JWK, type JWTPayload, jwtVerify } from 'jose'
import type { EnrolRequest } from '../core/contract/enrolment.ts'
import { findCredential, type SecretHasher } from './oauth/secret.ts'
import type {
  RegistryRepository,
  StoredCredential,
  StoredKey,
  StoredSecret,
} from './repository/repository.ts'

export interface EnrolProofs {
  /** @returns undefined when the proof does not hold */
  ofNewKey(request: Pick<EnrolRequest, 'publicKey' | 'proof'>): Promise<NewKeyProof | undefined>
  /** @returns undefined when nobody proved to have an old key, for this new one */
  ofOldKey(previous: string, newThumbprint: string): Promise<OldProof | undefined>
  /** @returns undefined when it is no secret of that device */
  ofSecret(deviceId: string, secret: string): Promise<OldProof | undefined>
}

/** Held when it was looked at: whether the credential still counts is to be asked where that cannot change any more. */
export interface OldProof {
  readonly deviceId: string
  readonly credentialId: string
}

/** A proof that holds, and was not used up yet: that costs a write, which strangers without any ground do not get. */
export interface NewKeyProof {
  /** RFC 7638. */
  readonly thumbprint: string
  /** @returns false when it was used before */
  useUp(): Promise<boolean>
}

const proofLifeSecMax = 300
const skewSec = 60
const typ = 'enrol+jwt'

export function createEnrolProofs(options: {
  repository: Pick<RegistryRepository, 'findAccess' | 'useOnce'>
  /** What a proof is meant for. */
  issuer: string
  /** Keyed hash of a client secret. */
  hash: SecretHasher
  /** Wall clock, Unix milliseconds. */
  now: () => number
}): EnrolProofs {
  const { repository, issuer, now } = options
  const isUsable = ({ expiresAtMs }: StoredCredential) => expiresAtMs === null || expiresAtMs > now()

  async function verified(
    jws: string,
    jwk: JWK,
    terms: { issuer?: string; subject?: string },
  ): Promise<JWTPayload | undefined> {
    try {
      const key = await importJWK(jwk, jwk.kty === 'OKP' ? 'EdDSA' : 'ES256')
      const { payload } = await jwtVerify(jws, key, {
        ...terms,
        audience: issuer,
        typ,
        algorithms: ['EdDSA', 'Ed25519', 'ES256'],
        requiredClaims: ['exp', 'jti'],
        clockTolerance: skewSec,
        currentDate: new Date(now()),
      })
      return payload
    } catch {
      return undefined // not by this key, not for us, not now: no proof
    }
  }

  async function isFirst(payload: JWTPayload, signer: string): Promise<boolean> {
    const { exp = 0, jti = '' } = payload
    if (exp > now() / 1000 + proofLifeSecMax + skewSec || jti === '' || jti.length > 128) return false
    const id = createHash('sha256').update(`enrol ${signer} ${jti}`).digest('base64url')
    return repository.useOnce(id, (exp + skewSec) * 1000)
  }

  return {
    async ofNewKey({ publicKey, proof }) {
      const payload = await verified(proof, publicKey, {})
      if (payload === undefined) return undefined
      const thumbprint = await calculateJwkThumbprint(publicKey)
      return { thumbprint, useUp: () => isFirst(payload, thumbprint) }
    },
    async ofOldKey(previous, newThumbprint) {
      const deviceId = subjectOf(previous)
      if (deviceId === undefined) return undefined
      const access = await repository.findAccess(deviceId)
      const keys = (access?.credentials ?? []).filter(
        (one): one is StoredKey => one.of === 'key' && isUsable(one),
      )
      for (const { publicKey, thumbprint, credentialId } of keys) {
        const payload = await verified(previous, publicKey, { issuer: deviceId, subject: deviceId })
        if (payload === undefined || payload.jkt !== newThumbprint) continue
        return (await isFirst(payload, thumbprint)) ? { deviceId, credentialId } : undefined
      }
      return undefined
    },
    async ofSecret(deviceId, secret) {
      const access = await repository.findAccess(deviceId)
      const secrets = (access?.credentials ?? []).filter(
        (one): one is StoredSecret => one.of === 'secret' && isUsable(one),
      )
      const found = findCredential(secrets, options.hash(secret))
      if (found === undefined || access?.deviceState === undefined) return undefined
      return { deviceId, credentialId: found.credentialId }
    },
  }
}

/** Only chooses whose keys to ask. */
function subjectOf(jws: string): string | undefined {
  try {
    return decodeJwt(jws).sub
  } catch {
    return undefined // no JWT
  }
}
