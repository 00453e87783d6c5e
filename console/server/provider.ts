/**
 * People of an OpenID Connect provider: authorization code flow with PKCE, state and nonce. What a sign-in under way
 * must remember waits here, under an identifier that only the browser's cookie has.
 */
import { randomBytes } from 'node:crypto'
import * as oidc from 'openid-client'
import type { Fetch } from '../../core/auth/verifier.ts'
import { parseLotId } from '../../core/contract/device.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { type Role, roles } from '../roles.ts'
import type { Named } from '../sign-ins.ts'

export interface ProviderOptions {
  readonly issuer: string
  readonly oauthClientId: string
  readonly clientSecret: string
  readonly scope: string
  readonly roleClaim: string
  /** With the lots somebody is limited to; absent from a token: every lot. */
  readonly lotsClaim: string
  /** Of people without the claim; undefined: they are refused. */
  readonly roleDefault: Role | undefined
  /** Where the provider sends people back to. */
  readonly redirectUri: string
  readonly fetch: Fetch
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

export interface Provider {
  /** What people know it by. */
  readonly name: string
  /** @returns where to send the browser, and the identifier for its cookie */
  begin(): Promise<{ url: string; pendingId: string }>
  /**
   * @param search of the address that the browser came back to
   * @throws FleetError `sign_in.refused`, `issuer.unavailable`
   */
  finish(pendingId: string | undefined, search: string): Promise<Named>
}

interface Pending {
  readonly verifier: string
  readonly state: string
  readonly nonce: string
  readonly untilMs: number
}

const pendingLifeMs = 10 * 60_000
const pendingMax = 1000

export function createProvider(options: ProviderOptions): Provider {
  const pending = new Map<string, Pending>()
  let discovered: Promise<oidc.Configuration> | undefined

  /** Asked once; a provider that was away is asked again by whoever comes next. */
  function configuration(): Promise<oidc.Configuration> {
    discovered ??= discover(options).catch((cause: unknown) => {
      discovered = undefined
      throw new FleetError('issuer.unavailable', `${options.issuer} does not answer`, {
        cause,
        safeDetail: 'the identity provider does not answer; try again, or sign in with a local account',
      })
    })
    return discovered
  }

  function take(id: string | undefined): Pending | undefined {
    const known = pending.get(id ?? '')
    pending.delete(id ?? '')
    return known !== undefined && known.untilMs > options.nowMs() ? known : undefined
  }

  return {
    name: new URL(options.issuer).host,
    async begin() {
      const config = await configuration()
      const one: Pending = {
        verifier: oidc.randomPKCECodeVerifier(),
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        untilMs: options.nowMs() + pendingLifeMs,
      }
      const pendingId = randomBytes(32).toString('base64url')
      const [oldest] = pending.keys()
      if (pending.size >= pendingMax && oldest !== undefined) pending.delete(oldest)
      pending.set(pendingId, one)
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: options.redirectUri,
        scope: options.scope,
        code_challenge: await oidc.calculatePKCECodeChallenge(one.verifier),
        code_challenge_method: 'S256',
        state: one.state,
        nonce: one.nonce,
      })
      return { url: url.href, pendingId }
    },

    async finish(pendingId, search) {
      const one = take(pendingId)
      if (one === undefined)
        throw refused('the sign-in took too long or began in another browser; begin again')
      const config = await configuration()
      const back = new URL(options.redirectUri)
      back.search = search
      const tokens = await oidc
        .authorizationCodeGrant(config, back, {
          pkceCodeVerifier: one.verifier,
          expectedState: one.state,
          expectedNonce: one.nonce,
          idTokenExpected: true,
        })
        .catch((cause: unknown) => {
          throw refused('the identity provider did not let you in', cause)
        })
      const claims = tokens.claims() ?? {}
      const role = roleOf(claims, options)
      if (role === undefined)
        throw refused('the identity provider gives you no role here; ask its administrator')
      return { name: nameOf(claims), role, lots: lotsOf(claims, options) }
    },
  }
}

async function discover(options: ProviderOptions): Promise<oidc.Configuration> {
  const { issuer, oauthClientId, clientSecret } = options
  const isPlain = new URL(issuer).protocol === 'http:'
  return oidc.discovery(new URL(issuer), oauthClientId, clientSecret, undefined, {
    // Plaintext was refused at start, unless it is loopback or asked for by name.
    execute: isPlain ? [oidc.allowInsecureRequests] : [],
    [oidc.customFetch]: (url, init) => options.fetch(url, init as RequestInit),
    timeout: 10,
  })
}

type Claims = Readonly<Record<string, unknown>>

/** The highest that the claim names. Pure. */
export function roleOf(
  claims: Claims,
  { roleClaim, roleDefault }: Pick<ProviderOptions, 'roleClaim' | 'roleDefault'>,
): Role | undefined {
  const claim = claims[roleClaim]
  const named = Array.isArray(claim) ? claim : [claim]
  if (claim === undefined) return roleDefault
  return roles.findLast((role) => named.includes(role))
}

/**
 * A limit that cannot be understood lets nobody in: taken for none it would show every lot. Pure.
 * @throws FleetError `sign_in.refused`
 */
export function lotsOf(
  claims: Claims,
  { lotsClaim }: Pick<ProviderOptions, 'lotsClaim'>,
): readonly string[] | undefined {
  const claim = claims[lotsClaim]
  if (claim === undefined) return undefined
  const lots = Array.isArray(claim) ? claim : [claim]
  if (lots.length === 0 || !lots.every((lotId) => parseLotId(lotId) !== undefined))
    throw refused('the identity provider limits you to lots, but not to any there can be')
  return lots
}

/** A name that fits into audit logs; the subject when there is none. Pure. */
export function nameOf(claims: Claims): string {
  const known = [claims.preferred_username, claims.email, claims.sub].find(
    (name) => typeof name === 'string' && name !== '',
  )
  return String(known ?? 'somebody')
    .replace(/[^A-Za-z0-9._@-]/g, '-')
    .slice(0, 56)
}

function refused(safeDetail: string, cause?: unknown): FleetError {
  return new FleetError('sign_in.refused', safeDetail, { cause, safeDetail })
}
