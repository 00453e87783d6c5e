/** How issuers spell their claims: a row each. Pure; signature and times are the verifier's. */

import { Compile } from 'typebox/compile'
import { credentialIdPattern } from '../contract/credential.ts'
import { type DeviceId, type LotId, parseDeviceId, parseLotId } from '../contract/device.ts'
import { FleetError } from '../contract/errors.ts'
import { AclRule, type Principal } from '../contract/principal.ts'

export type Claims = Readonly<Record<string, unknown>>

/** A place among the claims: the name of one, or a JSON Pointer into them (RFC 6901), which starts with a slash. */
export type ClaimPlace = string

export interface Dialect {
  /** The JOSE header `typ` to insist on; undefined: whatever it says. */
  readonly typ: string | undefined
  readonly requiredClaims: readonly string[]
  /** The first that is there counts. */
  readonly clientClaims: readonly ClaimPlace[]
  readonly deviceClaim: ClaimPlace
  /** Text with spaces between, or a list. */
  readonly scopeClaim: ClaimPlace
  readonly tokenIdClaim: ClaimPlace
  /** What the token must say of itself, where the header does not tell access tokens from others. */
  readonly says?: { readonly claim: ClaimPlace; readonly value: string }
}

const always = ['iss', 'exp', 'aud', 'sub', 'iat']
const usual = { deviceClaim: 'device_id', scopeClaim: 'scope', tokenIdClaim: 'jti' }

/** RFC 9068 §2.2 for ours; Auth0's classic access token profile; Keycloak's; Entra's, of both versions; and any other. */
export const dialects = {
  rfc9068: {
    ...usual,
    typ: 'at+jwt',
    requiredClaims: [...always, 'client_id', 'jti'],
    clientClaims: ['client_id'],
  },
  auth0: { ...usual, typ: 'JWT', requiredClaims: [...always, 'azp'], clientClaims: ['azp'] },
  keycloak: {
    ...usual,
    typ: 'JWT',
    requiredClaims: [...always, 'azp', 'jti'],
    clientClaims: ['azp'],
    // Its identity and refresh tokens have the same header.
    says: { claim: 'typ', value: 'Bearer' },
  },
  entra: {
    typ: 'JWT',
    requiredClaims: always,
    // Version 2 tokens have the first, version 1 the second.
    clientClaims: ['azp', 'appid'],
    deviceClaim: 'device_id',
    // What an application was given; `scp` is what a person let it do, and no machine’s.
    scopeClaim: 'roles',
    tokenIdClaim: 'uti',
  },
  custom: { ...usual, typ: undefined, requiredClaims: always, clientClaims: ['client_id', 'azp'] },
} as const satisfies Record<string, Dialect>
export type DialectName = keyof typeof dialects

/** Where one issuer puts things, when that is not where its kind does. */
export interface ClaimPlaces {
  readonly clientClaim?: ClaimPlace
  readonly deviceClaim?: ClaimPlace
  readonly scopeClaim?: ClaimPlace
}

export function dialectOf(name: DialectName, places: ClaimPlaces = {}): Dialect {
  const dialect: Dialect = dialects[name]
  const { clientClaim, deviceClaim = dialect.deviceClaim, scopeClaim = dialect.scopeClaim } = places
  return {
    ...dialect,
    deviceClaim,
    scopeClaim,
    ...(clientClaim === undefined ? {} : { clientClaims: [clientClaim] }),
  }
}

/** @returns undefined where there is nothing */
function claimAt(claims: Claims, place: ClaimPlace): unknown {
  if (!place.startsWith('/')) return Object.hasOwn(claims, place) ? claims[place] : undefined
  let found: unknown = claims
  for (const part of place.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined
    found = (found as Claims)[name] // just seen to be there
  }
  return found
}

const aclRule = Compile(AclRule)
const aclRulesMax = 64
const credentialIdShape = new RegExp(credentialIdPattern)

/**
 * Claims whose signature, issuer, audience and times have been checked → who it is.
 * @throws FleetError `token.claims`
 */
export function principalOf(claims: Claims, dialect: Dialect): Principal {
  const { clientClaims, tokenIdClaim, says } = dialect
  if (says !== undefined && claimAt(claims, says.claim) !== says.value) throw wrong(says.claim)
  const clientClaim = clientClaims.find((place) => claimAt(claims, place) !== undefined)
  const oauthClientId = text(clientClaim && claimAt(claims, clientClaim), clientClaims.join(' or '))
  const subject = text(claims.sub, 'sub')
  const deviceClaim = claimAt(claims, dialect.deviceClaim)
  const tokenId = claimAt(claims, tokenIdClaim)
  return {
    issuer: text(claims.iss, 'iss'),
    subject,
    oauthClientId,
    tokenId: tokenId === undefined ? `${subject}@${claims.iat}` : text(tokenId, tokenIdClaim),
    issuedAtSec: seconds(claims.iat, 'iat'),
    expiresAtSec: seconds(claims.exp, 'exp'),
    scopes: scopes(claimAt(claims, dialect.scopeClaim), dialect.scopeClaim),
    deviceId: deviceClaim === undefined ? undefined : deviceId(deviceClaim, dialect.deviceClaim),
    credentialId: claims.cred === undefined ? undefined : credentialId(claims.cred),
    acl: acl(claims.acl),
    lots: lots(claims.lots),
  }
}

function wrong(claim: string): FleetError {
  return new FleetError('token.claims', `claim ${claim} is missing or not allowed`)
}

function text(value: unknown, claim: string): string {
  if (typeof value !== 'string' || value === '' || value.length > 256) throw wrong(claim)
  return value
}

function seconds(value: unknown, claim: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(claim)
  return value
}

function deviceId(value: unknown, claim: string): DeviceId {
  const id = parseDeviceId(value)
  if (id === undefined) throw wrong(claim)
  return id
}

/** Travels in the head of every frame of a handover, so the grammar matters. */
function credentialId(value: unknown): string {
  if (typeof value !== 'string' || !credentialIdShape.test(value)) throw wrong('cred')
  return value
}

/** RFC 6749 §3.3: space-delimited; the claims of roles and permissions that others use instead are lists. */
function scopes(value: unknown, claim: string): ReadonlySet<string> {
  if (value === undefined) return new Set()
  if (Array.isArray(value) && claim !== 'scope') return new Set(value.map((one) => text(one, claim)))
  if (typeof value !== 'string') throw wrong(claim)
  return new Set(value.split(' ').filter((scope) => scope !== ''))
}

function acl(value: unknown): readonly AclRule[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.length > aclRulesMax || !value.every((rule) => aclRule.Check(rule)))
    throw wrong('acl')
  return value
}

function lots(value: unknown): ReadonlySet<LotId> | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw wrong('lots')
  return new Set(
    value.map((item) => {
      const lotId = parseLotId(item)
      if (lotId === undefined) throw wrong('lots')
      return lotId
    }),
  )
}
