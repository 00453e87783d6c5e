/**
 * What the feed has declared void, and whether a principal is among it. Broker and ingest each hold one.
 * Entries are forgotten when no token they could concern is alive any more.
 */
import type { Revocation } from '../contract/feed.ts'
import type { Principal } from '../contract/principal.ts'

/** The longest life of a token plus skew. */
const memoryMs = 24 * 3600_000 + 60_000

export class Revocations {
  readonly #credentials = new Map<string, number>()
  readonly #tokens = new Map<string, number>()
  readonly #clients = new Map<string, number>()

  apply(revocation: Revocation): void {
    if (revocation.of === 'credential') this.#credentials.set(revocation.credentialId, revocation.atMs)
    else if (revocation.of === 'token') this.#tokens.set(revocation.tokenId, revocation.atMs)
    else
      this.#clients.set(
        revocation.oauthClientId,
        Math.max(revocation.atMs, this.#clients.get(revocation.oauthClientId) ?? 0),
      )
  }

  /** A snapshot of the feed replaces all that was known. */
  replace(revocations: readonly Revocation[]): void {
    for (const map of [this.#credentials, this.#tokens, this.#clients]) map.clear()
    for (const revocation of revocations) this.apply(revocation)
  }

  isRevoked(
    principal: Pick<Principal, 'credentialId' | 'tokenId' | 'oauthClientId' | 'issuedAtSec'>,
  ): boolean {
    if (principal.credentialId !== undefined && this.#credentials.has(principal.credentialId)) return true
    if (this.#tokens.has(principal.tokenId)) return true
    const atMs = this.#clients.get(principal.oauthClientId)
    // `iat` has whole seconds; the issuer issues nothing within the second of the moment, so this cuts exactly.
    return atMs !== undefined && principal.issuedAtSec <= Math.floor(atMs / 1000)
  }

  /** Forgets what can meet no living token. */
  sweep(nowMs: number): void {
    for (const map of [this.#credentials, this.#tokens, this.#clients]) {
      for (const [id, atMs] of map) if (atMs + memoryMs < nowMs) map.delete(id)
    }
  }
}
