/** Which audience and scopes a token request gets, by the client's grants. Pure. */
import { audiences, scopesOf } from '../core/contract/principal.ts'
import type { ClientGrant } from '../core/contract/registry.ts'

/** What a device may do, and all it may do. */
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
  | {
      readonly granted: false
      readonly error: 'invalid_request' | 'invalid_target' | 'invalid_scope'
      readonly description: string
    }

/** RFC 6749 §3.3: printable ASCII without quote and backslash, space-delimited. */
const scopeGrammar = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/

/** Scope never grows past the grant: asking beyond it is an error rather than less than was asked for. */
export function decideGrant(grants: readonly ClientGrant[], request: GrantRequest): GrantDecision {
  if (request.audience === undefined && grants.length > 1)
    return refuse('invalid_request', 'audience is missing: the client has several grants')
  const grant = grants.find(({ audience }) => audience === (request.audience ?? audience))
  // RFC 8707 §2: the word for a target that is unknown or not for this client; the two are not told apart.
  if (grant === undefined) return refuse('invalid_target', 'no grant for this audience')
  if (request.scope === undefined) return { granted: true, audience: grant.audience, scopes: grant.scopes }
  if (!scopeGrammar.test(request.scope)) return refuse('invalid_scope', 'scope is malformed')
  const asked = [...new Set(request.scope.split(' '))]
  const beyond = asked.filter((scope) => !grant.scopes.includes(scope))
  if (beyond.length > 0) return refuse('invalid_scope', `not granted: ${beyond.join(' ')}`)
  return { granted: true, audience: grant.audience, scopes: asked }
}

function refuse(
  error: Extract<GrantDecision, { granted: false }>['error'],
  description: string,
): GrantDecision {
  return { granted: false, error, description }
}

/** The `lots` claim as JSON text: with all the rest, the token stays below the 4096 characters that verifiers take. */
const lotsCharsMax = 2000

/** Whether a client's limit to some lots can be carried in its tokens. */
export function fitsInToken(lots: readonly string[]): boolean {
  return JSON.stringify(lots).length <= lotsCharsMax
}

/** What is wrong with grants somebody wants to give: unknown audiences and scopes, an audience twice. */
export function grantFaults(grants: readonly ClientGrant[]): string[] {
  const known: Readonly<Record<string, Readonly<Record<string, string>>>> = scopesOf
  const twice = grants.filter((grant, i) => grants.findIndex((g) => g.audience === grant.audience) !== i)
  return [
    ...twice.map(({ audience }) => `${audience} is granted twice`),
    ...grants.flatMap(({ audience, scopes }) => {
      if (!Object.hasOwn(known, audience)) return [`there is no audience ${audience}`]
      return scopes
        .filter((scope) => !Object.hasOwn(known[audience] ?? {}, scope))
        .map((scope) => `${audience} has no scope ${scope}`)
    }),
  ]
}
