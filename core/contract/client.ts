/**
 * Who may have tokens for what: APIs (audiences), clients, their grants and credentials, and how operators ask for
 * changes to them. Served by provisioning under `/v1`, used by lotctl. Devices are clients too.
 */
import { type Static, Type } from 'typebox'
import { CredentialFile, credentialIdPattern } from './credential.ts'
import { Identifier, Name, TimestampMs } from './registry.ts'

export const Audience = Type.String({
  pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,256}$',
  description: 'an audience: at most 256 printable characters without space, quote and backslash',
})

/** RFC 6749 §3.3. */
export const Scope = Type.String({
  pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,64}$',
  description: 'a scope: at most 64 printable characters without space, quote and backslash',
})

/** How many tokens may be issued. Windows are whole hours and days in UTC. */
export const Quota = Type.Object(
  {
    perHour: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 })),
    perDay: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000 })),
  },
  { additionalProperties: false },
)
export type Quota = Static<typeof Quota>

export const SigningAlg = Type.Enum(['ES256', 'RS256', 'EdDSA'])
export type SigningAlg = Static<typeof SigningAlg>

/** What access tokens look like: RFC 9068, or Auth0's classic profile (`azp`, `gty`, `sub` `<id>@clients`, `typ: JWT`). */
export const TokenDialect = Type.Enum(['rfc9068', 'auth0'])
export type TokenDialect = Static<typeof TokenDialect>

/** A protected API: what tokens are issued for. */
export const Api = Type.Object(
  {
    audience: Audience,
    name: Name,
    scopes: Type.Array(
      Type.Object(
        { scope: Scope, description: Type.String({ maxLength: 400 }) },
        { additionalProperties: false },
      ),
      { maxItems: 256 },
    ),
    /** Seconds; absent: the setting. */
    tokenLifeSec: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
    alg: SigningAlg,
    dialect: TokenDialect,
    /** For all its clients together. */
    quota: Type.Optional(Quota),
    /** One of Lotwatch itself: its scopes, algorithm and dialect are fixed, and it cannot be removed. */
    builtIn: Type.Boolean(),
  },
  { additionalProperties: false },
)
export type Api = Static<typeof Api>

/** `PUT /v1/apis/{audience}` (percent-encoded): registers the API or replaces what is known of it. */
export const ApiRequest = Type.Object(
  {
    name: Name,
    scopes: Api.properties.scopes,
    tokenLifeSec: Api.properties.tokenLifeSec,
    alg: Type.Optional(SigningAlg),
    dialect: Type.Optional(TokenDialect),
    quota: Type.Optional(Quota),
  },
  { additionalProperties: false },
)
export type ApiRequest = Static<typeof ApiRequest>

export const ClientKind = Type.Enum(['device', 'service', 'command-line'])
export type ClientKind = Static<typeof ClientKind>

/** The ceiling of what a client may get at an audience. */
export const ClientGrant = Type.Object(
  { audience: Audience, scopes: Type.Array(Scope, { maxItems: 64 }) },
  { additionalProperties: false },
)
export type ClientGrant = Static<typeof ClientGrant>

/** The ways to authenticate at the token endpoint (RFC 7591 §2). */
export const AuthMethod = Type.Enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt'])
export type AuthMethod = Static<typeof AuthMethod>

/** Text by name, for people and rules: no secrets. */
export const Metadata = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$' }),
  Type.String({ maxLength: 256 }),
  { maxProperties: 32 },
)

export const Client = Type.Object(
  {
    /** A device's is its deviceId. */
    oauthClientId: Type.String(),
    name: Name,
    kind: ClientKind,
    /** Grant types switched on; without `client_credentials` it gets no token. */
    grantTypes: Type.Array(Type.Enum(['client_credentials']), { uniqueItems: true }),
    /** Those it may use. */
    authMethods: Type.Array(AuthMethod, { uniqueItems: true }),
    grants: Type.Array(ClientGrant),
    metadata: Metadata,
    /** An analyst's limit, carried in the `lots` claim. */
    lots: Type.Optional(Type.Array(Identifier)),
    quota: Type.Optional(Quota),
    /** What a hosted issuer calls it, as its tokens do; absent with our own issuer. */
    issuerClientId: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  },
  { additionalProperties: false },
)
export type Client = Static<typeof Client>

