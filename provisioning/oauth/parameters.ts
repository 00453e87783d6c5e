/** The parameters of a request to the authorization server, from a form or from JSON (RFC 6749 §3.2). */
import { OAuthError } from './errors.ts'

const known = new Set([
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'audience',
  'resource',
  'scope',
  'token',
  'token_type_hint',
  // Of devices: on which board they run.
  'board_serial',
  'boot_id',
])

/** RFC 6749 §3.2: no parameter twice, an empty one counts as absent, unknown ones are ignored. */
export function parseForm(body: string): ReadonlyMap<string, string> {
  const seen = new Set<string>()
  const parameters = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(body)) {
    // RFC 8707 §2 allows several; a token here is for one.
    if (seen.has(name) && name === 'resource')
      throw new OAuthError('invalid_target', 'a token is issued for one resource')
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
