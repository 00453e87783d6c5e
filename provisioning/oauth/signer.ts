/** Access tokens: in the profile of RFC 9068, or as Auth0's classic ones, signed with the key that is in use. */
import type { CryptoKey } from 'jose'
import type { Api } from '../../core/contract/client.ts'
import { deviceAcl } from '../../core/contract/principal.ts'
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
      const ours = claimsOf(subject, { issuer, tokenId, nowSec, lifeSec })
      // Ours last: whatever a rule adds, it cannot stand in for one of them.
      const claims = Object.keys(subject.claims).length === 0 ? ours : { ...subject.claims, ...ours }
      const typ = api.dialect === 'auth0' ? 'JWT' : 'at+jwt'
      return {
        token: await sign({ kid, alg, privateKey }, typ, claims),
        tokenId,
        lifeSec,
      }
    },
  }
}

interface Issue {
  readonly issuer: string
  readonly tokenId: string
  readonly nowSec: number
  readonly lifeSec: number
}

/** JSON leaves out what is undefined. One shape for all: built of parts, they cost three times as much. */
function claimsOf(subject: TokenSubject, { issuer, tokenId, nowSec, lifeSec }: Issue) {
  const { oauthClientId, credentialId, api, scopes, isDevice, lots } = subject
  const isAuth0 = api.dialect === 'auth0'
  return {
    iss: issuer,
    // RFC 9068 §2.2: without a resource owner, the subject is the client.
    sub: isAuth0 ? `${oauthClientId}@clients` : oauthClientId,
    client_id: isAuth0 ? undefined : oauthClientId,
    azp: isAuth0 ? oauthClientId : undefined,
    gty: isAuth0 ? 'client-credentials' : undefined,
    aud: api.audience,
    cred: credentialId,
    scope: scopes.length === 0 ? undefined : scopes.join(' '),
    device_id: isDevice ? oauthClientId : undefined,
    acl: isDevice ? deviceAcl(new Set(scopes)) : undefined,
    lots,
    iat: nowSec,
    exp: nowSec + lifeSec,
    jti: tokenId,
  }
}
