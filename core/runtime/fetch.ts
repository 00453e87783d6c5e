/** HTTP for programs: `fetch` with a private certificate authority, JSON calls with a bearer token, and server-sent events that come back. */
import { setTimeout as delay } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import { createParser } from 'eventsource-parser'
import { Agent, fetch as undiciFetch } from 'undici'
import type { TokenSource } from '../auth/token-source.ts'
import type { Fetch } from '../auth/verifier.ts'
import { type ErrorCode, errorCodes, FleetError } from '../contract/errors.ts'
import { createBackoff } from './backoff.ts'

/**
 * Whom servers of others are believed by: authorities that everybody knows, and our own. Ours are believed by that alone.
 * @returns undefined without an authority of our own: the system's
 */
export function authoritiesOfOthers(ca: string | undefined): readonly string[] | undefined {
  return ca === undefined ? undefined : [...rootCertificates, ca]
}

/** @param ca the authorities that are trusted, PEM; absent: the system's */
export function createFetch(options: { ca?: string | readonly string[] | undefined } = {}): Fetch {
  const dispatcher = new Agent({
    keepAliveTimeout: 30_000,
    ...(options.ca === undefined ? {} : { connect: { ca: [options.ca].flat() } }),
  })
  // undici's types are its own copies of the same web types.
  return (url, init) => undiciFetch(url, { ...(init as object), dispatcher }) as unknown as Promise<Response>
}

export interface ApiRequest {
  readonly method?: string
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>
  readonly body?: unknown
  /** A body that is not JSON, instead of `body`. */
  readonly text?: { readonly type: string; readonly content: string }
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface Api {
  /** @throws FleetError with the code of the problem document, or `unavailable` as given */
  json<Answer>(path: string, request?: ApiRequest): Promise<Answer>
  /** The raw answer, already checked for success. */
  response(path: string, request?: ApiRequest): Promise<Response>
}

/** JSON calls to one of our programs with a bearer token; a refused token is renewed once. */
export function createApi(options: {
  baseUrl: string
  tokens: TokenSource
  fetch: Fetch
  unavailable: ErrorCode
}): Api {
  async function once(path: string, request: ApiRequest, token: string): Promise<Response> {
    const url = new URL(options.baseUrl.replace(/\/$/, '') + path)
    for (const [name, value] of Object.entries(request.query ?? {})) {
      for (const item of Array.isArray(value) ? value : [value])
        if (item !== undefined) url.searchParams.append(name, String(item))
    }
    const headers = {
      authorization: `Bearer ${token}`,
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(request.text === undefined ? {} : { 'content-type': request.text.type }),
      ...request.headers,
    }
    return options
      .fetch(url.href, {
        method: request.method ?? 'GET',
        headers,
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        ...(request.text === undefined ? {} : { body: request.text.content }),
        signal: request.signal ?? AbortSignal.timeout(request.timeoutMs ?? 10_000),
      })
      .catch((cause: unknown) => {
        throw new FleetError(options.unavailable, `${url.origin} does not answer`, { cause })
      })
  }

  async function response(path: string, request: ApiRequest = {}): Promise<Response> {
    const { token } = await options.tokens.get()
    const first = await once(path, request, token)
    if (first.status !== 401) return checked(first, options.unavailable)
    await first.body?.cancel()
    options.tokens.invalidate(token)
    return checked(await once(path, request, (await options.tokens.get()).token), options.unavailable)
  }

  return {
    response,
    async json<Answer>(path: string, request?: ApiRequest) {
      const answer = await response(path, request)
      const read = async (): Promise<unknown> => (answer.status === 204 ? undefined : answer.json())
      return (await read().catch((cause: unknown) => {
        throw new FleetError(options.unavailable, `the answer to ${path} broke off or is not JSON`, { cause })
      })) as Answer // its shape is the caller's word
    },
  }
}

/** The body of an answer as it comes in; an answer without one has no pieces. */
export async function* piecesOf(response: Response): AsyncIterable<Uint8Array> {
  // The web's type of the stream does not know that it can be iterated.
  if (response.body !== null) yield* response.body as unknown as AsyncIterable<Uint8Array>
}

async function checked(response: Response, unavailable: ErrorCode): Promise<Response> {
  if (response.ok) return response
  const answer: unknown = await response.json().catch(() => undefined) // no problem document: judged by its status
  const problem: { code?: unknown; title?: unknown; detail?: unknown; faults?: unknown } =
    typeof answer === 'object' && answer !== null ? answer : {}
  const code = isErrorCode(problem.code) ? problem.code : codeOfStatus(response.status, unavailable)
  const faults = Array.isArray(problem.faults) ? problem.faults.map(String) : []
  throw new FleetError(code, `${response.status} ${String(problem.detail ?? problem.title ?? '')}`.trim(), {
    faults,
    ...(typeof problem.detail === 'string' ? { safeDetail: problem.detail } : {}),
  })
}

function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCodes, value)
}

