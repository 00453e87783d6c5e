/**
 * Calls to Auth0's Management API: one token for all, limits on the rate waited out, failures tried again, all of it until
 * a deadline. What the calls are for is in auth0.ts.
 */
import { createTokenSource } from '../../core/auth/token-source.ts'
import type { Fetch } from '../../core/auth/verifier.ts'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import { createBackoff } from '../../core/runtime/backoff.ts'

export interface ManagementOptions {
  /** Of the tenant, without a slash at the end. */
  readonly url: string
  readonly oauthClientId: string
  readonly clientSecret: string
  readonly fetch: Fetch
  /** Wall clock, Unix milliseconds: what Auth0 gives as a moment is in it. */
  readonly now: () => number
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly wait: (ms: number) => Promise<unknown>
  /** For all calls of one verb together; a registration is two, and callers of ours wait for ten seconds. */
  readonly timeoutMs?: number
}

export interface ManagementCall {
  /** What it is for, as an error names it. */
  readonly step: string
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below `/api/v2`. */
  readonly path: string
  readonly body?: unknown
  /** Answers besides success that the caller deals with. */
  readonly expected?: readonly number[]
  /** Asking again might do it twice: a failure whose outcome is unknown ends the call. */
  readonly once?: boolean
}

export interface ManagementAnswer {
  readonly status: number
  /** Undefined where there was none. */
  readonly body: unknown
}

export interface Management {
  /** The calls of one verb: they share a deadline. */
  begin(): (call: ManagementCall) => Promise<ManagementAnswer>
}

const attemptMs = 3000

export function createManagement(options: ManagementOptions): Management {
  const { url, fetch, now, nowMs, random, wait, timeoutMs = 4000 } = options
  const tokens = createTokenSource({
    credential: {
      issuer: `${url}/`,
      token_endpoint: `${url}/oauth/token`,
      client_id: options.oauthClientId,
      client_secret: options.clientSecret,
      token_endpoint_auth_method: 'client_secret_post',
    },
    audience: `${url}/api/v2/`,
    fetch,
    nowMs,
    random,
    timeoutMs: attemptMs,
  })

  async function attempt(call: ManagementCall, token: string, leftMs: number): Promise<Response> {
    return fetch(`${url}/api/v2${call.path}`, {
      method: call.method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      signal: AbortSignal.timeout(Math.max(1, Math.min(attemptMs, leftMs))),
      redirect: 'error',
    })
  }

  return {
    begin() {
      const endMs = nowMs() + timeoutMs
      return async (call) => {
        const backoff = createBackoff({ minMs: 200, maxMs: 2000, random })
        let isTokenNew = false
        for (;;) {
          const token = await tokenFor(call)
          const response = await attempt(call, token, endMs - nowMs()).catch((cause: unknown) => cause)
          if (response instanceof Response || isResponse(response)) {
            const { status } = response
            const body: unknown = await response.json().catch(() => undefined) // none, or none that is JSON
            if (response.ok || call.expected?.includes(status)) return { status, body }
            if (status === 401 && !isTokenNew) {
              isTokenNew = true
              tokens.invalidate(token)
              continue
            }
            if (status !== 429 && status < 500) throw refused(call, status, body)
            if (status !== 429 && call.once) throw away(call, `answered ${status}`)
            const pauseMs = status === 429 ? pauseOf(response.headers, now()) : undefined
            await pause(call, pauseMs ?? backoff.next(), `answered ${status}`)
          } else {
            if (call.once) throw away(call, 'does not answer', response)
            await pause(call, backoff.next(), 'does not answer', response)
          }
        }
      }

      async function pause(call: ManagementCall, ms: number, why: string, cause?: unknown): Promise<void> {
        if (nowMs() + ms >= endMs) throw away(call, why, cause)
        await wait(ms)
      }
    },
  }

  async function tokenFor(call: ManagementCall): Promise<string> {
    try {
      return (await tokens.get()).token
    } catch (error) {
      if (isFleetError(error, 'client.refused')) throw refused(call, 401, { error: error.safeDetail }, error)
      throw away(call, 'gives no token', error)
    }
  }
}

/** Another realm's `Response`, such as undici's own, is no instance of ours. */
function isResponse(value: unknown): value is Response {
  return typeof value === 'object' && value !== null && 'status' in value && 'headers' in value
}

/** `Retry-After` in seconds, or the moment in `x-ratelimit-reset`; milliseconds from now. */
function pauseOf(headers: Headers, nowMs: number): number | undefined {
  const afterSec = Number(headers.get('retry-after') ?? Number.NaN)
  if (Number.isFinite(afterSec)) return Math.max(0, afterSec * 1000)
  const resetSec = Number(headers.get('x-ratelimit-reset') ?? Number.NaN)
  return Number.isFinite(resetSec) ? Math.max(0, resetSec * 1000 - nowMs) : undefined
}

function away({ step }: ManagementCall, why: string, cause?: unknown): FleetError {
  const safeDetail = `Auth0 ${why}: ${step}; nothing is lost, ask again`
  return new FleetError('issuer.unavailable', safeDetail, {
    safeDetail,
    ...(cause === undefined ? {} : { cause }),
  })
}

/** What Auth0 says in words may repeat what it was sent: only its codes are kept. */
function refused({ step }: ManagementCall, status: number, body: unknown, cause?: unknown): FleetError {
  const { errorCode, error } = (body ?? {}) as { errorCode?: unknown; error?: unknown } // read as text only
  const code = [errorCode, error].find((one) => typeof one === 'string') ?? ''
  const safeDetail = `Auth0 refused: ${step}: ${status} ${String(code).slice(0, 100)}`.trim()
  return new FleetError('issuer.refused', safeDetail, {
    safeDetail,
    ...(cause === undefined ? {} : { cause }),
  })
}
