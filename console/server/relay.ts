/**
 * Passes requests of signed-in people on to the other programs, with the console's own access token: the browser never
 * sees one. Answers come back as they are, streams as they come. Who may ask for what is in allowed.ts.
 */
import { Readable } from 'node:stream'
import type { TokenSource } from '../../core/auth/token-source.ts'
import type { Fetch } from '../../core/auth/verifier.ts'
import { type ErrorCode, FleetError } from '../../core/contract/errors.ts'
import { lotsHeader, personHeader } from '../../core/contract/on-behalf.ts'
import { absentHeader, type Role } from '../roles.ts'
import { type ProgramName, passageOf } from './allowed.ts'

export interface Upstream {
  readonly url: string
  readonly tokens: TokenSource
}

export interface RelayRequest {
  readonly program: ProgramName
  readonly method: string
  /** Percent-encoded as it came, without its query. */
  readonly path: string
  /** From the `?` on, or empty. */
  readonly search: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer | undefined
  readonly person: string
  readonly role: Role
  /** Those they are limited to; undefined: every lot. */
  readonly lots: readonly string[] | undefined
  /** Aborts when whoever asked has gone. */
  readonly signal: AbortSignal
}

export interface RelayAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readable | undefined
}

export type Relay = (request: RelayRequest) => Promise<RelayAnswer>

/** What goes with a request, and what comes back with an answer. Never a cookie, either way. */
const sent = [
  'accept',
  'content-type',
  'if-match',
  'if-none-match',
  'idempotency-key',
  'last-event-id',
  'range',
]
const returned = [
  'accept-ranges',
  'content-disposition',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'location',
  'retry-after',
]

export function createRelay(options: {
  upstreams: Readonly<Record<ProgramName, Upstream>>
  fetch: Fetch
}): Relay {
  async function once(
    request: RelayRequest,
    { url, tokens }: Upstream,
  ): Promise<Response & { token: string }> {
    const { token } = await tokens.get()
    const { method, path, search, body, signal } = request
    const response = await options
      .fetch(`${url.replace(/\/$/, '')}${path}${search}`, {
        method,
        headers: {
          ...pick(request.headers, sent),
          authorization: `Bearer ${token}`,
          [personHeader]: request.person,
          ...(request.lots === undefined ? {} : { [lotsHeader]: request.lots.join(',') }),
        },
        ...(body === undefined || body.length === 0 ? {} : { body: new Uint8Array(body) }),
        redirect: 'manual',
        signal,
      })
      .catch((cause: unknown) => {
        const code: ErrorCode = `${request.program}.unavailable`
        throw new FleetError(code, `${url} does not answer`, {
          cause,
          safeDetail: `${request.program} does not answer`,
        })
      })
    return Object.assign(response, { token })
  }

  return async (request) => {
    const passage = passageOf(request.role, request)
    if (passage === 'unknown')
      throw new FleetError('request.not_found', `not passed on: ${request.method} ${request.path}`)
    if (passage === 'role')
      throw new FleetError('role.refused', `${request.role} may not ${request.method} this`)
    // Ingest alone narrows what it answers.
    if (request.lots !== undefined && request.program !== 'ingest')
      throw new FleetError('role.refused', 'for people who may see every lot')
    const upstream = options.upstreams[request.program]
    let response = await once(request, upstream)
    if (response.status === 401) {
      await response.body?.cancel()
      upstream.tokens.invalidate(response.token)
      response = await once(request, upstream)
    }
    if (request.lots !== undefined && response.headers.get(lotsHeader) !== request.lots.join(',')) {
      await response.body?.cancel()
      throw new FleetError('role.refused', 'an answer that was not narrowed to the lots asked for', {
        safeDetail: 'ingest cannot limit its answers to your lots: it is of another version',
      })
    }
    if (response.status === 404 && request.method === 'GET' && request.headers[absentHeader] !== undefined) {
      await response.body?.cancel()
      return { status: 204, headers: {}, body: undefined }
    }
    const headers = Object.fromEntries(
      [...response.headers].filter(([name]) => returned.includes(name) || name.startsWith('lotwatch-')),
    )
    return {
      // The console's own credential was refused: nothing that signing in again would help.
      status: response.status === 401 ? 502 : response.status,
      headers,
      // The types of web streams are Node's and undici's own copies of the same.
      body: response.body === null ? undefined : Readable.fromWeb(response.body as never),
    }
  }
}

function pick(headers: RelayRequest['headers'], names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value] as const] : []
    }),
  )
}
