/** A running console for tests, beside a system; and people who use it as a browser does. */
import { randomBytes } from 'node:crypto'
import { pageHeader } from '../../console/roles.ts'
import type { Fetch } from '../../core/auth/verifier.ts'
import { makeLoginLink } from '../../core/runtime/login-link.ts'
import { freePort, type Program, startProgram } from './program.ts'
import type { System } from './system.ts'

export interface RunningConsole {
  readonly program: Program
  readonly url: string
  /** A one-time link, as `lotctl login-link` prints it. */
  link(account?: string): string
  /** Somebody who is signed in by a link. */
  person(account?: string): Promise<Visitor>
}

export interface Visitor {
  readonly cookie: string
  /** As a page of ours would send it; the answer whatever it is. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>
  /** @throws when it is no success */
  json<Answer>(method: string, path: string, body?: unknown): Promise<Answer>
}

/** @param fetch of people's browsers; the usual one believes no authority of ours */
export async function startConsole(
  system: Pick<System, 'data' | 'issuer' | 'ingestUrl' | 'brokerUrl'>,
  env: Readonly<Record<string, string>> = {},
  { scheme = 'http', fetch = globalThis.fetch }: { scheme?: 'http' | 'https'; fetch?: Fetch } = {},
): Promise<RunningConsole> {
  const port = String(await freePort())
  const program = await startProgram('console', {
    env: {
      LOTWATCH_DATA: system.data,
      LOTWATCH_CONSOLE_PORT: port,
      LOTWATCH_CONSOLE_PROVISIONING_URL: system.issuer,
      LOTWATCH_CONSOLE_INGEST_URL: system.ingestUrl,
      LOTWATCH_CONSOLE_BROKER_URL: system.brokerUrl,
      ...env,
    },
  })
  const url = `${scheme}://127.0.0.1:${port}`
  const link = (account?: string) =>
    makeLoginLink({
      dataDir: system.data,
      consoleUrl: url,
      token: randomBytes(32).toString('base64url'),
      nowMs: Date.now(),
      ...(account === undefined ? {} : { account }),
    })
  return {
    program,
    url,
    link,
    async person(account) {
      const token = link(account).split('#')[1]
      const answer = await visitor(url, '', fetch).ask('POST', '/api/sign-in/link', { token })
      if (!answer.ok) throw new Error(`not signed in: ${answer.status} ${await answer.text()}`)
      return visitor(url, cookieOf(answer), fetch)
    },
  }
}

/** What a browser would send back of what it was given. */
export function cookieOf(answer: Response): string {
  return answer.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ')
}

export function visitor(url: string, cookie: string, fetch: Fetch = globalThis.fetch): Visitor {
  const ask: Visitor['ask'] = (method, path, body, headers = {}) =>
    fetch(url + path, {
      method,
      headers: {
        [pageHeader]: '1',
        ...(cookie === '' ? {} : { cookie }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  return {
    cookie,
    ask,
    async json<Answer>(method: string, path: string, body?: unknown) {
      const answer = await ask(method, path, body)
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
      return (answer.status === 204 ? undefined : await answer.json()) as Answer // its shape is the caller's word
    },
  }
}
