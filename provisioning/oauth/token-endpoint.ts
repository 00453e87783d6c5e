/**
 * A token request from its parameters to its answer (RFC 6749 §4.4): who asks, what they may have, the token, and the
 * record of it. HTTP is in `routes.ts`; what would happen, without a request, in `guards/explain.ts`.
 */

import type { Api } from '../../core/contract/client.ts'
import type { Board } from '../../core/contract/registry.ts'
import { decideScopes, findGrant } from '../grants.ts'
import type { RegistryRepository, TokenDecision } from '../repository/repository.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'
import { type Presented, readClientAuth } from './client-auth.ts'
import {
  type ErrorWords,
  grantTypeOff,
  notGranted,
  OAuthError,
  type OAuthErrorCode,
  tooManyRequests,
} from './errors.ts'
import type { Brake } from './guards/brake.ts'
import type { AskRules } from './guards/explain.ts'
import { type QuotaStanding, type Quotas, quotaHeaders } from './guards/quotas.ts'
import type { Signer } from './signer.ts'

export interface TokenRequest {
  /** The Authorization header. */
  readonly authorization: string | undefined
  /** Of the body, each at most once and none of them empty. */
  readonly parameters: ReadonlyMap<string, string>
  readonly address: string
  readonly userAgent: string | undefined
}

/** RFC 6749 §5.1. */
export interface TokenAnswer {
  readonly access_token: string
  readonly token_type: 'Bearer'
  readonly expires_in: number
  readonly scope?: string
}

export interface TokenResult {
  readonly answer: TokenAnswer
  readonly headers: Readonly<Record<string, string>>
}

export type TokenEndpoint = (request: TokenRequest) => Promise<TokenResult>

export interface TokenEndpointOptions {
  readonly repository: Pick<RegistryRepository, 'findApi'>
  readonly authenticator: Authenticator
  readonly signer: Signer
  readonly brake: Pick<Brake, 'failed' | 'succeeded'>
  readonly quotas: Pick<Quotas, 'take'>
  /** Undefined: there are none. */
  readonly rules: AskRules | undefined
  readonly record: (decision: TokenDecision) => void
  readonly newDecisionId: () => string
  readonly errors: ErrorWords
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly delay: (ms: number) => Promise<unknown>
  /** Hears of each credential that got a token. */
  readonly used: (credentialId: string, atMs: number) => void
  /** Hears of each token of a device that had none before. */
  readonly activated: (deviceId: string) => void
  /** Hears of a board that is not the one the registry knows for the device. */
  readonly boardSeen: (deviceId: string, board: Board) => void
}

/** Header of every answer of the token endpoint: what an operator asks `lotctl explain` about. */
export const decisionHeader = 'lotwatch-decision'

/** What a request has come to so far, for its record. All members from the start: objects of one shape are cheap. */
interface Trail {
  readonly decisionId: string
  oauthClientId: string | undefined
  credentialId: string | undefined
  audience: string | undefined
  scopes: readonly string[] | undefined
  rules: readonly string[] | undefined
  method: string | undefined
}

function newTrail(decisionId: string): Trail {
  return {
    decisionId,
    oauthClientId: undefined,
    credentialId: undefined,
    audience: undefined,
    scopes: undefined,
    rules: undefined,
    method: undefined,
  }
}

