/**
 * Access token → `Principal`: which issuer, its keys, signature and claims (RFC 7519, 8725, 9068).
 * Keys are loaded ahead, refreshed in the background and kept when a refresh fails, also across a restart where there
 * is a place to keep them: an issuer that is away locks nobody out. Revocation is not known here; it comes by the feed.
 */
import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, errors as joseErrors, jwtVerify } from 'jose'
import { type ErrorCode, FleetError, isFleetError } from '../contract/errors.ts'
import type { Principal } from '../contract/principal.ts'
import { type ClaimPlaces, type Dialect, type DialectName, dialectOf, principalOf } from './issuers.ts'

/** An issuer whose tokens are believed here. */
export interface TrustedIssuer extends ClaimPlaces {
  /** Exactly as in `iss`. */
  readonly issuer: string
  readonly audience: string
  /** RFC 8725 §3.1: the list is ours, never the token's. */
  readonly algorithms: readonly string[]
  readonly dialect: DialectName
  /** Absent: from the issuer's metadata (RFC 8414 §3, then OpenID Connect Discovery). */
  readonly jwksUri?: string
}

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>

/** A set of keys (RFC 7517 §5) as it was fetched. */
export interface KeptKeys {
  readonly text: string
  /** Wall clock, Unix milliseconds. */
  readonly fetchedAtMs: number
}

/** Where sets of keys outlive the process. Neither throws: it is a help, and nothing depends on it. */
export interface KeyCache {
  read(issuer: string): KeptKeys | undefined
  write(issuer: string, keys: KeptKeys): void
}

export interface KeysState {
  readonly issuer: string
  /** Age of the keys in milliseconds; undefined: there are none. */
  readonly ageMs: number | undefined
  /** The last look at the issuer failed: what is believed is what it said before. */
  readonly isKept: boolean
}

export interface Verifier {
  /**
   * @throws FleetError kind `refused`: the token is no good here; `keys.unavailable`: cannot be decided now
   */
  verify(token: string): Promise<Principal>
  /** Loads the keys of every issuer, or of this one. Rejects with `keys.unavailable` when there are none yet. */
  preload(issuer?: string): Promise<void>
  /** Fetches the keys again; errors leave the old ones in place. */
  refresh(): Promise<void>
  /** Of every issuer, in the order of the rows. */
  keys(): readonly KeysState[]
}

export interface VerifierOptions {
  readonly issuers: readonly TrustedIssuer[]
  readonly fetch: Fetch
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly clockToleranceSec?: number
  readonly cache?: KeyCache
  /** Beyond this age keys of an issuer that does not answer are believed no more; absent: for ever. */
  readonly keysAgeMaxMs?: number
  /** Once per change: an issuer has stopped answering, or answers again. */
  readonly onKeys?: (state: KeysState, error?: unknown) => void
}

/** A principal, and the set of keys that vouched for it. */
interface Verified {
  readonly principal: Principal
  readonly keys: IssuerKeys
  readonly generation: number
}

/** Longer than any token we issue, and short enough to be cheap to refuse. */
export const tokenCharsMax = 4096
const tokenLifeSecMax = 24 * 3600
const unknownKeyCooldownMs = 10_000
/** While an issuer without keys is away: whoever can send a token that names it would have it asked each time. */
const noKeysCooldownMs = 1000
const fetchTimeoutMs = 5000
const verifiedMax = 20_000

