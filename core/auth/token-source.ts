/**
 * The client credentials request (RFC 6749 §4.4): one at a time, cached, renewed early at a random part of its life.
 * The device's own clock is not asked: life is `expires_in` on a monotonic clock.
 */
import { importJWK, type JWK, SignJWT } from 'jose'
import type { CredentialFile } from '../contract/credential.ts'
import { FleetError, isFleetError } from '../contract/errors.ts'
import type { Fetch } from './verifier.ts'

export interface AccessToken {
  readonly token: string
  /** On the monotonic clock of the source, milliseconds. */
  readonly expiresAtMs: number
  /** When to get the next one: 60–80 % of life. */
  readonly renewAtMs: number
}

export interface TokenSource {
  /**
   * A token that is good now; asks the issuer only when there is none or it is time to renew.
   * While a renewal is under way or has just failed, a token that has not expired goes on being handed out:
   * only the caller that began the renewal waits for it.
   * @throws FleetError `client.refused`, `token.unavailable`
   */
  get(): Promise<AccessToken>
  /** The token was refused somewhere: do not hand it out again. */
  invalidate(token: string): void
  /** How far the wall clock is ahead of the issuer's, by the `Date` of its last answer, in milliseconds. */
  readonly clockOffsetMs?: number | undefined
}

/** Where a token outlives the process. None of it throws: it is a help, and nothing depends on it. */
export interface KeptToken {
  /** The token of an earlier process, its times on the clock of this one; undefined: none that is good. */
  read(): AccessToken | undefined
  write(token: AccessToken): void
  forget(): void
}

export interface TokenSourceOptions {
  readonly credential: Pick<
    CredentialFile,
    | 'issuer'
    | 'client_id'
    | 'client_secret'
    | 'private_key_jwk'
    | 'token_endpoint_auth_method'
    | 'token_endpoint'
  >
  readonly audience: string
  /** Absent: all that was granted. */
  readonly scope?: string
  /** More parameters of the request, such as what an issuer of another kind asks for. */
  readonly parameters?: Readonly<Record<string, string>>
  readonly fetch: Fetch
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly timeoutMs?: number
  readonly kept?: KeptToken
}

const renewRetryMs = 10_000
/** An issuer that refuses needs an operator: it is not asked as often as one that is away. */
const refusedRetryMs = 60_000

export function createTokenSource(options: TokenSourceOptions): TokenSource {
  const { kept } = options
  let current = kept?.read()
  let asking: Promise<AccessToken> | undefined
  /** No renewal before this, while the token at hand is good. */
  let retryAtMs = Number.NEGATIVE_INFINITY
  const wall: WallClock = { offsetMs: undefined }

  const renew = () => {
    asking ??= requestInTime(options, wall)
      .then((token) => {
        current = token
        kept?.write(token)
        retryAtMs = Number.NEGATIVE_INFINITY
        return token
      })
      .finally(() => {
        asking = undefined
      })
    return asking
  }

  return {
    get clockOffsetMs() {
      return wall.offsetMs
    },
    async get() {
      const held = current
      const nowMs = options.nowMs()
      if (held === undefined || nowMs >= held.expiresAtMs) return renew()
      if (nowMs < held.renewAtMs || nowMs < retryAtMs) return held
      retryAtMs = nowMs + renewRetryMs
      return renew().catch((error: unknown) => {
        if (isFleetError(error, 'client.refused')) retryAtMs = options.nowMs() + refusedRetryMs
        if (options.nowMs() < held.expiresAtMs && current === held) return held
        throw error
      })
    },
    invalidate(token) {
      if (current?.token !== token) return
      current = undefined
      kept?.forget()
    },
  }
}

/** Ours beside the issuer's: a device's may be off by any time, and only assertions depend on it. */
interface WallClock {
  offsetMs: number | undefined
}

/** An assertion is refused when it is not of the issuer's time: what its answer says of that time is tried once. */
async function requestInTime(options: TokenSourceOptions, wall: WallClock): Promise<AccessToken> {
  const believedMs = wall.offsetMs ?? 0
  return requestToken(options, wall).catch((error: unknown) => {
    const isLate = Math.abs((wall.offsetMs ?? 0) - believedMs) > assertionOffMs
    if (isLate && isFleetError(error, 'client.refused') && options.credential.private_key_jwk !== undefined)
      return requestToken(options, wall)
    throw error
  })
}

