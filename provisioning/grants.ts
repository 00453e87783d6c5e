/** Which audience and scopes a token request gets, by the client's grants and the API they are for. Pure. */
import type { Api, Client, ClientGrant } from '../core/contract/client.ts'
import { audiences } from '../core/contract/principal.ts'

/** What a device may do, and all it may do unless it is granted more. */
export const deviceGrants: readonly ClientGrant[] = [
  { audience: audiences.broker, scopes: ['publish:readings', 'receive:commands'] },
]

export interface GrantRequest {
  readonly audience: string | undefined
  /** As in the request: space-delimited. */
  readonly scope: string | undefined
}

export type GrantDecision =
  | { readonly granted: true; readonly audience: string; readonly scopes: readonly string[] }
  | GrantRefusal

export interface GrantRefusal {
  readonly granted: false
  readonly error: 'invalid_request' | 'invalid_target' | 'invalid_scope'
  readonly description: string
}

/** RFC 6749 §3.3: printable ASCII without quote and backslash, space-delimited. */
const scopeGrammar = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/

/**
 * Scope never grows past the grant: asking beyond it is an error rather than less than was asked for. A scope that
 * its API no longer has is granted to nobody.
 * @param apiOf the API of an audience; undefined when there is none
 */
export function decideGrant(
  grants: readonly ClientGrant[],
  request: GrantRequest,
  apiOf: (audience: string) => Pick<Api, 'scopes'> | undefined,
): GrantDecision {
  const found = findGrant(grants, request.audience)
  if ('granted' in found) return found
  const api = apiOf(found.audience)
  return api === undefined ? noGrant() : decideScopes(found, api, request.scope)
}

/** The grant that a request is about: the one for the audience, or the only one. */
export function findGrant(
  grants: readonly ClientGrant[],
  audience: string | undefined,
): ClientGrant | GrantRefusal {
  const [only, another] = grants
  if (audience === undefined && another !== undefined)
    return refuse('invalid_request', 'audience is missing: the client has several grants')
  const grant = audience === undefined ? only : grants.find((one) => one.audience === audience)
  return grant ?? noGrant()
}

/** @param scope as in the request; undefined: all that is granted */
export function decideScopes(
  { audience, scopes: ceiling }: ClientGrant,
  api: Pick<Api, 'scopes'>,
  scope: string | undefined,
): GrantDecision {
  const scopes = ceiling.filter((one) => api.scopes.some((known) => known.scope === one))
  if (scope === undefined) return { granted: true, audience, scopes }
  if (!scopeGrammar.test(scope)) return refuse('invalid_scope', 'scope is malformed')
  const asked = [...new Set(scope.split(' '))]
  const beyond = asked.filter((one) => !scopes.includes(one))
  if (beyond.length > 0) return refuse('invalid_scope', `not granted: ${beyond.join(' ')}`)
  return { granted: true, audience, scopes: asked }
}

/** RFC 8707 §2: the word for a target that is unknown or not for this client; the two are not told apart. */
function noGrant(): GrantRefusal {
  return refuse('invalid_target', 'no grant for this audience')
}

function refuse(error: GrantRefusal['error'], description: string): GrantRefusal {
  return { granted: false, error, description }
}

/** The `lots` claim as JSON text: with all the rest, the token stays below the 4096 characters that verifiers take. */
const lotsCharsMax = 2000

/** Whether a client's limit to some lots can be carried in its tokens. */
export function fitsInToken(lots: readonly string[]): boolean {
  return JSON.stringify(lots).length <= lotsCharsMax
}

/** What is wrong with grants somebody wants to give: unknown audiences and scopes, an audience or scope twice. */
export function grantFaults(grants: readonly ClientGrant[], apis: readonly Api[]): string[] {
  return grants.flatMap(({ audience, scopes }, i) => {
    if (grants.findIndex((one) => one.audience === audience) !== i) return [`${audience} is granted twice`]
    const api = apis.find((one) => one.audience === audience)
    if (api === undefined) return [`there is no audience ${audience}`]
    return scopes.flatMap((scope, j) => {
      if (scopes.indexOf(scope) !== j) return [`${scope} is named twice`]
      return api.scopes.some((known) => known.scope === scope) ? [] : [`${audience} has no scope ${scope}`]
    })
  })
}

/**
 * Whether a client may less than before: then the tokens it has say too much. Grants, the switch for the grant type,
 * and the limit to lots count; quotas and the ways to authenticate do not show in tokens.
 */
export function isNarrower(after: Client, before: Client): boolean {
  const lostScope = before.grants.some(({ audience, scopes }) => {
    const left = after.grants.find((one) => one.audience === audience)
    return left === undefined || scopes.some((scope) => !left.scopes.includes(scope))
  })
  const lostType = before.grantTypes.some((type) => !after.grantTypes.includes(type))
  return lostScope || lostType || lostLot(after.lots, before.lots)
}

/** Undefined is every lot. */
function lostLot(after: readonly string[] | undefined, before: readonly string[] | undefined): boolean {
  if (after === undefined) return false
  return before === undefined || before.some((lot) => !after.includes(lot))
}