/** @throws OAuthError, with the decision's id among its headers */
export function createTokenEndpoint(options: TokenEndpointOptions): TokenEndpoint {
  const { repository, authenticator, signer, brake, quotas, now } = options

  /** Authenticates, and again after the second of a revocation has passed: a token of that second would be void. */
  async function authenticateOutsideRevocation(presented: Presented): Promise<Authenticated> {
    const first = await authenticator.authenticate(presented)
    const held = heldMs(first.access.revokedAtMs, first.nowMs)
    if (held === 0) return first
    // An assertion cannot be used twice; its sender comes back with another.
    if (presented.method === 'private_key_jwt' || held > heldMsMax) throw justRevoked()
    await options.delay(held + timerEarlyMs)
    const second = await authenticator.authenticate(presented)
    // Revoked once more, or our clock was set back.
    if (heldMs(second.access.revokedAtMs, second.nowMs) > 0) throw justRevoked()
    return second
  }

  async function authenticate(request: TokenRequest, trail: Trail): Promise<Authenticated> {
    let presented: Presented | undefined
    try {
      presented = readClientAuth(request.authorization, request.parameters)
      trail.oauthClientId = presented.oauthClientId
      const authenticated = await authenticateOutsideRevocation(presented)
      brake.succeeded(presented.oauthClientId)
      return authenticated
    } catch (error) {
      if (!(error instanceof OAuthError) || error.error !== 'invalid_client') throw error
      const verdict = await brake.failed(presented?.oauthClientId, request.address)
      if (verdict.answer === 'refuse') throw error
      throw tooManyRequests('too many failed attempts', verdict.retryAfterSec, {
        auth0: 'Too many failed attempts',
        reason: { ...error.reason, refusedBy: 'brake' },
      })
    }
  }

  async function grantedApi(
    { access }: Authenticated,
    { parameters }: TokenRequest,
  ): Promise<{ api: Api; scopes: readonly string[] }> {
    const grantType = parameters.get('grant_type')
    if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing')
    if (grantType !== 'client_credentials')
      throw new OAuthError('unsupported_grant_type', 'only client_credentials is supported')
    if (!access.client.grantTypes.includes('client_credentials')) throw grantTypeOff()
    const audience = audienceOf(parameters)
    const grant = findGrant(access.client.grants, audience)
    if ('granted' in grant) throw notGranted(grant.error, grant.description, { audience })
    const api = await repository.findApi(grant.audience)
    if (api === undefined) throw notGranted('invalid_target', 'no grant for this audience', { audience })
    const decision = decideScopes(grant, api, parameters.get('scope'))
    if (!decision.granted)
      throw notGranted(decision.error, decision.description, { audience: grant.audience })
    return { api, scopes: decision.scopes }
  }

  async function ruled(
    { access: { client } }: Authenticated,
    api: Api,
    scopes: readonly string[],
    { address, userAgent, parameters }: TokenRequest,
  ) {
    if (options.rules === undefined) return { scopes, claims: {}, rules: [] }
    const verdict = await options.rules({
      client,
      audience: api.audience,
      scopes,
      from: { address, userAgent, parameters: withoutProof(parameters) },
    })
    if (verdict.allowed) return verdict
    const { error, rule, reason, told = 'denied by a rule' } = verdict
    throw new OAuthError(isOAuthError(error) ? error : 'access_denied', told, {
      reason: { refusedBy: 'rules', rule, why: reason },
    })
  }

  async function issue(request: TokenRequest, trail: Trail): Promise<TokenResult> {
    const authenticated = await authenticate(request, trail)
    const { access, credentialId, nowMs, method } = authenticated
    const { client } = access
    const { oauthClientId } = client
    trail.credentialId = credentialId
    trail.method = method
    const granted = await grantedApi(authenticated, request)
    const { api } = granted
    trail.audience = api.audience
    const { scopes, claims, rules } = await ruled(authenticated, api, granted.scopes, request)
    trail.scopes = scopes
    if (rules.length > 0) trail.rules = rules
    const taken = await quotas.take({ client, api }, nowMs)
    const headers = quotaHeaders(taken.standings, options.errors, nowMs)
    if (!taken.granted) throw quotaExceeded(taken.exceeded, headers)
    const isDevice = client.kind === 'device'
    const subject = { oauthClientId, credentialId, api, scopes, isDevice, lots: client.lots, claims }
    const { token, tokenId, lifeSec } = await signer.sign(subject, Math.floor(nowMs / 1000))
    options.used(credentialId, nowMs)
    if (access.deviceState === 'enrolled') options.activated(oauthClientId)
    if (isDevice) noteBoard(request, access.board, oauthClientId)
    record(request, trail, { outcome: 'issued', reason: { tokenId, lifeSec } })
    return {
      answer: {
        access_token: token,
        token_type: 'Bearer',
        expires_in: lifeSec,
        ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
      },
      headers,
    }
  }

  function noteBoard({ parameters }: TokenRequest, known: Board | undefined, deviceId: string): void {
    const serial = parameters.get('board_serial')?.slice(0, 64)
    const bootId = parameters.get('boot_id')?.slice(0, 64)
    if (serial === undefined || bootId === undefined) return
    if (known?.serial !== serial || known.bootId !== bootId) options.boardSeen(deviceId, { serial, bootId })
  }

  function record(
    { address }: TokenRequest,
    trail: Trail,
    what: Pick<TokenDecision, 'outcome' | 'error' | 'reason'>,
  ): void {
    const { oauthClientId, decisionId, credentialId, audience, scopes, rules, method } = trail
    options.record({
      decisionId,
      atMs: now(),
      outcome: what.outcome,
      oauthClientId,
      address,
      error: what.error,
      // In a text of JSON, what is undefined is not there.
      reason: { credentialId, audience, scopes, rules, method, ...what.reason },
    })
  }

  return async (request) => {
    const decisionId = options.newDecisionId()
    const trail = newTrail(decisionId)
    try {
      const { answer, headers } = await issue(request, trail)
      return { answer, headers: { ...headers, [decisionHeader]: decisionId } }
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
      const reason = { detail: error.message, ...error.reason }
      record(request, trail, { outcome: 'refused', error: error.error, reason })
      throw error.withHeaders({ [decisionHeader]: decisionId })
    }
  }
}

/** RFC 8707 §2: `resource` says what Auth0's `audience` says. */
function audienceOf(parameters: ReadonlyMap<string, string>): string | undefined {
  const audience = parameters.get('audience')
  const resource = parameters.get('resource')
  if (audience !== undefined && resource !== undefined && audience !== resource)
    throw new OAuthError('invalid_target', 'audience and resource differ')
  return audience ?? resource
}

const proofs = new Set(['client_secret', 'client_assertion', 'client_assertion_type'])

function withoutProof(parameters: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...parameters].filter(([name]) => !proofs.has(name)))
}

function isOAuthError(error: string): error is OAuthErrorCode {
  return [
    'access_denied',
    'invalid_scope',
    'invalid_request',
    'server_error',
    'temporarily_unavailable',
  ].includes(error)
}

function quotaExceeded(exceeded: QuotaStanding, headers: Readonly<Record<string, string>>): OAuthError {
  const { of, window, limit, resetSec } = exceeded
  return tooManyRequests(`the quota of the ${of} for this ${window} is used up`, resetSec, {
    auth0: 'Client quota exceeded',
    headers,
    reason: { refusedBy: 'quota', of, window, limit, resetSec },
  })
}

/** A moment of revocation may lie a little ahead, where several processes share a registry. */
const heldMsMax = 3000

/** A timer was measured to end a millisecond before its time by the wall clock, two times in a thousand. */
const timerEarlyMs = 5

function justRevoked(): OAuthError {
  return new OAuthError('temporarily_unavailable', 'the client was just revoked; try again', {
    headers: { 'retry-after': '1' },
  })
}

/** How long until a token would not be void by the client's revocation: 0 for most, at most a second when clocks behave. */
export function heldMs(revokedAtMs: number | undefined, nowMs: number): number {
  if (revokedAtMs === undefined) return 0
  return Math.max(0, (Math.floor(revokedAtMs / 1000) + 1) * 1000 - nowMs)
}
