/**
 * What the registry holds and how operators ask it to change: lots, devices, assignments, clients.
 * Served by provisioning under `/v1`, used by lotctl; the feed carries the same shapes.
 */
import { type Static, Type } from 'typebox'
import { CredentialFile, credentialIdPattern } from './credential.ts'
import { identifierPattern } from './device.ts'

const Identifier = Type.String({ pattern: identifierPattern })
const Name = Type.String({ minLength: 1, maxLength: 200 })
const TimestampMs = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 })

/** Capacity that holds from an instant on, until the next entry. */
export const DatedCapacity = Type.Object(
  { fromMs: TimestampMs, capacity: Type.Integer({ minimum: 0 }) },
  { additionalProperties: false },
)
export type DatedCapacity = Static<typeof DatedCapacity>

export const Lot = Type.Object(
  {
    lotId: Identifier,
    name: Name,
    latitude: Type.Optional(Type.Number({ minimum: -90, maximum: 90 })),
    longitude: Type.Optional(Type.Number({ minimum: -180, maximum: 180 })),
    zone: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone of the lot' }),
    ),
    /** Ascending by `fromMs`; empty when nobody knows. */
    capacities: Type.Array(DatedCapacity, { maxItems: 1000 }),
  },
  { additionalProperties: false },
)
export type Lot = Static<typeof Lot>

export const DeviceState = Type.Union([
  Type.Literal('active'),
  Type.Literal('suspended'),
  Type.Literal('retired'),
])
export type DeviceState = Static<typeof DeviceState>

export const Device = Type.Object(
  { deviceId: Identifier, name: Name, state: DeviceState, registeredAtMs: TimestampMs },
  { additionalProperties: false },
)
export type Device = Static<typeof Device>

/** A device counts for one lot from an instant on; the next assignment of the device, or `toMs`, ends it. */
export const Assignment = Type.Object(
  {
    deviceId: Identifier,
    lotId: Identifier,
    fromMs: TimestampMs,
    /** Exclusive; null while it lasts. */
    toMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type Assignment = Static<typeof Assignment>

/** `PUT /v1/lots/{lotId}`: registers the lot or replaces what is known of it. */
export const LotRequest = Type.Omit(Lot, ['lotId'])
export type LotRequest = Static<typeof LotRequest>

/** `POST /v1/devices`: registers a device, assigns it, issues its first credential. */
export const DeviceRequest = Type.Object(
  {
    deviceId: Identifier,
    name: Type.Optional(Name),
    lotId: Type.Optional(Identifier),
    assignedFromMs: Type.Optional(TimestampMs),
  },
  { additionalProperties: false },
)
export type DeviceRequest = Static<typeof DeviceRequest>

/** The one time a secret is shown: the answer to registering a device or client, and to issuing a credential. */
export const IssuedCredential = Type.Object({ credential: CredentialFile }, { additionalProperties: false })
export type IssuedCredential = Static<typeof IssuedCredential>

/** A credential as the registry shows it: never the secret. */
export const CredentialRecord = Type.Object(
  {
    credentialId: Type.String({ pattern: credentialIdPattern }),
    oauthClientId: Type.String(),
    createdAtMs: TimestampMs,
    lastUsedAtMs: Type.Union([TimestampMs, Type.Null()]),
    revokedAtMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type CredentialRecord = Static<typeof CredentialRecord>

/** `POST /v1/devices/{deviceId}/assignments`. */
export const AssignmentRequest = Type.Object(
  { lotId: Identifier, fromMs: TimestampMs },
  { additionalProperties: false },
)
export type AssignmentRequest = Static<typeof AssignmentRequest>

export const ClientKind = Type.Union([
  Type.Literal('device'),
  Type.Literal('service'),
  Type.Literal('command-line'),
])
export type ClientKind = Static<typeof ClientKind>

/** The ceiling of what a client may get at an audience. */
export const ClientGrant = Type.Object(
  {
    audience: Type.String({ minLength: 1, maxLength: 256 }),
    scopes: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 64 }),
  },
  { additionalProperties: false },
)
export type ClientGrant = Static<typeof ClientGrant>

/** `POST /v1/clients`: registers a service or command-line client and issues its first credential. */
export const ClientRequest = Type.Object(
  {
    oauthClientId: Identifier,
    name: Type.Optional(Name),
    kind: Type.Union([Type.Literal('service'), Type.Literal('command-line')]),
    grants: Type.Array(ClientGrant, { maxItems: 16 }),
    /** An analyst's limit, carried in the `lots` claim. */
    lots: Type.Optional(Type.Array(Identifier, { maxItems: 1000 })),
  },
  { additionalProperties: false },
)
export type ClientRequest = Static<typeof ClientRequest>

export const Client = Type.Object(
  {
    oauthClientId: Type.String(),
    name: Name,
    kind: ClientKind,
    grants: Type.Array(ClientGrant),
    lots: Type.Optional(Type.Array(Identifier)),
  },
  { additionalProperties: false },
)
export type Client = Static<typeof Client>
