/**
 * A token request from its parameters to its answer (RFC 6749 §4.4): who asks, what they may have, the token.
 * HTTP is in `routes.ts`.
 */
import { mayAuthenticate } from '../device.ts'
import { decideScopes, findGrant } from '../grants.ts'
import type { ClientAccess, RegistryRepository, StoredSecret } from '../repository/repository.ts'
import { type PresentedSecret, readClientSecret } from './client-auth.ts'
import type { DecisionLog } from './decision-log.ts'
import { invalidClient, OAuthError } from './errors.ts'
import { findCredential, type SecretHasher } from './secret.ts'
import type { Signer } from './signer.ts'

export interface TokenRequest {
  /** The Authorization header. */
  readonly authorization: string | undefined
  /** Of the body, each at most once and none of them empty. */
  readonly parameters: ReadonlyMap<string, string>
}

/** RFC 6749 §5.1. */
export interface TokenAnswer {
  readonly access_token: string
  readonly token_type: 'Bearer'
  readonly expires_in: number
  readonly scope?: string
}

export interface TokenEndpointOptions {
  readonly repository: Pick<RegistryRepository, 'findAccess' | 'findApi'>
  readonly hash: SecretHasher
  readonly signer: Signer
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly delay: (ms: number) => Promise<unknown>
  /** Hears of each credential that got a token. */
  readonly used: (credentialId: string, atMs: number) => void
  readonly log: DecisionLog
}

export type TokenEndpoint = (request: TokenRequest) => Promise<TokenAnswer>

/** @throws OAuthError */
export function createTokenEndpoint(options: TokenEndpointOptions): TokenEndpoint {
  const { repository, hash, signer, now, log } = options

  async function authenticate(presented: PresentedSecret, digest: Uint8Array) {
    // In this order: the time a token bears is never later than the state it was granted on.
    const nowMs = now()
    const access = await repository.findAccess(presented.oauthClientId)
    const credential = findCredential(
      (access?.credentials ?? []).filter(
        (one): one is StoredSecret => one.of === 'secret' && (one.expiresAtMs ?? Infinity) > nowMs,
      ),
      digest,
    )
    if (access === undefined || credential === undefined) throw invalidClient()
    if (access.deviceState !== undefined && !mayAuthenticate(access.deviceState)) throw invalidClient()
    return { nowMs, access, credential }
  }

  /** Authenticates, and again after the second of a revocation has passed: a token of that second would be void. */
  async function authenticateOutsideRevocation(presented: PresentedSecret, digest: Uint8Array) {
    const first = await authenticate(presented, digest)
    if (heldMs(first.access.revokedAtMs, first.nowMs) === 0) return first
    await options.delay(Math.min(1000, heldMs(first.access.revokedAtMs, first.nowMs)))
    const second = await authenticate(presented, digest)
    // Revoked once more, or our clock was set back.
    if (heldMs(second.access.revokedAtMs, second.nowMs) > 0)
      throw new OAuthError('temporarily_unavailable', 'the client was just revoked; try again')
    return second
  }

  async function grant(
    { parameters }: TokenRequest,
    authenticated: { nowMs: number; access: ClientAccess; credential: StoredSecret },
  ): Promise<TokenAnswer> {
    const { nowMs, access, credential } = authenticated
    const { client } = access
    const { oauthClientId } = client
    const { credentialId } = credential
    if (parameters.get('grant_type') === undefined)
      throw new OAuthError('invalid_request', 'grant_type is missing')
    if (parameters.get('grant_type') !== 'client_credentials')
      throw new OAuthError('unsupported_grant_type', 'only client_credentials is supported')
    const found = findGrant(client.grants, parameters.get('audience'))
    if ('granted' in found) throw new OAuthError(found.error, found.description)
    const api = await repository.findApi(found.audience)
    if (api === undefined) throw new OAuthError('invalid_target', 'no grant for this audience')
    const decision = decideScopes(found, api, parameters.get('scope'))
    if (!decision.granted) throw new OAuthError(decision.error, decision.description)
    const { audience, scopes } = decision
    const isDevice = client.kind === 'device'
    const subject = { oauthClientId, credentialId, audience, scopes, isDevice, lots: client.lots }
    const { token, tokenId, lifeSec } = await signer.sign(subject, Math.floor(nowMs / 1000))
    options.used(credentialId, nowMs)
    log.issued({ oauthClientId, credentialId, audience, scopes, tokenId })
    return {
      access_token: token,
      token_type: 'Bearer',
      expires_in: lifeSec,
      ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    }
  }

  return async (request) => {
    let oauthClientId: string | undefined
    try {
      const presented = readClientSecret(request.authorization, request.parameters)
      oauthClientId = presented.oauthClientId
      return await grant(
        request,
        await authenticateOutsideRevocation(presented, hash(presented.clientSecret)),
      )
    } catch (error) {
      if (error instanceof OAuthError)
        log.refused({ oauthClientId, reason: error.error, detail: error.message })
      throw error
    }
  }
}

/** How long until a token would not be void by the client's revocation: 0 for most, at most a second when clocks behave. */
export function heldMs(revokedAtMs: number | undefined, nowMs: number): number {
  if (revokedAtMs === undefined) return 0
  return Math.max(0, (Math.floor(revokedAtMs / 1000) + 1) * 1000 - nowMs)
}
