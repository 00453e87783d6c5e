/** OAuth's words for a token request that is not granted (RFC 6749 §5.2, RFC 8707 §2), and the answer they make. */

const statusOf = {
  invalid_request: 400,
  invalid_client: 401,
  invalid_target: 400,
  invalid_scope: 400,
  unsupported_grant_type: 400,
  // Not RFC 6749's, which has no word here for "later"; OAuth clients treat any 5xx as one.
  temporarily_unavailable: 503,
} as const

export type OAuthErrorCode = keyof typeof statusOf

export class OAuthError extends Error {
  readonly error: OAuthErrorCode
  readonly status: number

  /** @param description may reach the client: printable ASCII without quote and backslash (§5.2) */
  constructor(error: OAuthErrorCode, description: string, status: number = statusOf[error]) {
    super(description)
    this.name = 'OAuthError'
    this.error = error
    this.status = status
  }
}

/** Every failed client authentication looks like this one, whatever was wrong. */
export function invalidClient(): OAuthError {
  return new OAuthError('invalid_client', 'client authentication failed')
}

export function errorBody(error: OAuthError): { error: OAuthErrorCode; error_description: string } {
  return {
    error: error.error,
    error_description: error.message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?'),
  }
}
