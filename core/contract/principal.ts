/** Who a token speaks for, and what it may do: audiences, scopes, topic rights. */
import { type Static, Type } from 'typebox'
import type { DeviceId, LotId } from './device.ts'

export const audiences = {
  broker: 'urn:lotwatch:broker',
  ingest: 'urn:lotwatch:ingest',
  provisioning: 'urn:lotwatch:provisioning',
} as const
export type Audience = (typeof audiences)[keyof typeof audiences]

/** Every scope, by the audience it belongs to, with its meaning. */
export const scopesOf = {
  [audiences.broker]: {
    'publish:readings': 'publish readings, status and replies as a device',
    'receive:commands': 'receive configuration and commands as a device',
    'read:connections': 'see who is connected',
    'manage:connections': 'close connections',
  },
  [audiences.ingest]: {
    'write:readings': 'hand over readings of devices (brokers)',
    'read:readings': 'query readings',
    'query:sql': 'run read-only SQL',
    'manage:quarantine': 'release what is in quarantine',
    'manage:store': 'back up, archive and restore',
  },
  [audiences.provisioning]: {
    'read:devices': 'see devices, lots and assignments',
    'manage:devices': 'register, assign, suspend and retire devices; manage lots',
    'manage:clients': 'register clients, issue and revoke their credentials',
    'manage:apis': 'manage audiences and their scopes',
    'manage:rules': 'manage the rules that run at token time',
    'manage:keys': 'rotate signing keys',
    'read:audit': 'read the audit log',
    'read:feed': 'follow the feed (brokers, ingest)',
    'report:presence': 'report connects and disconnects (brokers)',
  },
} as const satisfies Record<Audience, Record<string, string>>

/** One topic right, in the ordered form of EMQX's `acl` claim; here no match means deny. */
export const AclRule = Type.Object(
  {
    permission: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
    action: Type.Union([Type.Literal('publish'), Type.Literal('subscribe'), Type.Literal('all')]),
    topic: Type.String({
      minLength: 1,
      maxLength: 256,
      description: 'a filter; ${clientid} and ${username} stand for a whole segment; "eq X" is X literally',
    }),
    qos: Type.Optional(Type.Array(Type.Union([Type.Literal(0), Type.Literal(1), Type.Literal(2)]))),
    retain: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type AclRule = Static<typeof AclRule>

/** What a verified access token proves. */
export interface Principal {
  readonly issuer: string
  readonly subject: string
  readonly oauthClientId: string
  /** `jti`. */
  readonly tokenId: string
  readonly issuedAtSec: number
  readonly expiresAtSec: number
  readonly scopes: ReadonlySet<string>
  readonly deviceId: DeviceId | undefined
  /** `cred`: which of the client's credentials asked for the token. */
  readonly credentialId: string | undefined
  /** Undefined when the issuer sends none: rights then come from the scopes. */
  readonly acl: readonly AclRule[] | undefined
  /** `lots`: an analyst's limit; undefined means every lot. */
  readonly lots: ReadonlySet<LotId> | undefined
}

/** The rights a device of our own issuer gets, closed by a rule that denies the rest, for brokers that default to allow. */
export function deviceAcl(scopes: ReadonlySet<string>): AclRule[] {
  return [
    ...(scopes.has('publish:readings') ? publishing : []),
    ...(scopes.has('receive:commands') ? receiving : []),
    renewing,
    nothingElse,
  ]
}

const allow = (action: 'publish' | 'subscribe', topic: string): AclRule => ({
  permission: 'allow',
  action,
  topic,
})
const publishing = ['readings', 'status', 'replies'].map((kind) =>
  allow('publish', `devices/\${clientid}/${kind}`),
)
const receiving = ['config', 'commands'].map((kind) => allow('subscribe', `devices/\${clientid}/${kind}`))
const renewing = allow('publish', 'authz-info')
const nothingElse: AclRule = { permission: 'deny', action: 'all', topic: '#' }
