/** Who a token request claims to be, and with which secret (RFC 6749 §2.3.1): `client_secret_basic` or `client_secret_post`. */
import { invalidClient, OAuthError } from './errors.ts'

export interface PresentedSecret {
  readonly oauthClientId: string
  readonly clientSecret: string
}

const idCharsMax = 128
const secretCharsMax = 512

/**
 * @param authorization the Authorization header
 * @param parameters of the body; an empty one counts as absent (§3.2)
 * @throws OAuthError `invalid_client` when nobody can be made out, `invalid_request` for two methods at once
 */
export function readClientSecret(
  authorization: string | undefined,
  parameters: ReadonlyMap<string, string>,
): PresentedSecret {
  const oauthClientId = parameters.get('client_id')
  const clientSecret = parameters.get('client_secret')
  if (authorization === undefined) {
    if (oauthClientId === undefined || clientSecret === undefined) throw invalidClient()
    return checked({ oauthClientId, clientSecret })
  }
  // §2.3: at most one method in a request.
  if (clientSecret !== undefined) throw new OAuthError('invalid_request', 'client authentication given twice')
  const presented = parseBasic(authorization)
  if (presented === undefined) throw invalidClient()
  if (oauthClientId !== undefined && oauthClientId !== presented.oauthClientId)
    throw new OAuthError('invalid_request', 'client_id differs from the one that authenticates')
  return checked(presented)
}

/** RFC 7617, with both parts form-encoded before they were joined (RFC 6749 §2.3.1). */
function parseBasic(authorization: string): PresentedSecret | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  const oauthClientId = formDecode(text.slice(0, colon))
  const clientSecret = formDecode(text.slice(colon + 1))
  return oauthClientId === undefined || clientSecret === undefined
    ? undefined
    : { oauthClientId, clientSecret }
}

function formDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined // a stray percent sign: not form-encoded, so nobody we know
  }
}

function checked(presented: PresentedSecret): PresentedSecret {
  const { oauthClientId, clientSecret } = presented
  if (oauthClientId === '' || oauthClientId.length > idCharsMax || clientSecret.length > secretCharsMax)
    throw invalidClient()
  return presented
}
