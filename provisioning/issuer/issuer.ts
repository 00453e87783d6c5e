/** Who makes credentials and answers token requests: our own authorization server, or a hosted one. */
import type { AuthMethod, Client } from '../../core/contract/client.ts'
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
  /** Before anything is made. @throws FleetError `request.invalid` for what it cannot make */
  refuseUnusable?(client: Client, wanted: CredentialWanted): void
  /** Absent where the registry is all there is to keep. */
  readonly directory?: ClientDirectory | undefined
}

/**
 * A hosted issuer's own record of our clients. It is no part of our transactions: each call comes before the commit of
 * what it is for, and again when the caller tries again, and makes things so whatever was there. Only what takes access
 * away for good or for a while comes after the commit: an issuer that is away must not hold up a revocation.
 */
export interface ClientDirectory {
  /** The client with its grants, as they are to be. @returns what the issuer calls it, if it has a place there */
  put(client: Client): Promise<{ readonly issuerClientId?: string }>
  removeCredential(client: Client, credentialId: string): Promise<void>
  /** It is good until then, unless it is replaced. */
  endCredential(client: Client, credentialId: string, atMs: number): Promise<void>
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
  /** Where it is good, and how it is shown; absent: here. */
  readonly issuedBy?: {
    readonly issuer: string
    readonly tokenEndpoint: string
    readonly authMethod: AuthMethod
  }
  /** The kinds of credentials that it has put an end to, since there is no place for both. */
  readonly ends?: readonly StoredCredential['of'][]
}
