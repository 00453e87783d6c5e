/**
 * Who a request claims to be, and how it would prove it: `client_secret_basic`, `client_secret_post` (RFC 6749 §2.3.1) or
 * `private_key_jwt` (RFC 7523 §2.2). Whether the proof is good is found out in authenticator.ts.
 */
import { decodeJwt } from 'jose'
import type { AuthMethod } from '../../core/contract/client.ts'
import { invalidClient, OAuthError } from './errors.ts'

export interface PresentedSecret {
  readonly method: Exclude<AuthMethod, 'private_key_jwt'>
  readonly oauthClientId: string
  readonly clientSecret: string
}

export interface PresentedAssertion {
  readonly method: 'private_key_jwt'
  readonly oauthClientId: string
  /** A JWT that nobody has checked yet. */
  readonly assertion: string
}

export type Presented = PresentedSecret | PresentedAssertion

/** RFC 7523 §2.2. */
export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

const idCharsMax = 128
const secretCharsMax = 512
const assertionCharsMax = 4096

/**
 * @param authorization the Authorization header
 * @param parameters of the body; an empty one counts as absent (§3.2)
 * @throws OAuthError `invalid_client` when nobody can be made out, `invalid_request` for two methods at once
 */
export function readClientAuth(
  authorization: string | undefined,
  parameters: ReadonlyMap<string, string>,
): Presented {
  const clientSecret = parameters.get('client_secret')
  const assertion = parameters.get('client_assertion')
  // §2.3: at most one method in a request.
  if ([authorization, clientSecret, assertion].filter((proof) => proof !== undefined).length > 1)
    throw new OAuthError('invalid_request', 'client authentication given twice')
  const oauthClientId = parameters.get('client_id')
  if (assertion !== undefined) return readAssertion(assertion, oauthClientId, parameters)
  if (authorization === undefined) {
    if (oauthClientId === undefined || clientSecret === undefined) throw invalidClient('nobody is named')
    return checked({ method: 'client_secret_post', oauthClientId, clientSecret })
  }
  const presented = parseBasic(authorization)
  if (presented === undefined) throw invalidClient('the Authorization header is not Basic')
  refuseOther(oauthClientId, presented.oauthClientId)
  return checked({ method: 'client_secret_basic', ...presented })
}

function readAssertion(
  assertion: string,
  oauthClientId: string | undefined,
  parameters: ReadonlyMap<string, string>,
): PresentedAssertion {
  if (parameters.get('client_assertion_type') !== assertionType)
    throw new OAuthError('invalid_request', 'client_assertion_type is missing or unknown')
  if (assertion.length > assertionCharsMax) throw invalidClient('the assertion is too long')
  const subject = subjectOf(assertion)
  // RFC 7521 §4.2: a client_id beside it must name the same client.
  refuseOther(oauthClientId, subject)
  return { method: 'private_key_jwt', oauthClientId: subject, assertion }
}

/** Only chooses whose keys to ask; nothing else of an unverified assertion is used. */
function subjectOf(assertion: string): string {
  try {
    const { sub } = decodeJwt(assertion)
    if (typeof sub === 'string' && sub !== '' && sub.length <= idCharsMax && !hasControls(sub)) return sub
  } catch {
    // No JWT: nobody is named.
  }
  throw invalidClient('the assertion names nobody')
}

function refuseOther(oauthClientId: string | undefined, authenticates: string): void {
  if (oauthClientId !== undefined && oauthClientId !== authenticates)
    throw new OAuthError('invalid_request', 'client_id differs from the one that authenticates')
}

/** RFC 7617, with both parts form-encoded before they were joined (RFC 6749 §2.3.1). */
function parseBasic(authorization: string): Omit<PresentedSecret, 'method'> | undefined {
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
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined // a stray percent sign: not form-encoded, so nobody we know
  }
}

function checked(presented: PresentedSecret): PresentedSecret {
  const { oauthClientId, clientSecret } = presented
  if (oauthClientId === '' || clientSecret === '') throw invalidClient('an empty identifier or secret')
  if (oauthClientId.length > idCharsMax || clientSecret.length > secretCharsMax)
    throw invalidClient('the identifier or the secret is too long')
  if (hasControls(oauthClientId) || hasControls(clientSecret))
    throw invalidClient('a control character in the identifier or the secret')
  return presented
}

/** RFC 6749 §A.1, §A.2: neither has one; a database may not take them. */
function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text)
}
