/**
 * What becomes of a token after it was issued: introspection (RFC 7662) and revocation (RFC 7009). Both know who asks.
 */
import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { isRevoked } from '../access.ts'
import type { By, Changes } from '../registry/changes.ts'
import type { RegistryRepository } from '../repository/repository.ts'
import type { Authenticated } from './authenticator.ts'
import { OAuthError } from './errors.ts'
import type { SigningKeys } from './keys.ts'

export interface IssuedTokens {
  /**
   * RFC 7662 §2.2. Only the token's own client and clients with a grant for its audience learn anything; to all others,
   * and for what is no token of ours, or void, the answer is `{ active: false }`.
   */
  introspect(token: string, by: Authenticated): Promise<Introspection>
  /**
   * RFC 7009 §2: voids a token of the client's own. What is no token is passed over.
   * @throws OAuthError `invalid_request` for the token of another
   */
  revokeOwn(token: string, by: Authenticated): Promise<void>
  /** Voids a token for an operator, by itself or by its `jti`. @returns its `jti`; undefined for what is no token of ours */
  revoke(
    by: By,
    which: { readonly token: string } | { readonly tokenId: string },
  ): Promise<string | undefined>
}

export interface Introspection {
  readonly active: boolean
  readonly [claim: string]: unknown
}

export interface IssuedTokensOptions {
  readonly issuer: string
  readonly keys: Pick<SigningKeys, 'jwks'>
  readonly repository: Pick<RegistryRepository, 'findAccess' | 'findTokenRevocation'>
  readonly changes: Changes
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

const tokenCharsMax = 16_384

export function createIssuedTokens(options: IssuedTokensOptions): IssuedTokens {
  const { issuer, keys, repository, changes, now } = options

  /** @returns the claims of a token of ours that has not expired */
  async function claimsOf(token: string): Promise<JWTPayload | undefined> {
    if (token.length > tokenCharsMax) return undefined
    try {
      const { keys: published } = await keys.jwks()
      const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: [...published] }), {
        issuer,
        algorithms: ['ES256', 'RS256', 'EdDSA'],
        currentDate: new Date(now()),
      })
      return payload
    } catch {
      return undefined // not ours, not any more, or no token at all: all the same here
    }
  }

  async function isVoid(claims: JWTPayload): Promise<boolean> {
    const [access, revokedAtMs] = await Promise.all([
      repository.findAccess(clientOf(claims)),
      repository.findTokenRevocation(claims.jti ?? ''),
    ])
    const principal = { issuedAtSec: claims.iat ?? 0, credentialId: credentialOf(claims) }
    return revokedAtMs !== undefined || isRevoked(principal, access)
  }

  const revokeId = (by: By, tokenId: string) =>
    changes.make(by, async (view) => {
      // Told once: a client that says it again and again would fill the audit log, and keep every follower busy.
      if ((await view.findTokenRevocation(tokenId)) !== undefined) return { answer: undefined }
      const audit = { actor: by.actor, verb: 'token.revoked', subject: tokenId } as const
      return { changes: [{ audit, revocations: [{ of: 'token', tokenId }] }], answer: undefined }
    })

  return {
    async introspect(token, { access: { client } }) {
      const claims = await claimsOf(token)
      if (claims === undefined) return { active: false }
      const isOwn = clientOf(claims) === client.oauthClientId
      if (!isOwn && !client.grants.some(({ audience }) => audience === claims.aud)) return { active: false }
      if (await isVoid(claims)) return { active: false }
      return { active: true, token_type: 'Bearer', ...claims, client_id: clientOf(claims) }
    },
    async revokeOwn(token, { access: { client } }) {
      const claims = await claimsOf(token)
      if (claims?.jti === undefined) return
      // RFC 7009 §2.1: it was issued to another.
      if (clientOf(claims) !== client.oauthClientId)
        throw new OAuthError('invalid_request', 'the token was issued to another client')
      await revokeId({ actor: client.oauthClientId }, claims.jti)
    },
    async revoke(by, which) {
      const tokenId = 'tokenId' in which ? which.tokenId : (await claimsOf(which.token))?.jti
      if (tokenId !== undefined) await revokeId(by, tokenId)
      return tokenId
    },
  }
}

/** In both profiles. */
function clientOf(claims: JWTPayload): string {
  return String(claims.client_id ?? claims.azp ?? '')
}

function credentialOf({ cred }: JWTPayload): string | undefined {
  return typeof cred === 'string' ? cred : undefined
}
