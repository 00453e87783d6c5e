/** The authorization server's HTTP face: the token endpoint, the keys, the metadata. */
import type { FastifyInstance } from 'fastify'
import { isFleetError } from '../../core/contract/errors.ts'
import { scopesOf } from '../../core/contract/principal.ts'
import { errorBody, OAuthError } from './errors.ts'
import type { SigningKeys } from './keys.ts'
import type { TokenEndpoint } from './token-endpoint.ts'

export interface OAuthParts {
  readonly issuer: { readonly issuer: string; readonly tokenEndpoint: string }
  readonly keys: SigningKeys
  readonly token: TokenEndpoint
}

const bodyBytesMax = 16 * 1024
const known = new Set(['grant_type', 'client_id', 'client_secret', 'audience', 'scope'])

/** @param parts throws `system.busy` until the program is ready */
export function registerOAuthRoutes(server: FastifyInstance, parts: () => OAuthParts): void {
  const metadata = () => metadataOf(parts().issuer)
  server.get('/.well-known/oauth-authorization-server', metadata)
  server.get('/.well-known/openid-configuration', metadata)
  server.get('/.well-known/jwks.json', (_request, reply) => {
    void reply.header('cache-control', 'public, max-age=300')
    return parts().keys.jwks
  })
  // In a scope of its own: other bodies and other words for errors than everywhere else.
  server.register(async (oauth) => {
    oauth.removeAllContentTypeParsers()
    for (const [type, parse] of [
      ['application/x-www-form-urlencoded', parseForm],
      ['application/json', parseJson],
    ] as const) {
      oauth.addContentTypeParser(type, { parseAs: 'string' }, (_request, body, done) => {
        try {
          done(null, parse(String(body)))
        } catch (error) {
          done(error as Error) // an OAuthError
        }
      })
    }
    oauth.addHook('onRequest', async (_request, reply) => {
      // RFC 6749 §5.1, also for errors.
      void reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
    })
    oauth.setErrorHandler((error, _request, reply) => {
      const refusal = refusalOf(error)
      // RFC 9110 §15.5.2 wants it with every 401; RFC 6749 §5.2 at least where Basic was tried.
      if (refusal.status === 401) void reply.header('www-authenticate', 'Basic realm="lotwatch"')
      void reply.code(refusal.status).send(errorBody(refusal))
    })
    oauth.post<{ Body: ReadonlyMap<string, string> | undefined }>(
      '/oauth/token',
      { bodyLimit: bodyBytesMax },
      async (request) => {
        // §2.3.1: credentials must not be in the URL, where logs and proxies keep them; nothing else belongs there.
        if (request.url.includes('?'))
          throw new OAuthError('invalid_request', 'parameters belong in the body')
        return parts().token({
          authorization: request.headers.authorization,
          parameters: request.body ?? new Map(),
        })
      },
    )
  })
}

/** RFC 8414 §2. There is no authorization endpoint, hence no response types. */
function metadataOf({ issuer, tokenEndpoint }: OAuthParts['issuer']) {
  return {
    issuer,
    token_endpoint: tokenEndpoint,
    jwks_uri: `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`,
    scopes_supported: Object.values(scopesOf).flatMap((scopes) => Object.keys(scopes)),
    response_types_supported: [],
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
  }
}

/** RFC 6749 §3.2: no parameter twice, an empty one counts as absent, unknown ones are ignored. */
export function parseForm(body: string): ReadonlyMap<string, string> {
  const seen = new Set<string>()
  const parameters = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(body)) {
    if (seen.has(name)) throw new OAuthError('invalid_request', 'a parameter is given twice')
    seen.add(name)
    if (known.has(name) && value !== '') parameters.set(name, value)
  }
  return parameters
}

/** The same parameters as members of an object, for clients that send JSON. */
export function parseJson(body: string): ReadonlyMap<string, string> {
  const value = jsonOf(body)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new OAuthError('invalid_request', 'the body is not a JSON object')
  const parameters = new Map<string, string>()
  for (const [name, member] of Object.entries(value)) {
    if (!known.has(name) || member === '' || member === null) continue
    if (typeof member !== 'string') throw new OAuthError('invalid_request', `${name} is not a string`)
    parameters.set(name, member)
  }
  return parameters
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new OAuthError('invalid_request', 'the body is not JSON')
  }
}

function refusalOf(error: unknown): OAuthError {
  if (error instanceof OAuthError) return error
  if (isFleetError(error, 'system.busy'))
    return new OAuthError('temporarily_unavailable', 'starting; try again')
  const { statusCode } = error as { statusCode?: number } // Fastify's own errors have one
  if (statusCode === 413) return new OAuthError('invalid_request', 'the body is too large', 413)
  if (statusCode === 415) return new OAuthError('invalid_request', 'the body is neither a form nor JSON', 415)
  if (statusCode !== undefined && statusCode < 500)
    return new OAuthError('invalid_request', 'unreadable request')
  throw error
}
