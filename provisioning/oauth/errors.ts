/**
 * OAuth's words for a request that is not granted (RFC 6749 §5.2, RFC 8707 §2), and the answer they make. The same
 * refusals can be said as Auth0 says them, for clients that look at its words (setting `errors`).
 */

export type ErrorWords = 'rfc' | 'auth0'

const statusOf = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_target: 400,
  invalid_scope: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  unsupported_token_type: 400,
  // A rule's no: RFC 6749 has the word for the authorization endpoint (§4.1.2.1), and clients know it.
  access_denied: 403,
  server_error: 500,
  // Not RFC 6749's, which has no word here for "later"; OAuth clients treat any 5xx as one.
  temporarily_unavailable: 503,
  // RFC 6585 §4, with the word that Auth0 and others use.
  too_many_requests: 429,
} as const

export type OAuthErrorCode = keyof typeof statusOf

/** How Auth0 says it: https://auth0.com/docs/api/authentication, and what its SDKs were seen to match on. */
interface Auth0Words {
  readonly status: number
  readonly error: string
  readonly description: string
  readonly uri?: string
}

export interface OAuthErrorOptions {
  readonly status?: number
  readonly auth0?: Auth0Words
  /** Of the answer. */
  readonly headers?: Readonly<Record<string, string>>
  /** For the operator's record; never sent. */
  readonly reason?: Readonly<Record<string, unknown>>
}

export class OAuthError extends Error {
  readonly error: OAuthErrorCode
  readonly status: number
  readonly auth0: Auth0Words | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly reason: Readonly<Record<string, unknown>>

  /** @param description may reach the client: printable ASCII without quote and backslash (§5.2) */
  constructor(error: OAuthErrorCode, description: string, options: OAuthErrorOptions = {}) {
    super(description)
    this.name = 'OAuthError'
    this.error = error
    this.status = options.status ?? statusOf[error]
    this.auth0 = options.auth0
    this.headers = options.headers ?? {}
    this.reason = options.reason ?? {}
  }

  /** The same with more in the head of its answer. */
  withHeaders(headers: Readonly<Record<string, string>>): OAuthError {
    const { status, auth0, reason } = this
    return new OAuthError(this.error, this.message, {
      status,
      reason,
      headers: { ...this.headers, ...headers },
      ...(auth0 === undefined ? {} : { auth0 }),
    })
  }
}

/**
 * Every failed client authentication looks like this one, whatever was wrong.
 * @param why for the operator's record
 */
export function invalidClient(why: string): OAuthError {
  return new OAuthError('invalid_client', 'client authentication failed', {
    auth0: { status: 401, error: 'access_denied', description: 'Unauthorized' },
    reason: { refusedBy: 'credential', why },
  })
}

/** RFC 6749 §5.2 `unauthorized_client`: the client may not use this grant type. */
export function grantTypeOff(): OAuthError {
  return new OAuthError('unauthorized_client', 'client_credentials is not switched on for this client', {
    auth0: {
      status: 403,
      error: 'unauthorized_client',
      description: "Grant type 'client_credentials' not allowed for the client.",
      uri: 'https://auth0.com/docs/clients/client-grant-types',
    },
    reason: { refusedBy: 'grant_type' },
  })
}

/** No grant for the audience, or none that could be meant. What is granted elsewhere is not told. */
export function notGranted(
  error: 'invalid_request' | 'invalid_target' | 'invalid_scope',
  description: string,
  asked: { readonly audience: string | undefined },
): OAuthError {
  const words = {
    invalid_request: 'Non-global clients are not allowed access to APIv1',
    invalid_target: `Client is not authorized to access "${asked.audience ?? ''}". You need to create a "client-grant" associated to this API. See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants`,
    invalid_scope: `Client has not been granted scopes: ${description.replace(/^not granted: /, '')}`,
  } as const
  return new OAuthError(error, description, {
    auth0: { status: 403, error: 'access_denied', description: words[error] },
    reason: {
      refusedBy: error === 'invalid_scope' ? 'scope' : 'grant',
      detail: description,
      ...(asked.audience === undefined ? {} : { audience: asked.audience }),
    },
  })
}

/** Come back later: a quota is used up, or there is no place left to wait at the brake. */
export function tooManyRequests(
  description: string,
  retryAfterSec: number,
  options: Pick<OAuthErrorOptions, 'headers' | 'reason'> & { readonly auth0: string },
): OAuthError {
  return new OAuthError('too_many_requests', description, {
    ...options,
    auth0: { status: 429, error: 'too_many_requests', description: options.auth0 },
    headers: { ...options.headers, 'retry-after': String(retryAfterSec) },
  })
}

export interface ErrorBody {
  readonly error: string
  readonly error_description: string
  readonly error_uri?: string
}

/** @returns the status and the body of the answer */
export function answerOf(error: OAuthError, words: ErrorWords): { status: number; body: ErrorBody } {
  if (words === 'auth0' && error.auth0 !== undefined) {
    const { status, error: code, description, uri } = error.auth0
    return {
      status,
      // Auth0's own descriptions have quotes in them, as JSON may.
      body: {
        error: code,
        error_description: description.replace(/[^\x20-\x7e]/g, '?'),
        ...(uri === undefined ? {} : { error_uri: uri }),
      },
    }
  }
  return {
    status: error.status,
    body: {
      error: error.error,
      error_description: error.message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?'),
    },
  }
}