async function requestToken(options: TokenSourceOptions, wall: WallClock): Promise<AccessToken> {
  const { credential } = options
  const form = new URLSearchParams({ grant_type: 'client_credentials', audience: options.audience })
  if (options.scope !== undefined) form.set('scope', options.scope)
  for (const [name, value] of Object.entries(options.parameters ?? {})) form.set(name, value)
  const headers: Record<string, string> = {
    'content-type': 'application/x-www-form-urlencoded',
    accept: 'application/json',
  }
  const secret = credential.client_secret ?? ''
  if (credential.token_endpoint_auth_method === 'client_secret_basic') {
    // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
    headers.authorization = `Basic ${btoa(`${encodeURIComponent(credential.client_id)}:${encodeURIComponent(secret)}`)}`
  } else if (credential.token_endpoint_auth_method === 'private_key_jwt') {
    form.set('client_id', credential.client_id)
    form.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    form.set('client_assertion', await assertionOf(credential, Date.now() - (wall.offsetMs ?? 0)))
  } else {
    form.set('client_id', credential.client_id)
    form.set('client_secret', secret)
  }
  const askedAtMs = options.nowMs()
  const response = await options
    .fetch(credential.token_endpoint, {
      method: 'POST',
      headers,
      body: form.toString(),
      redirect: 'error',
      signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
    })
    .catch((cause: unknown) => {
      throw new FleetError('token.unavailable', `${credential.token_endpoint} does not answer`, { cause })
    })
  const theirsMs = Date.parse(response.headers.get('date') ?? '')
  // Whole seconds, and some time on the wire: good enough for people and assertions.
  if (!Number.isNaN(theirsMs)) wall.offsetMs = Date.now() - theirsMs
  const answer: unknown = await response.json().catch(() => undefined) // not JSON: judged by its status
  const body = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>
  const { error, error_description: description } = body
  // RFC 6749 §5.2, where the server has its words.
  const words = `${String(error ?? response.status)}${description ? `: ${String(description)}` : ''}`
  if (response.status >= 500 || response.status === 429) {
    throw new FleetError('token.unavailable', `token endpoint answered ${response.status}: ${words}`)
  }
  if (!response.ok) {
    throw new FleetError('client.refused', `token endpoint: ${words}`, {
      safeDetail: String(error ?? response.status),
    })
  }
  const { access_token: token, expires_in: expiresInSec } = body
  if (typeof token !== 'string' || typeof expiresInSec !== 'number' || !(expiresInSec > 0)) {
    throw new FleetError(
      'token.unavailable',
      'the answer of the token endpoint lacks access_token or expires_in',
    )
  }
  // `exp` is mostly in whole seconds, and then up to one earlier than `expires_in` says.
  const lifeMs = Math.max(expiresInSec - 1, expiresInSec / 2) * 1000
  // Counted from before the request, so that time on the wire shortens the life and never lengthens it.
  return {
    token,
    expiresAtMs: askedAtMs + lifeMs,
    renewAtMs: askedAtMs + lifeMs * (0.6 + 0.2 * options.random()),
  }
}

/** RFC 7523 §3 allows issuers to refuse what lives long; half of their usual five minutes leaves room for clocks on both sides. */
const assertionLifeSec = 150
/** Clocks that differ by less do not make an assertion wrong. */
const assertionOffMs = 20_000

/**
 * A client assertion (RFC 7523 §2.2), for one request. This is where the wall clock counts, so it is
 * corrected by what the issuer said of its own.
 */
async function assertionOf(credential: TokenSourceOptions['credential'], nowMs: number): Promise<string> {
  const { client_id: oauthClientId, issuer, private_key_jwk: jwk } = credential
  if (jwk === undefined) throw new FleetError('credential.invalid', 'private_key_jwt without private_key_jwk')
  const { kid } = jwk as JWK
  const alg = jwk.alg ?? algOf[jwk.kty]
  const key = await importJWK(jwk, alg).catch((cause: unknown) => {
    throw new FleetError('credential.invalid', 'private_key_jwk is not a private key', { cause })
  })
  return new SignJWT()
    .setProtectedHeader({ alg, typ: 'JWT', ...(kid === undefined ? {} : { kid }) })
    .setIssuer(oauthClientId)
    .setSubject(oauthClientId)
    .setAudience(issuer)
    .setExpirationTime(Math.floor(nowMs / 1000) + assertionLifeSec)
    .setJti(crypto.randomUUID())
    .sign(key)
}

const algOf = { OKP: 'EdDSA', EC: 'ES256', RSA: 'RS256' } as const
