/** How issuers spell their claims: a row each. Pure; signature and times are the verifier's. */

import { Compile } from 'typebox/compile'
import { credentialIdPattern } from '../contract/credential.ts'
import { type DeviceId, type LotId, parseDeviceId, parseLotId } from '../contract/device.ts'
import { FleetError } from '../contract/errors.ts'
import { AclRule, type Principal } from '../contract/principal.ts'

export type Claims = Readonly<Record<string, unknown>>

export interface Dialect {
  /** The JOSE header `typ` to insist on. */
  readonly typ: string
  readonly requiredClaims: readonly string[]
  readonly clientIdOf: (claims: Claims) => unknown
  readonly deviceIdOf: (claims: Claims) => unknown
}

/** RFC 9068 §2.2 for ours; Auth0's classic access token profile; Keycloak's. */
export const dialects = {
  rfc9068: {
    typ: 'at+jwt',
    requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
    clientIdOf: (claims) => claims.client_id,
    deviceIdOf: (claims) => claims.device_id,
  },
  auth0: {
    typ: 'JWT',
    requiredClaims: ['iss', 'exp', 'aud', 'sub', 'azp', 'iat'],
    clientIdOf: (claims) => claims.azp,
    deviceIdOf: (claims) => claims.device_id,
  },
  keycloak: {
    typ: 'JWT',
    requiredClaims: ['iss', 'exp', 'aud', 'sub', 'azp', 'iat', 'jti'],
    clientIdOf: (claims) => claims.azp,
    deviceIdOf: (claims) => claims.device_id,
  },
} as const satisfies Record<string, Dialect>
export type DialectName = keyof typeof dialects

const aclRule = Compile(AclRule)
const aclRulesMax = 64
const credentialIdShape = new RegExp(credentialIdPattern)

/**
 * Claims whose signature, issuer, audience and times have been checked → who it is.
 * @throws FleetError `token.claims`
 */
export function principalOf(claims: Claims, dialect: Dialect): Principal {
  const oauthClientId = text(dialect.clientIdOf(claims), 'client_id')
  const subject = text(claims.sub, 'sub')
  const deviceClaim = dialect.deviceIdOf(claims)
  return {
    issuer: text(claims.iss, 'iss'),
    subject,
    oauthClientId,
    tokenId: claims.jti === undefined ? `${subject}@${claims.iat}` : text(claims.jti, 'jti'),
    issuedAtSec: seconds(claims.iat, 'iat'),
    expiresAtSec: seconds(claims.exp, 'exp'),
    scopes: scopes(claims.scope),
    deviceId: deviceClaim === undefined ? undefined : deviceId(deviceClaim),
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

function deviceId(value: unknown): DeviceId {
  const id = parseDeviceId(value)
  if (id === undefined) throw wrong('device_id')
  return id
}

/** Travels in the head of every frame of a handover, so the grammar matters. */
function credentialId(value: unknown): string {
  if (typeof value !== 'string' || !credentialIdShape.test(value)) throw wrong('cred')
  return value
}

/** RFC 6749 §3.3: space-delimited. */
function scopes(value: unknown): ReadonlySet<string> {
  if (value === undefined) return new Set()
  if (typeof value !== 'string') throw wrong('scope')
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
