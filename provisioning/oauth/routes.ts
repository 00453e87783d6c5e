/** The authorization server's HTTP face: the token endpoint, introspection, revocation, the keys, the metadata. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isFleetError } from '../../core/contract/errors.ts'
import { scopesOf } from '../../core/contract/principal.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'
import { readClientAuth } from './client-auth.ts'
import { answerOf, type ErrorWords, OAuthError, tooManyRequests } from './errors.ts'
import type { Brake } from './guards/brake.ts'
import type { SigningKeys } from './keys.ts'
import { parseForm, parseJson } from './parameters.ts'
import type { TokenEndpoint } from './token-endpoint.ts'
import type { IssuedTokens } from './tokens.ts'

export interface OAuthParts {
  readonly issuer: { readonly issuer: string; readonly tokenEndpoint: string }
  readonly keys: Pick<SigningKeys, 'jwks'>
  readonly token: TokenEndpoint
  readonly authenticator: Authenticator
  readonly brake: Pick<Brake, 'failed' | 'succeeded'>
  readonly tokens: Pick<IssuedTokens, 'introspect' | 'revokeOwn'>
  readonly errors: ErrorWords
}

type OAuthRequest = { Body: ReadonlyMap<string, string> | undefined }

const bodyBytesMax = 16 * 1024

/** @param parts throws `system.busy` until the program is ready */
export function registerOAuthRoutes(server: FastifyInstance, parts: () => OAuthParts): void {
  const metadata = () => metadataOf(parts().issuer)
  server.get('/.well-known/oauth-authorization-server', metadata)
  server.get('/.well-known/openid-configuration', metadata)
  server.get('/.well-known/jwks.json', (_request, reply) => {
    void reply.header('cache-control', `public, max-age=${jwksMaxAgeSec}`)
    return parts().keys.jwks()
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
    oauth.addHook('onRequest', async (request, reply) => {
      // RFC 6749 §5.1, also for errors.
      void reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
      // §2.3.1: credentials must not be in the URL, where logs and proxies keep them; nothing else belongs there.
      if (request.url.includes('?')) throw new OAuthError('invalid_request', 'parameters belong in the body')
    })
    oauth.setErrorHandler((error, _request, reply) => sendRefusal(reply, refusalOf(error), wordsOf(parts)))
    const routes = { bodyLimit: bodyBytesMax }

    oauth.post<OAuthRequest>('/oauth/token', routes, async (request, reply) => {
      const { answer, headers } = await parts().token({
        authorization: request.headers.authorization,
        parameters: request.body ?? new Map(),
        address: request.ip,
        userAgent: request.headers['user-agent'],
      })
      return reply.headers(headers).send(answer)
    })
    oauth.post<OAuthRequest>('/oauth/introspect', routes, async (request) => {
      const { by, token } = await askedAbout(request, parts())
      return parts().tokens.introspect(token, by)
    })
    oauth.post<OAuthRequest>('/oauth/revoke', routes, async (request, reply) => {
      const { by, token } = await askedAbout(request, parts())
      await parts().tokens.revokeOwn(token, by)
      // RFC 7009 §2.2: also for what was no token.
      return reply.code(200).send()
    })
  })
}

/** How long verifiers keep a copy of the key set, seconds: a new key is published longer than that before it signs. */
export const jwksMaxAgeSec = 300

async function askedAbout(
  { headers, body = new Map(), ip }: FastifyRequest<OAuthRequest>,
  { authenticator, brake }: OAuthParts,
): Promise<{ by: Authenticated; token: string }> {
  const presented = readClientAuth(headers.authorization, body)
  try {
    const by = await authenticator.authenticate(presented)
    brake.succeeded(presented.oauthClientId)
    const token = body.get('token')
    if (token === undefined) throw new OAuthError('invalid_request', 'token is missing')
    return { by, token }
  } catch (error) {
    if (!(error instanceof OAuthError) || error.error !== 'invalid_client') throw error
    const verdict = await brake.failed(presented.oauthClientId, ip)
    if (verdict.answer === 'refuse') throw error
    throw tooManyRequests('too many failed attempts', verdict.retryAfterSec, {
      auth0: 'Too many failed attempts',
    })
  }
}

function wordsOf(parts: () => OAuthParts): ErrorWords {
  try {
    return parts().errors
  } catch {
    return 'rfc' // still starting
  }
}

function sendRefusal(reply: FastifyReply, refusal: OAuthError, words: ErrorWords): void {
  const { status, body } = answerOf(refusal, words)
  // RFC 9110 §15.5.2 wants it with every 401; RFC 6749 §5.2 at least where Basic was tried.
  if (status === 401) void reply.header('www-authenticate', 'Basic realm="lotwatch"')
  void reply.code(status).headers(refusal.headers).send(body)
}

/** RFC 8414 §2. There is no authorization endpoint, hence no response types. */
function metadataOf({ issuer, tokenEndpoint }: OAuthParts['issuer']) {
  const base = issuer.replace(/\/$/, '')
  const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
  const algs = ['ES256', 'EdDSA', 'RS256', 'PS256']
  const authentication = (endpoint: string) => ({
    [`${endpoint}_auth_methods_supported`]: methods,
    [`${endpoint}_auth_signing_alg_values_supported`]: algs,
  })
  return {
    issuer,
    token_endpoint: tokenEndpoint,
    introspection_endpoint: `${base}/oauth/introspect`,
    revocation_endpoint: `${base}/oauth/revoke`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    scopes_supported: Object.values(scopesOf).flatMap((scopes) => Object.keys(scopes)),
    response_types_supported: [],
    grant_types_supported: ['client_credentials'],
    ...authentication('token_endpoint'),
    ...authentication('introspection_endpoint'),
    ...authentication('revocation_endpoint'),
  }
}

function refusalOf(error: unknown): OAuthError {
  if (error instanceof OAuthError) return error
  if (isFleetError(error, 'system.busy'))
    return new OAuthError('temporarily_unavailable', 'starting; try again')
  if (isFleetError(error, 'store.unavailable'))
    return new OAuthError('temporarily_unavailable', 'the registry is away; try again')
  const { statusCode } = error as { statusCode?: number } // Fastify's own errors have one
  const invalid = (description: string, status?: number) =>
    new OAuthError('invalid_request', description, status === undefined ? {} : { status })
  if (statusCode === 413) return invalid('the body is too large', 413)
  if (statusCode === 415) return invalid('the body is neither a form nor JSON', 415)
  if (statusCode !== undefined && statusCode < 500) return invalid('unreadable request')
  throw error
}
