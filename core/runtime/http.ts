/**
 * The HTTP face all programs share: a Fastify server with problem documents (RFC 9457), bearer tokens (RFC 6750),
 * liveness and readiness, and a listener that refuses plaintext beyond loopback.
 * Routes are the programs' own.
 */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchemaValidationError,
} from 'fastify'
import { type ErrorCode, errorCodes, FleetError, isFleetError } from '../contract/errors.ts'
import type { Principal } from '../contract/principal.ts'
import type { Log } from './log.ts'
import { isLoopback } from './loopback.ts'

export interface ServerOptions {
  readonly log: Log
  /** Largest request body in bytes; routes may ask for more. */
  readonly bodyBytesMax?: number
  /** Resolves when the program can do its work; `/readyz` answers 503 while it rejects. */
  readonly readiness?: () => Promise<void> | void
  readonly tls?: TlsFiles | undefined
}

export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** The setting that chose the port, named when it is taken. */
  readonly portSetting: string
  readonly insecure: boolean
}

/** For head and body of a request to arrive; a client that drips them is cut. */
const requestReceivedMs = 60_000

const statusOfKind = { refused: 403, invalid: 400, unavailable: 503, misconfigured: 500 } as const
const statusOfCode: Partial<Record<ErrorCode, number>> = {
  'token.scope': 403,
  'sign_in.required': 401,
  'sign_in.refused': 401,
  'request.not_found': 404,
  'request.conflict': 409,
  'request.precondition': 412,
  'request.too_large': 413,
  'request.media_type': 415,
  'request.replay': 422,
  'query.limit': 422,
  'request.too_many': 429,
  'store.unsupported': 501,
}

/** Body of an error answer, `application/problem+json`. */
export interface Problem {
  readonly type: 'about:blank'
  /** What the code means. */
  readonly title: string
  readonly status: number
  readonly code: ErrorCode | 'internal'
  readonly detail?: string
  readonly faults?: readonly string[]
}

export function httpStatusOf(code: ErrorCode, kind: FleetError['kind']): number {
  // RFC 6750 §3.1: everything about the token itself is 401.
  return statusOfCode[code] ?? (code.startsWith('token.') && kind === 'refused' ? 401 : statusOfKind[kind])
}

export function createServer(options: ServerOptions): FastifyInstance {
  const { log } = options
  const answerError = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const problem = problemOf(error)
    const where = { method: request.method, route: request.routeOptions.url }
    if (problem.status === 500) log.error('http.failed', { ...where, error })
    // Being away is the answer of /readyz, not a failure of it.
    else if (problem.status === 503 && where.route !== '/readyz')
      log.warn('http.unavailable', { ...where, code: problem.code, reason: error.message })
    const challenge = challengeOf(problem)
    if (challenge !== undefined) void reply.header('www-authenticate', challenge)
    void reply.code(problem.status).header('content-type', 'application/problem+json').send(problem)
  }
  const server = fastify({
    logger: false,
    frameworkErrors: answerError,
    bodyLimit: options.bodyBytesMax ?? 1024 * 1024,
    forceCloseConnections: true,
    requestTimeout: requestReceivedMs,
    exposeHeadRoutes: false,
    // An audience in an address is percent-encoded: up to three times its 256 characters.
    routerOptions: { maxParamLength: 768 },
    // `verbose`: a fault then knows its schema, whose description is clearer than a pattern.
    ajv: { customOptions: { coerceTypes: 'array', removeAdditional: false, allErrors: true, verbose: true } },
    ...(options.tls === undefined ? {} : { https: readTls(options.tls) }),
  } as object) as unknown as FastifyInstance // the https option changes the type, not what is used of it
  server.setErrorHandler(answerError)
  // Who still sends the body that was refused must live to read why: hanging up on unread bytes resets the connection,
  // and takes the answer along. What keeps coming is thrown away, for as long as a request may take.
  server.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode === 413 || reply.statusCode === 415) reply.removeHeader('connection')
  })
  server.setNotFoundHandler((request) => {
    throw new FleetError('request.not_found', `no route ${request.method} ${request.url.split('?')[0]}`, {
      safeDetail: `there is no ${request.method} ${request.url.split('?')[0]}`,
    })
  })
  server.get('/livez', () => ({ status: 'ok' }))
  server.get('/readyz', async () => {
    await options.readiness?.()
    return { status: 'ok' }
  })
  return server
}

