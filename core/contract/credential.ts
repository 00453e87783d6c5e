/**
 * The credential file: how a machine knows who it is and where to prove it. Mode 0600, refused otherwise.
 * Members that OAuth has words for keep them (RFC 6749, 7591, 8414); the rest is camelCase.
 */
import { type Static, Type } from 'typebox'
import { identifierPattern } from './device.ts'

/** A client secret: 256 random bits with a prefix and a CRC-32, so that scanners and our log redaction know it. */
export const clientSecretPattern = '^lotsec_[A-Za-z0-9_-]{43}_[0-9a-f]{8}$'
export const credentialIdPattern = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'

export const CredentialFile = Type.Object(
  {
    v: Type.Literal(1),
    issuer: Type.String({ description: 'the authorization server, as in `iss`' }),
    token_endpoint: Type.String(),
    client_id: Type.String({ minLength: 1, maxLength: 128 }),
    client_secret: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    /** For `private_key_jwt` (RFC 7523): made where the file is and never sent anywhere; `kid` is sent when it has one. */
    private_key_jwk: Type.Optional(
      Type.Object({
        kty: Type.Enum(['OKP', 'EC', 'RSA']),
        alg: Type.Optional(Type.Enum(['EdDSA', 'ES256', 'RS256', 'PS256'])),
        d: Type.String({ minLength: 1 }),
      }),
    ),
    token_endpoint_auth_method: Type.Enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt']),
    credentialId: Type.Optional(Type.String({ pattern: credentialIdPattern })),
    /** Present in a device's file. */
    deviceId: Type.Optional(Type.String({ pattern: identifierPattern })),
    broker: Type.Optional(
      Type.Object(
        {
          url: Type.String({ description: 'mqtts://host:port' }),
          audience: Type.String(),
          renewal: Type.Union([Type.Literal('in_band'), Type.Literal('reconnect')], {
            description:
              'in_band only towards a broker known to answer authz-info: elsewhere it would leak the token',
          }),
          ca: Type.Optional(
            Type.String({
              description: 'certificate authority of the broker, PEM; absent: that of all servers',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    ca: Type.Optional(
      Type.String({ description: 'certificate authority to trust, PEM; absent: the system’s' }),
    ),
  },
  { additionalProperties: false, description: 'credentials.json' },
)
export type CredentialFile = Static<typeof CredentialFile>
