/** Who makes credentials and answers token requests: our own authorization server, or a hosted one. */
import type { Client } from '../../core/contract/registry.ts'
import type { StoredSecret } from '../repository/repository.ts'

export interface Issuer {
  /** As in `iss`. */
  readonly issuer: string
  readonly tokenEndpoint: string
  /**
   * Makes a credential for a client, in addition to those it has. It is of no use before the registry
   * has committed `stored`, and nothing needs to be undone when that never happens.
   */
  issueCredential(client: Client): Promise<NewCredential>
}

/** The one moment when the secret is known; it is shown to who asked and kept nowhere. */
export interface NewCredential {
  readonly clientSecret: string
  readonly stored: StoredSecret
}
