/**
 * HTTP for a small board: what a device asks of `fetch`, over Node's own client. Either `fetch` there is, Node's and undici's,
 * takes 10 to 15 MiB of memory as soon as it is loaded, which is a quarter of what a bare Node takes.
 */
import { type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http'
import { Agent, request as requestTls } from 'node:https'
import { Readable } from 'node:stream'
import type { Fetch } from '../core/auth/verifier.ts'

/** More than any answer a device reads whole. */
const bodyBytesMax = 1024 * 1024

/**
 * Redirects are never followed: an answer of that kind rejects. An answer has `ok`, `status`, `headers.get`, `json`, `text` and
 * `body`; the first two of its readers reject beyond 1 MiB.
 * @param ca PEM; absent: the system's authorities
 */
export function createBoardFetch(options: { ca?: string } = {}): Fetch {
  const agent = new Agent({ keepAlive: true, ...options })
  return async (url, init = {}) => {
    const { method = 'GET', headers, body, signal } = init
    const asked = {
      method,
      headers: headers as Record<string, string>, // no caller here has another form
      ...(signal === undefined || signal === null ? {} : { signal }),
    }
    const isTls = new URL(url).protocol === 'https:'
    const request = isTls ? requestTls(url, { ...asked, agent }) : requestPlain(url, asked)
    request.end(body)
    return answerOf(await headOf(request))
  }
}

/** One for each authority: connections are kept alive in it. */
export function createBoardFetches(): (ca: string | undefined) => Fetch {
  const fetches = new Map<string | undefined, Fetch>()
  return (ca) => {
    const fetch = fetches.get(ca) ?? createBoardFetch(ca === undefined ? {} : { ca })
    fetches.set(ca, fetch)
    return fetch
  }
}

function headOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('error', reject).once('response', (head) => {
      const { statusCode = 0 } = head
      if (statusCode < 300 || statusCode >= 400 || statusCode === 304) return resolve(head)
      head.destroy()
      reject(new Error(`answered ${statusCode}, which is not followed`))
    })
  })
}

function answerOf(head: IncomingMessage): Response {
  const { statusCode: status = 0 } = head
  const text = async () => {
    const pieces: Buffer[] = []
    let bytes = 0
    for await (const piece of head as AsyncIterable<Buffer>) {
      bytes += piece.length
      if (bytes > bodyBytesMax) throw new Error(`answered more than ${bodyBytesMax} bytes`)
      pieces.push(piece)
    }
    return Buffer.concat(pieces).toString('utf8')
  }
  const answer = {
    ok: status >= 200 && status < 300,
    status,
    headers: { get: (name: string) => head.headers[name.toLowerCase()]?.toString() ?? null },
    text,
    json: async () => JSON.parse(await text()) as unknown,
    get body() {
      return Readable.toWeb(head)
    },
  }
  // What a device uses of a Response; the rest would bring the web's fetch along.
  return answer as unknown as Response
}