function codeOfStatus(status: number, unavailable: ErrorCode): ErrorCode {
  if (status >= 500 || status === 429) return unavailable
  return status === 401 ? 'token.claims' : 'request.invalid'
}

export interface EventStream {
  /** Resolves when the stream has ended for good, after `stop`. */
  readonly done: Promise<void>
  stop(): void
}

/** The longest wait before coming back; a stream that lived longer starts over with short ones. */
const returnMsMax = 5000

/**
 * Follows server-sent events for ever: comes back with `Last-Event-ID` and full jitter, and hangs up on a stream
 * that has been silent for `silentMs` (the server sends a comment more often than that).
 */
export function followEvents(options: {
  api: Api
  path: string
  silentMs: number
  random: () => number
  /** When it throws, the stream is asked for anew without a position. */
  onEvent: (event: { type: string; data: string }) => void
  /** Something has come: an event or a comment, in part perhaps. */
  onHeard?: () => void
  /** Once per change: connected, or away with the reason. */
  onState?: (state: { connected: true } | { connected: false; error: unknown }) => void
}): EventStream {
  const stopped = new AbortController()
  const backoff = createBackoff({ minMs: 200, maxMs: returnMsMax, random: options.random })
  let lastEventId: string | undefined
  let isConnected: boolean | undefined

  async function followOnce(): Promise<void> {
    const silent = new AbortController()
    let timer = setTimeout(() => silent.abort(new Error('stream is silent')), options.silentMs)
    const heard = () => {
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(new Error('stream is silent')), options.silentMs)
    }
    const parser = createParser({
      onEvent: (event) => {
        // An event that cannot be handled would only come again: begin from the start then.
        const position = lastEventId
        lastEventId = undefined
        options.onEvent({ type: event.event ?? 'message', data: event.data })
        lastEventId = event.id ?? position
      },
    })
    try {
      const response = await options.api.response(options.path, {
        headers: {
          accept: 'text/event-stream',
          ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
        },
        signal: AbortSignal.any([stopped.signal, silent.signal]),
      })
      isConnected = true
      options.onState?.({ connected: true })
      const connectedAtMs = performance.now()
      const decoder = new TextDecoder()
      for await (const chunk of piecesOf(response)) {
        heard()
        options.onHeard?.()
        // A server that hangs up right after hello is not hammered.
        if (performance.now() - connectedAtMs > returnMsMax) backoff.reset()
        parser.feed(decoder.decode(chunk, { stream: true }))
      }
      throw new Error('stream ended')
    } finally {
      clearTimeout(timer)
    }
  }

  async function follow(): Promise<void> {
    while (!stopped.signal.aborted) {
      await followOnce().catch((error: unknown) => {
        if (!stopped.signal.aborted && isConnected !== false) options.onState?.({ connected: false, error })
        isConnected = false
      })
      await delay(backoff.next(), undefined, { signal: stopped.signal }).catch(() => undefined) // stopped: the loop ends
    }
  }

  return { done: follow(), stop: () => stopped.abort() }
}
