/**
 * Our own authorization server (`oauth/`) as the issuer: a credential is a secret of which the registry keeps the
 * keyed hash, or a public key.
 */
import { makeSecret, type SecretHasher } from '../oauth/secret.ts'
import type { Issuer } from './issuer.ts'

export interface OwnIssuerOptions {
  readonly issuerUrl: string
  readonly hash: SecretHasher
  readonly randomBytes: (count: number) => Uint8Array
}

export function createOwnIssuer({ issuerUrl, hash, randomBytes }: OwnIssuerOptions): Issuer {
  return {
    issuer: issuerUrl,
    tokenEndpoint: `${issuerUrl.replace(/\/$/, '')}/oauth/token`,
    async issueCredential(_client, { publicKey, expiresAtMs }) {
      const credentialId = `cred_${Buffer.from(randomBytes(12)).toString('base64url')}`
      if (publicKey !== undefined) {
        const { jwk, thumbprint } = publicKey
        return {
          clientSecret: undefined,
          stored: { of: 'key', credentialId, publicKey: jwk, thumbprint, expiresAtMs },
        }
      }
      const clientSecret = makeSecret(randomBytes(32))
      return {
        clientSecret,
        stored: { of: 'secret', credentialId, digest: hash(clientSecret), expiresAtMs },
      }
    },
  }
}