/** `POST /v1/clients`: registers a service or command-line client and issues its first credential. */
export const ClientRequest = Type.Object(
  {
    oauthClientId: Identifier,
    name: Type.Optional(Name),
    kind: Type.Enum(['service', 'command-line']),
    grants: Type.Optional(Type.Array(ClientGrant, { maxItems: 64 })),
    grantTypes: Type.Optional(Client.properties.grantTypes),
    authMethods: Type.Optional(Client.properties.authMethods),
    metadata: Type.Optional(Metadata),
    lots: Type.Optional(Type.Array(Identifier, { maxItems: 1000 })),
    quota: Type.Optional(Quota),
    /** The client's public key, as JWK or PEM (SPKI); absent: it gets a secret. */
    publicKey: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
)
export type ClientRequest = Static<typeof ClientRequest>

/** `PATCH /v1/clients/{oauthClientId}`: absent members stay as they are, null takes away. */
export const ClientPatch = Type.Object(
  {
    name: Type.Optional(Name),
    grantTypes: Type.Optional(Client.properties.grantTypes),
    authMethods: Type.Optional(Client.properties.authMethods),
    metadata: Type.Optional(Metadata),
    lots: Type.Optional(Type.Union([Type.Array(Identifier, { maxItems: 1000 }), Type.Null()])),
    quota: Type.Optional(Type.Union([Quota, Type.Null()])),
  },
  { additionalProperties: false },
)
export type ClientPatch = Static<typeof ClientPatch>

/** `PUT /v1/clients/{oauthClientId}/grants/{audience}` (percent-encoded). */
export const GrantRequest = Type.Object(
  { scopes: ClientGrant.properties.scopes },
  { additionalProperties: false },
)
export type GrantRequest = Static<typeof GrantRequest>

/** The one time a secret is shown: the answer to registering a device or client, and to issuing a credential. */
export const IssuedCredential = Type.Object({ credential: CredentialFile }, { additionalProperties: false })
export type IssuedCredential = Static<typeof IssuedCredential>

/** A credential as the registry shows it: never the secret. */
export const CredentialRecord = Type.Object(
  {
    credentialId: Type.String({ pattern: credentialIdPattern }),
    oauthClientId: Type.String(),
    of: Type.Enum(['secret', 'key']),
    /** RFC 7638, SHA-256, of a key: what people compare. */
    thumbprint: Type.Optional(Type.String()),
    createdAtMs: TimestampMs,
    lastUsedAtMs: Type.Union([TimestampMs, Type.Null()]),
    /** Exclusive; null: it does not expire. */
    expiresAtMs: Type.Union([TimestampMs, Type.Null()]),
    revokedAtMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type CredentialRecord = Static<typeof CredentialRecord>

/** `POST …/credentials`: another credential beside those there are; `POST …/rotate`: and the others end after the grace. */
export const CredentialRequest = Type.Object(
  {
    /** As in ClientRequest. */
    publicKey: Type.Optional(Type.Unknown()),
    /** Of the new one. */
    expiresAtMs: Type.Optional(TimestampMs),
  },
  { additionalProperties: false },
)
export type CredentialRequest = Static<typeof CredentialRequest>

export const RotateRequest = Type.Object(
  {
    publicKey: Type.Optional(Type.Unknown()),
    /** How long the others still work; 0: no longer. */
    graceSec: Type.Integer({ minimum: 0, maximum: 366 * 86_400, default: 7 * 86_400 }),
  },
  { additionalProperties: false },
)
export type RotateRequest = Static<typeof RotateRequest>
