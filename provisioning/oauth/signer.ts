/** Access tokens in the profile of RFC 9068, signed with the key that is in use. */
import { type CryptoKey, SignJWT } from 'jose'
import { type AclRule, deviceAcl } from '../../core/contract/principal.ts'

/** What a token says, all but when and by whom. */
export interface TokenSubject {
  readonly oauthClientId: string
  readonly credentialId: string
  readonly audience: string
  readonly scopes: readonly string[]
  readonly isDevice: boolean
  /** An analyst's limit; undefined is none. */
  readonly lots: readonly string[] | undefined
}

export interface SigningKey {
  readonly kid: string
  readonly alg: 'ES256'
  readonly privateKey: CryptoKey
}

export interface Signer {
  /** @param nowSec becomes `iat`, whole Unix seconds */
  sign(subject: TokenSubject, nowSec: number): Promise<SignedToken>
}

export interface SignedToken {
  readonly token: string
  readonly tokenId: string
  readonly lifeSec: number
}

export interface SignerOptions {
  readonly issuer: string
  readonly key: SigningKey
  readonly lifeSec: number
  readonly newTokenId: () => string
}

export function createSigner({ issuer, key, lifeSec, newTokenId }: SignerOptions): Signer {
  const header = { alg: key.alg, typ: 'at+jwt', kid: key.kid }
  return {
    async sign(subject, nowSec) {
      const tokenId = newTokenId()
      const claims = { iss: issuer, ...claimsOf(subject), iat: nowSec, exp: nowSec + lifeSec, jti: tokenId }
      return {
        token: await new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey),
        tokenId,
        lifeSec,
      }
    },
  }
}

interface SubjectClaims {
  readonly [claim: string]: string | readonly string[] | readonly AclRule[]
}

function claimsOf(subject: TokenSubject): SubjectClaims {
  const { oauthClientId, credentialId, audience, scopes, isDevice, lots } = subject
  return {
    // RFC 9068 §2.2: without a resource owner, the subject is the client.
    sub: oauthClientId,
    client_id: oauthClientId,
    aud: audience,
    cred: credentialId,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(isDevice ? { device_id: oauthClientId, acl: deviceAcl(new Set(scopes)) } : {}),
    ...(lots === undefined ? {} : { lots }),
  }
}