export function createVerifier(options: VerifierOptions): Verifier {
  const toleranceSec = options.clockToleranceSec ?? 30
  const trusted = new Map(options.issuers.map((issuer) => [issuer.issuer, new IssuerKeys(issuer, options)]))
  const verified = new Map<string, Verified>()

  async function verifyFresh(token: string): Promise<Verified> {
    const keys = trusted.get(claimedIssuer(token))
    if (keys === undefined) throw new FleetError('token.issuer', 'issuer is not trusted here')
    const { dialect } = keys
    const attempt = async () => {
      // Noted before the signature is checked: keys replaced meanwhile have not vouched for this token.
      const { generation } = keys
      const { payload } = await jwtVerify(token, keys.current(), {
        issuer: keys.issuer.issuer,
        audience: keys.issuer.audience,
        algorithms: [...keys.issuer.algorithms],
        requiredClaims: [...dialect.requiredClaims],
        clockTolerance: toleranceSec,
        currentDate: new Date(options.now()),
        ...(dialect.typ === undefined ? {} : { typ: dialect.typ }),
      })
      return { payload, generation }
    }
    await keys.loaded()
    const { payload, generation } = await attempt().catch(async (error: unknown) => {
      // A key published after our last look: one refetch for all who ask, and not more often than the cooldown.
      if (!(error instanceof joseErrors.JWKSNoMatchingKey) || !(await keys.refetchForUnknownKey()))
        throw error
      return attempt()
    })
    const principal = principalOf(payload, dialect)
    if (principal.expiresAtSec - principal.issuedAtSec > tokenLifeSecMax)
      throw new FleetError('token.claims', 'lives longer than 24 h')
    if (principal.issuedAtSec > options.now() / 1000 + toleranceSec)
      throw new FleetError('token.claims', 'issued in the future')
    return { principal, keys, generation }
  }

  return {
    async verify(token) {
      if (token.length > tokenCharsMax) throw new FleetError('token.malformed', 'longer than any token')
      // Never by the raw string alone: the entry also names the set of keys that vouched for it.
      const fingerprint = createHash('sha256').update(token).digest('base64')
      const known = verified.get(fingerprint)
      if (known !== undefined && known.generation === known.keys.generation && known.keys.areGood()) {
        if (known.principal.expiresAtSec + toleranceSec <= options.now() / 1000) {
          verified.delete(fingerprint)
          throw new FleetError('token.expired', 'token has expired')
        }
        return known.principal
      }
      const fresh = await verifyFresh(token).catch((error: unknown) => {
        throw refusal(error)
      })
      if (verified.size >= verifiedMax) verified.delete(verified.keys().next().value as string) // size > 0: oldest goes
      verified.set(fingerprint, fresh)
      return fresh.principal
    },
    async preload(issuer) {
      const wanted = [...trusted.values()].filter(
        (keys) => issuer === undefined || keys.issuer.issuer === issuer,
      )
      await Promise.all(wanted.map((keys) => keys.loaded()))
    },
    async refresh() {
      await Promise.allSettled([...trusted.values()].map((keys) => keys.fetch()))
    },
    keys: () => [...trusted.values()].map((keys) => keys.state()),
  }
}

/** Only chooses whose keys to ask; nothing else of an unverified token is used. */
function claimedIssuer(token: string): string {
  try {
    return decodeJwt(token).iss ?? ''
  } catch (cause) {
    throw new FleetError('token.malformed', 'not a JWT', { cause })
  }
}

function refusal(error: unknown): unknown {
  if (isFleetError(error) || !(error instanceof joseErrors.JOSEError)) return error
  const code: ErrorCode =
    error instanceof joseErrors.JWTExpired
      ? 'token.expired'
      : error instanceof joseErrors.JWTClaimValidationFailed
        ? error.claim === 'aud'
          ? 'token.audience'
          : 'token.claims'
        : error instanceof joseErrors.JWSSignatureVerificationFailed ||
            error instanceof joseErrors.JWKSNoMatchingKey
          ? 'token.signature'
          : 'token.malformed'
  return new FleetError(code, error.message, { cause: error })
}

/** The keys of one issuer: fetched once for however many ask, replaced only by a set that has a key. */
class IssuerKeys {
  readonly issuer: TrustedIssuer
  readonly dialect: Dialect
  /** Counts the sets of keys so far; a change voids what was verified with the one before. */
  generation = 0
  readonly #options: VerifierOptions
  #text = ''
  #keys: ReturnType<typeof createLocalJWKSet> | undefined
  #fetching: Promise<void> | undefined
  /** When the issuer was last asked, and when it last answered; wall clock. */
  #askedAtMs = Number.NEGATIVE_INFINITY
  #fetchedAtMs = Number.NEGATIVE_INFINITY
  #isAway = false

  constructor(issuer: TrustedIssuer, options: VerifierOptions) {
    this.issuer = issuer
    this.dialect = dialectOf(issuer.dialect, issuer)
    this.#options = options
  }

  /** Whether there are keys, and not too old to be believed. */
  areGood(): boolean {
    return this.#keys !== undefined && this.#isRecent(this.#fetchedAtMs)
  }

