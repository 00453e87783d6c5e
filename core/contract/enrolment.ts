/**
 * How a board becomes a device: an enrolment key from an operator, a key pair made on the device, and a credential
 * file in return (`POST /v1/enrol`). The private key never travels.
 */
import { type Static, Type } from 'typebox'
import { CredentialFile } from './credential.ts'
import { Board, Identifier, Name, Tags, TimestampMs } from './registry.ts'

/** 256 random bits with a prefix and a CRC-32, as client secrets have. */
export const enrolKeyPattern = '^lotenr_[A-Za-z0-9_-]{43}_[0-9a-f]{8}$'

export const EnrolKey = Type.Object(
  {
    enrolKeyId: Identifier,
    /** What it is for, for people. */
    name: Type.Optional(Name),
    /** Devices that enrol with it count for this lot from then on. */
    lotId: Type.Optional(Identifier),
    tags: Tags,
    usesMax: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** Enrolments made with it, pending ones included. */
    uses: Type.Integer({ minimum: 0 }),
    createdAtMs: TimestampMs,
    expiresAtMs: TimestampMs,
    approval: Type.Enum(['automatic', 'manual']),
    /** Board serials that may use it; absent: any. */
    serials: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 10_000 })),
    /** Only for this device, registered before; absent: for new ones. */
    deviceId: Type.Optional(Identifier),
    revokedAtMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type EnrolKey = Static<typeof EnrolKey>

/** `POST /v1/enrol-keys`. */
export const EnrolKeyRequest = Type.Object(
  {
    name: EnrolKey.properties.name,
    lotId: EnrolKey.properties.lotId,
    tags: Type.Optional(Tags),
    usesMax: Type.Optional(EnrolKey.properties.usesMax),
    /** Default 24 h. */
    lifeSec: Type.Optional(Type.Integer({ minimum: 60, maximum: 366 * 86_400 })),
    approval: Type.Optional(EnrolKey.properties.approval),
    serials: EnrolKey.properties.serials,
    deviceId: EnrolKey.properties.deviceId,
  },
  { additionalProperties: false },
)
export type EnrolKeyRequest = Static<typeof EnrolKeyRequest>

/** The one time the key is shown. */
export const IssuedEnrolKey = Type.Object(
  { enrolKey: EnrolKey, key: Type.String({ pattern: enrolKeyPattern }) },
  { additionalProperties: false },
)
export type IssuedEnrolKey = Static<typeof IssuedEnrolKey>

/** RFC 7517, RFC 8037: the public half of an Ed25519 or P-256 key. */
export const DevicePublicKey = Type.Union([
  Type.Object({
    kty: Type.Literal('OKP'),
    crv: Type.Literal('Ed25519'),
    x: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
  }),
  Type.Object({
    kty: Type.Literal('EC'),
    crv: Type.Literal('P-256'),
    x: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
    y: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' }),
  }),
])
export type DevicePublicKey = Static<typeof DevicePublicKey>

/**
 * `POST /v1/enrol`, by a device that has no token. One of: an enrolment `key`; `previous`, the proof of the old key;
 * `secret`, the client secret that it has; none of them, with a `deviceId` whose window an operator has opened.
 * Asking again with the same public key gives the same answer: the answer to the first may have been lost.
 */
export const EnrolRequest = Type.Object(
  {
    publicKey: DevicePublicKey,
    /**
     * Proof that the device has the private key: a JWS (`typ: enrol+jwt`) by it with `aud` the issuer, `iat`,
     * `exp` at most 5 min later, `jti`.
     */
    proof: Type.String({ maxLength: 2048 }),
    key: Type.Optional(Type.String({ maxLength: 128 })),
    /** Wanted, or had before. */
    deviceId: Type.Optional(Identifier),
    name: Type.Optional(Name),
    board: Type.Optional(Board),
    /**
     * By the old private key (`typ: enrol+jwt`): `iss` and `sub` the deviceId, `aud`, `iat`, `exp`, `jti` as above, and
     * `jkt`, the RFC 7638 thumbprint of the new key.
     */
    previous: Type.Optional(Type.String({ maxLength: 2048 })),
    /** The client secret of `deviceId`, which gets a key instead. */
    secret: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
  },
  { additionalProperties: false },
)
export type EnrolRequest = Static<typeof EnrolRequest>

/** 201 `enrolled`; 202 `pending`: an operator compares the fingerprint and approves; ask again. */
export const EnrolAnswer = Type.Union([
  Type.Object(
    {
      status: Type.Literal('enrolled'),
      /** Without `private_key_jwk`: that is with the device. */
      credential: CredentialFile,
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      status: Type.Literal('pending'),
      enrolmentId: Identifier,
      fingerprint: Type.String(),
      retryAfterSec: Type.Integer({ minimum: 1 }),
    },
    { additionalProperties: false },
  ),
])
export type EnrolAnswer = Static<typeof EnrolAnswer>

/** One board that enrolled, or wants to. */
export const Enrolment = Type.Object(
  {
    enrolmentId: Identifier,
    /** Absent: on proof of the old key, or in a window. */
    enrolKeyId: Type.Optional(Identifier),
    deviceId: Identifier,
    name: Type.Optional(Name),
    publicKey: DevicePublicKey,
    /** RFC 7638 thumbprint of the public key, in groups for people. */
    fingerprint: Type.String(),
    board: Type.Optional(Board),
    state: Type.Enum(['pending', 'approved', 'rejected']),
    createdAtMs: TimestampMs,
    decidedAtMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type Enrolment = Static<typeof Enrolment>
