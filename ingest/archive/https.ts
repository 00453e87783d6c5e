/**
 * An archive behind an HTTPS endpoint that takes files by PUT and gives them back by GET, for a caller with an access
 * token of its own, by the client credentials grant. The checksum goes along as `Repr-Digest` (RFC 9530); the endpoint
 * has to check it, and to say it again when it is asked by HEAD.
 */
import type { TokenSource } from '../../core/auth/token-source.ts'
import type { Fetch } from '../../core/auth/verifier.ts'
import type { Archive } from './archive.ts'
import { createRemoteArchive, type RemoteRequest } from './remote.ts'

export interface HttpsArchiveOptions {
  readonly url: string
  readonly tokens: TokenSource
  readonly fetch: Fetch
  readonly timeoutMs: number
}

export function createHttpsArchive({ url, tokens, fetch, timeoutMs }: HttpsArchiveOptions): Archive {
  const base = url.replace(/\/$/, '')

  async function once({ method, name, headers, body, signal }: RemoteRequest, token: string) {
    return fetch(`${base}/${name}`, {
      method,
      headers: { ...headers, authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
      redirect: 'error',
      signal,
    })
  }

  return createRemoteArchive({
    timeoutMs,
    async send(request) {
      const { token } = await tokens.get()
      const first = await once(request, token)
      if (first.status !== 401) return first
      await first.body?.cancel()
      tokens.invalidate(token)
      return once(request, (await tokens.get()).token)
    },
    sumHeaders: ({ sha256 }) => ({
      'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    }),
    sumIn(headers) {
      const digest = /(?:^|,\s*)sha-256=:([A-Za-z0-9+/=]+):/.exec(headers.get('repr-digest') ?? '')?.[1]
      return digest === undefined ? undefined : Buffer.from(digest, 'base64').toString('hex')
    },
  })
}
