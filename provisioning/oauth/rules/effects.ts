/**
 * What a rule may bring about: fewer scopes, claims of its own, or a denial. Whatever it answers is read here as
 * something a stranger sent; what is out of bounds makes the rule a broken one, and that denies. Pure.
 */

/** What the token is to say, from one rule to the next. */
export interface Standing {
  readonly scopes: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
}

export type Effect =
  | ({ readonly allowed: true; readonly beyond: readonly string[] } & Standing)
  | { readonly allowed: false; readonly error: string; readonly why: string; readonly told?: string }

/** A rule that answered nothing that can be used. */
export class RuleFault extends Error {}

/**
 * Claims by which verifiers decide who somebody is and what they may: ours (RFC 9068, RFC 7519, Lotwatch's own),
 * and those that EMQX, Auth0, Keycloak and others read as rights.
 */
const reserved = new Set([
  ...[
    'iss',
    'sub',
    'aud',
    'exp',
    'nbf',
    'iat',
    'jti',
    'typ',
    'cnf',
    'act',
    'may_act',
    'client_id',
    'azp',
    'gty',
  ],
  ...['scope', 'scp', 'permissions', 'authorities', 'realm_access', 'resource_access', 'org_id'],
  ...['cred', 'device_id', 'acl', 'lots', 'client_attrs', 'is_superuser'],
])

/** Of all added claims as JSON: with all the rest, the token stays below the 4096 characters that verifiers take. */
const claimsCharsMax = 1000
const toldCharsMax = 200
const denialCodes = ['access_denied', 'invalid_scope', 'invalid_request', 'server_error'] as const

/**
 * @param answer of the sandbox: what the rule did, as JSON said it
 * @throws RuleFault
 */
export function effectOf(answer: unknown, standing: Standing): Effect {
  if (!isRecord(answer)) throw new RuleFault('it answered with no object')
  const { failed, answers, denied, token, scopes, claims } = answer
  if (typeof failed === 'string') throw new RuleFault(failed)
  if (answers === 0) throw new RuleFault('it ended without an answer')
  if (answers !== 1) throw new RuleFault('it answered twice')
  if (isRecord(denied)) return denial(denied)
  if (token !== undefined) return ofToken(token, standing)
  return allowed(scopesOf(scopes, standing), { ...standing.claims, ...checked(claims) }, standing)
}

function denial({ code, why, told }: Readonly<Record<string, unknown>>): Effect {
  const error = denialCodes.find((one) => one === code) ?? 'access_denied'
  return {
    allowed: false,
    error,
    why: shortened(why, 1000) ?? 'it gave no reason',
    ...(told === undefined ? {} : { told: shortened(told, toldCharsMax) ?? 'denied' }),
  }
}

/** A Rule's `context.accessToken`: the scope, and everything else a claim. */
function ofToken(token: unknown, standing: Standing): Effect {
  if (!isRecord(token)) throw new RuleFault('context.accessToken is no object')
  const { scope, ...claims } = token
  return allowed(scopesOf(scope, standing), checked(claims), standing)
}

function allowed(
  wanted: readonly string[],
  claims: Readonly<Record<string, unknown>>,
  standing: Standing,
): Effect {
  if (JSON.stringify(claims).length > claimsCharsMax)
    throw new RuleFault(`its claims are longer than ${claimsCharsMax} characters`)
  return {
    allowed: true,
    scopes: standing.scopes.filter((scope) => wanted.includes(scope)),
    claims,
    beyond: wanted.filter((scope) => !standing.scopes.includes(scope)),
  }
}

/** Absent: as they are. */
function scopesOf(scope: unknown, { scopes }: Standing): readonly string[] {
  if (scope === undefined) return scopes
  if (typeof scope === 'string') return scope.split(' ').filter((one) => one !== '')
  if (Array.isArray(scope) && scope.every((one) => typeof one === 'string')) return scope
  throw new RuleFault('its scope is neither a text nor a list of texts')
}

function checked(claims: unknown): Record<string, unknown> {
  if (claims === undefined) return {}
  if (!isRecord(claims)) throw new RuleFault('its claims are no object')
  for (const name of Object.keys(claims)) {
    if (reserved.has(name)) throw new RuleFault(`it sets the reserved claim ${name}`)
    if (!/^[\x21-\x7e]{1,128}$/.test(name)) throw new RuleFault('it sets a claim whose name is no plain text')
  }
  return claims
}

function shortened(text: unknown, charsMax: number): string | undefined {
  return typeof text === 'string' && text !== '' ? text.slice(0, charsMax) : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
