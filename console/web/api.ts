/** Calls to the server of the console: JSON in and out, problems as errors with words for people. */
import { absentHeader, pageHeader } from '../roles.ts'

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export interface Ask {
  readonly query?: Query
  readonly body?: unknown
  /** A body that is not JSON. */
  readonly text?: { readonly type: string; readonly content: string }
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export interface Api {
  get<Answer>(path: string, ask?: Ask): Promise<Answer>
  /** What may well not be there, which is undefined then and no fault. */
  find<Answer>(path: string, ask?: Ask): Promise<Answer | undefined>
  post<Answer>(path: string, ask?: Ask): Promise<Answer>
  put<Answer>(path: string, ask?: Ask): Promise<Answer>
  patch<Answer>(path: string, ask?: Ask): Promise<Answer>
  delete(path: string, ask?: Ask): Promise<void>
  /** The answer as it is, when it is a success. */
  response(method: string, path: string, ask?: Ask): Promise<Response>
}

/** An answer that is no success. `message` is for people. */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly faults: readonly string[]

  constructor(status: number, code: string, message: string, faults: readonly string[] = []) {
    super(message)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.faults = faults
  }
}

/** @param signedOut is called when the server no longer knows who this is */
export function createApi(signedOut: () => void): Api {
  async function response(method: string, path: string, ask: Ask = {}): Promise<Response> {
    const headers: Record<string, string> = { [pageHeader]: '1', accept: 'application/json', ...ask.headers }
    let body: string | undefined
    if (ask.text !== undefined) {
      headers['content-type'] = ask.text.type
      body = ask.text.content
    } else if (ask.body !== undefined) {
      headers['content-type'] = 'application/json'
      body = JSON.stringify(ask.body)
    }
    const answer = await fetch(addressOf(path, ask.query), {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body }),
      ...(ask.signal === undefined ? {} : { signal: ask.signal }),
    }).catch((cause: unknown) => {
      if (ask.signal?.aborted) throw cause
      throw new Problem(0, 'console.unavailable', 'The console does not answer. Is it still running?')
    })
    if (answer.ok) return answer
    const problem = await problemOf(answer)
    if (problem.code === 'sign_in.required') signedOut()
    throw problem
  }

  async function json<Answer>(method: string, path: string, ask?: Ask): Promise<Answer> {
    const answer = await response(method, path, ask)
    const text = await answer.text()
    return (text === '' ? undefined : JSON.parse(text)) as Answer // its shape is the contract's word
  }

  return {
    response,
    get: (path, ask) => json('GET', path, ask),
    find: (path, ask) => json('GET', path, { ...ask, headers: { ...ask?.headers, [absentHeader]: '204' } }),
    post: (path, ask) => json('POST', path, ask),
    put: (path, ask) => json('PUT', path, ask),
    patch: (path, ask) => json('PATCH', path, ask),
    delete: (path, ask) => json('DELETE', path, ask),
  }
}

export function addressOf(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    for (const item of Array.isArray(value) ? value : [value])
      if (item !== undefined && item !== '') parameters.append(name, String(item))
  const text = parameters.toString()
  return text === '' ? path : `${path}?${text}`
}

async function problemOf(answer: Response): Promise<Problem> {
  const body: unknown = await answer.json().catch(() => undefined) // no problem document: judged by its status
  const { code, detail, faults } = (typeof body === 'object' && body !== null ? body : {}) as Record<
    string,
    unknown
  >
  const name = typeof code === 'string' ? code : `http.${answer.status}`
  const words = typeof detail === 'string' ? sentence(detail) : (meanings[name] ?? statusWords(answer.status))
  return new Problem(answer.status, name, words, Array.isArray(faults) ? faults.map(String) : [])
}

const meanings: Readonly<Record<string, string>> = {
  'sign_in.required': 'You have been signed out. Sign in again.',
  'sign_in.refused': 'That is not the right name or password.',
  'role.refused': 'Your role does not allow this. An administrator can change it under Access.',
  'request.invalid': 'Something in the form is not as it has to be.',
  'request.not_found': 'There is no such thing (any more).',
  'request.conflict': 'It exists already, or its state does not allow this.',
  'request.precondition': 'It has changed since you opened it. Reload and try again.',
  'provisioning.unavailable': 'Provisioning does not answer. See System; it may be starting.',
  'ingest.unavailable': 'Ingest does not answer. Readings wait on the devices meanwhile; see System.',
  'broker.unavailable': 'The broker does not answer. Devices keep their readings meanwhile; see System.',
  'system.busy': 'Too much at once. Wait a moment and try again.',
}

function statusWords(status: number): string {
  return status >= 500 ? 'The server could not do that. Its log says why.' : 'That was not accepted.'
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}