  state(): KeysState {
    const ageMs = this.#keys === undefined ? undefined : this.#options.now() - this.#fetchedAtMs
    return { issuer: this.issuer.issuer, ageMs, isKept: this.#isAway && this.areGood() }
  }

  current(): ReturnType<typeof createLocalJWKSet> {
    if (this.#keys === undefined || !this.areGood())
      throw new FleetError('keys.unavailable', `no keys of ${this.issuer.issuer} yet`)
    return this.#keys
  }

  async loaded(): Promise<void> {
    if (this.areGood()) return
    if (this.#isAway && this.#fetching === undefined && this.#wasAskedWithin(noKeysCooldownMs))
      throw new FleetError(
        'keys.unavailable',
        `keys of ${this.issuer.issuer} could not be loaded a moment ago`,
      )
    await this.fetch()
  }

  /** @returns whether a fetch took place: a new one, or one under way that this waited for */
  async refetchForUnknownKey(): Promise<boolean> {
    if (this.#fetching === undefined && this.#wasAskedWithin(unknownKeyCooldownMs)) return false
    await this.fetch().catch(() => undefined) // the old keys stay, and the token is refused for its unknown key
    return true
  }

  /** Not when the clock was set back since: that says nothing. */
  #wasAskedWithin(ms: number): boolean {
    const agoMs = this.#options.now() - this.#askedAtMs
    return agoMs >= 0 && agoMs < ms
  }

  fetch(): Promise<void> {
    this.#fetching ??= this.#loadOrKeep().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  async #loadOrKeep(): Promise<void> {
    const { cache, now, onKeys } = this.#options
    this.#askedAtMs = now()
    try {
      const uri = this.issuer.jwksUri ?? (await this.#discover())
      this.#take({ text: await this.#get(uri), fetchedAtMs: now() })
    } catch (cause) {
      const hadNone = this.#keys === undefined
      if (hadNone) this.#recall()
      if (!this.#isAway) {
        this.#isAway = true
        onKeys?.(this.state(), cause)
      }
      // Those from the last process are as good as those fetched before by this one.
      if (hadNone && this.areGood()) return
      throw new FleetError('keys.unavailable', `keys of ${this.issuer.issuer} could not be loaded`, { cause })
    }
    cache?.write(this.issuer.issuer, { text: this.#text, fetchedAtMs: this.#fetchedAtMs })
    if (!this.#isAway) return
    this.#isAway = false
    onKeys?.(this.state())
  }

  /** @throws when this is no set of keys; what was there stays */
  #take({ text, fetchedAtMs }: KeptKeys): void {
    const set = JSON.parse(text) as JSONWebKeySet
    if (!Array.isArray(set.keys) || set.keys.length === 0) throw new Error('the key set is empty')
    if (text !== this.#text) {
      this.#keys = createLocalJWKSet(set)
      this.#text = text
      this.generation++
    }
    this.#fetchedAtMs = fetchedAtMs
  }

  #recall(): void {
    const kept = this.#options.cache?.read(this.issuer.issuer)
    if (kept === undefined || kept.fetchedAtMs > this.#options.now() || !this.#isRecent(kept.fetchedAtMs))
      return
    try {
      this.#take(kept)
    } catch {
      // A file that is no set of keys: as if there were none.
    }
  }

  #isRecent(fetchedAtMs: number): boolean {
    const { keysAgeMaxMs = Number.POSITIVE_INFINITY, now } = this.#options
    return now() - fetchedAtMs <= keysAgeMaxMs
  }

  /** RFC 8414 §3.1: the well-known part stands between host and path; OpenID appends it. */
  async #discover(): Promise<string> {
    const { origin, pathname } = new URL(this.issuer.issuer)
    const path = pathname.replace(/\/$/, '')
    const text = await this.#get(`${origin}/.well-known/oauth-authorization-server${path}`).catch(() =>
      this.#get(`${origin}${path}/.well-known/openid-configuration`),
    )
    const metadata = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown }
    // RFC 8414 §3.3: metadata of another issuer must not be used.
    if (metadata.issuer !== this.issuer.issuer || typeof metadata.jwks_uri !== 'string')
      throw new Error('metadata does not fit the issuer')
    return metadata.jwks_uri
  }

  async #get(url: string): Promise<string> {
    const response = await this.#options.fetch(url, {
      signal: AbortSignal.timeout(fetchTimeoutMs),
      redirect: 'error',
    })
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return response.text()
  }
}