function problemOf(error: FastifyError | FleetError): Problem {
  const coded = (code: ErrorCode, status: number) =>
    ({ type: 'about:blank', title: errorCodes[code][1], status, code }) as const
  if (isFleetError(error)) {
    const problem = coded(error.code, httpStatusOf(error.code, error.kind))
    return error.safeDetail === undefined ? problem : { ...problem, detail: error.safeDetail }
  }
  if (error.validation !== undefined) {
    const faults = error.validation.map(
      (fault) => `${error.validationContext ?? 'body'}${fault.instancePath} ${wordsOf(fault)}`,
    )
    return { ...coded('request.invalid', 400), faults }
  }
  const status = error.statusCode ?? 500
  const code: ErrorCode | undefined =
    status === 413
      ? 'request.too_large'
      : status === 415
        ? 'request.media_type'
        : status >= 400 && status < 500
          ? 'request.invalid'
          : undefined
  if (code !== undefined) return { ...coded(code, status), detail: error.message }
  return {
    type: 'about:blank',
    title: 'something failed here; the log says what',
    status: 500,
    code: 'internal',
  }
}

/** What a schema asks for, in words where it has them; never the value that was sent. */
function wordsOf(fault: FastifySchemaValidationError & { parentSchema?: { description?: string } }): string {
  const { keyword, params, parentSchema, message = 'is not right' } = fault
  if (keyword === 'enum' && Array.isArray(params.allowedValues))
    return `must be one of ${params.allowedValues.join(', ')}`
  if (keyword === 'pattern' && parentSchema?.description !== undefined)
    return `must be ${parentSchema.description}`
  return message
}

/** RFC 6750 §3: the WWW-Authenticate header; no error code when no token was sent. */
function challengeOf({ code, status }: Problem): string | undefined {
  if (code === 'token.missing') return 'Bearer'
  if (code === 'token.scope') return 'Bearer error="insufficient_scope"'
  return status === 401 && code.startsWith('token.') ? 'Bearer error="invalid_token"' : undefined
}

/** RFC 6750 §2.1: the token from the Authorization header; the other two ways are not offered. */
export function bearerToken(request: FastifyRequest): string {
  const match = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(request.headers.authorization ?? '')
  if (match?.[1] === undefined) throw new FleetError('token.missing', 'no bearer token')
  return match[1]
}

/** Throws unless the principal has the scope. */
export function requireScope(principal: Principal, scope: string): void {
  if (!principal.scopes.has(scope)) {
    throw new FleetError('token.scope', `${principal.oauthClientId} lacks ${scope}`, {
      safeDetail: `needs the scope ${scope}`,
    })
  }
}

/** @throws FleetError `config.invalid` unless TLS is set, the host is loopback, or plaintext was asked for by name */
export function refusePlaintextBeyondLoopback(
  options: { host: string; insecure: boolean; setting: string },
  tls: TlsFiles | undefined,
): void {
  if (tls !== undefined || options.insecure || isLoopback(options.host)) return
  throw new FleetError('config.invalid', 'plaintext beyond loopback', {
    faults: [
      `${options.setting}: ${options.host} is not loopback; set a TLS certificate and key, or insecure: true`,
    ],
  })
}

/**
 * Starts listening.
 * @returns the port in use (as asked, or the one the system chose for 0)
 * @throws FleetError `port.taken`, `config.invalid`
 */
export async function listen(
  server: FastifyInstance,
  options: ListenOptions,
  tls?: TlsFiles,
): Promise<number> {
  refusePlaintextBeyondLoopback({ ...options, setting: options.portSetting.replace(/PORT$/, 'HOST') }, tls)
  try {
    await server.listen({ host: options.host, port: options.port })
  } catch (error) {
    throw listenFault(error, options)
  }
  const address = server.server.address()
  return typeof address === 'object' && address !== null ? address.port : options.port
}

/** What a failed listen means to the operator. */
export function listenFault(
  error: unknown,
  options: Pick<ListenOptions, 'host' | 'port' | 'portSetting'>,
): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    return new FleetError(
      'port.taken',
      `port ${options.port} on ${options.host} is taken; ${options.portSetting} chooses another`,
      { cause: error },
    )
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new FleetError(
      'config.invalid',
      `cannot listen on ${options.host}:${options.port} (${code}); see ${options.portSetting}`,
      { cause: error },
    )
  }
  return error
}

/** @throws FleetError `config.invalid` when a file cannot be read, or the two are not a certificate and its key */
export function readTls(files: TlsFiles): { cert: Buffer; key: Buffer; minVersion: 'TLSv1.2' } {
  try {
    const tls = { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }
    createSecureContext(tls)
    return { ...tls, minVersion: 'TLSv1.2' }
  } catch (error) {
    throw new FleetError('config.invalid', 'TLS certificate or key cannot be read', {
      cause: error,
      faults: [(error as Error).message],
    })
  }
}
