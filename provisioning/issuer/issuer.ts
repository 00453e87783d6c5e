/** Who makes credentials and answers token requests: our own authorization server, or a hosted one. */
import type { Client } from '../../core/contract/client.ts'
import type { ClientKey } from '../public-key.ts'
import type { StoredCredential } from '../repository/repository.ts'

export interface Issuer {
  /** As in `iss`. */
  readonly issuer: string
  readonly tokenEndpoint: string
  /**
   * Makes a credential for a client, in addition to those it has. It is of no use before the registry
   * has committed `stored`, and nothing needs to be undone when that never happens.
   */
  issueCredential(client: Client, wanted: CredentialWanted): Promise<NewCredential>
  /** Absent where the registry is all there is to keep. */
  readonly directory?: ClientDirectory | undefined
}

/**
 * A hosted issuer's own record of our clients. It is no part of our transactions: each call comes before the commit of
 * what it is for, and again when the caller tries again, and makes things so whatever was there.
 */
export interface ClientDirectory {
  /** The client with its grants, as they are to be. @returns what the issuer calls it */
  put(client: Client): Promise<{ readonly issuerClientId: string }>
  removeCredential(client: Client, credentialId: string): Promise<void>
  /** With all it has there. */
  remove(client: Client): Promise<void>
}

export interface CredentialWanted {
  /** Absent: a secret is made. */
  readonly publicKey?: ClientKey | undefined
  /** Null: never. */
  readonly expiresAtMs: number | null
}

/** The one moment when the secret is known; it is shown to who asked and kept nowhere. */
export interface NewCredential {
  /** Undefined for a key: its private half is where it was made. */
  readonly clientSecret: string | undefined
  readonly stored: StoredCredential
}
