/** Access tokens: in the profile of RFC 9068, or as Auth0's classic ones, signed with the key that is in use. */
import type { CryptoKey } from 'jose'
import type { Api } from '../../core/contract/client.ts'
import { type AclRule, deviceAcl } from '../../core/contract/principal.ts'
import { createJwsSigner } from './jws.ts'
import type { SigningKeys } from './keys.ts'
import type { SigningThread } from './signing-thread.ts'

/** What a token says, all but when and by whom. */
export interface TokenSubject {
  readonly oauthClientId: string
  readonly credentialId: string
  readonly api: Pick<Api, 'audience' | 'alg' | 'dialect' | 'tokenLifeSec'>
  readonly scopes: readonly string[]
  readonly isDevice: boolean
  /** An analyst's limit; undefined is none. */
  readonly lots: readonly string[] | undefined
  /** Added by rules; none of ours can be among them. */
  readonly claims: Readonly<Record<string, unknown>>
}

export interface SigningKey {
  readonly kid: string
  readonly alg: Api['alg']
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
  readonly keys: Pick<SigningKeys, 'signing'>
  /** For APIs that say nothing about it. */
  readonly lifeSec: number
  readonly newTokenId: () => string
  readonly thread: Pick<SigningThread, 'sign'>
}

export function createSigner(options: SignerOptions): Signer {
  const { issuer, keys, lifeSec: lifeDefaultSec, newTokenId } = options
  const sign = createJwsSigner(options.thread)
  return {
    async sign(subject, nowSec) {
      const { api } = subject
      const { kid, alg, privateKey } = await keys.signing(api.alg)
      const tokenId = newTokenId()
      const lifeSec = api.tokenLifeSec ?? lifeDefaultSec
      // Ours last: whatever a rule adds, it cannot stand in for one of them.
      const claims = {
        ...subject.claims,
        iss: issuer,
        ...claimsOf(subject),
        iat: nowSec,
        exp: nowSec + lifeSec,
        jti: tokenId,
      }
      const typ = api.dialect === 'auth0' ? 'JWT' : 'at+jwt'
      return {
        token: await sign({ kid, alg, privateKey }, typ, claims),
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
  const { oauthClientId, credentialId, api, scopes, isDevice, lots } = subject
  return {
    ...(api.dialect === 'auth0'
      ? { sub: `${oauthClientId}@clients`, azp: oauthClientId, gty: 'client-credentials' }
      : // RFC 9068 §2.2: without a resource owner, the subject is the client.
        { sub: oauthClientId, client_id: oauthClientId }),
    aud: api.audience,
    cred: credentialId,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(isDevice ? { device_id: oauthClientId, acl: deviceAcl(new Set(scopes)) } : {}),
    ...(lots === undefined ? {} : { lots }),
  }
}
