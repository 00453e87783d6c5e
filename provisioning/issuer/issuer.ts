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
