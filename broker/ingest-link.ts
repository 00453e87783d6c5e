/** The way to ingest over HTTP: connections that stay open, and the broker's own access token. */
import { once } from 'node:events'
import { type Dispatcher, Pool } from 'undici'
import type { TokenSource } from '../core/auth/token-source.ts'
import { handoverMediaType, storeHeader } from '../core/contract/handover.ts'
import type { Delivery, IngestLink } from './handover.ts'

export interface HttpIngestLink extends IngestLink {
  close(): Promise<void>
}

export function createIngestLink(options: {
  url: string
  ca?: string | undefined
  tokens: TokenSource
  connections: number
}): HttpIngestLink {
  const { origin, pathname } = new URL(options.url)
  const base = pathname.replace(/\/$/, '')
  const pool = new Pool(origin, {
    connections: options.connections,
    pipelining: 1,
    ...(options.ca === undefined ? {} : { connect: { ca: options.ca } }),
  })

  /** The one that took what was handed over first: there is one store, and what another took would be counted twice. */
  let storeId: string | undefined

  async function post(body: Uint8Array, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { token } = await options.tokens.get()
    signal.throwIfAborted()
    const answer = await pool.request({
      method: 'POST',
      path: `${base}/v1/readings`,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': handoverMediaType,
        ...(storeId === undefined ? {} : { [storeHeader]: storeId }),
      },
      body,
      signal,
    })
    if (answer.statusCode === 401) options.tokens.invalidate(token)
    return answer
  }

  async function exchange(body: Uint8Array, signal: AbortSignal): Promise<Delivery> {
    let answer = await post(body, signal)
    if (answer.statusCode === 401) {
      await answer.body.dump()
      answer = await post(body, signal)
    }
    if (answer.statusCode === 200) {
      storeId ??= answer.headers[storeHeader]?.toString()
      const { verdicts } = (await answer.body.json()) as { verdicts: readonly string[] }
      return { outcome: 'settled', verdicts }
    }
    await answer.body.dump()
    if (answer.statusCode === 400 || answer.statusCode === 413)
      return { outcome: 'refused', status: answer.statusCode }
    const why = answer.statusCode === 412 ? ': it has another store than before' : ''
    return { outcome: 'unavailable', error: new Error(`ingest answered ${answer.statusCode}${why}`) }
  }

  return {
    async deliver(body, timeoutMs): Promise<Delivery> {
      // One limit for everything: the token, the answer, and the second try with a new token.
      const signal = AbortSignal.timeout(timeoutMs)
      const overdue = once(signal, 'abort').then(() => Promise.reject(signal.reason))
      try {
        return await Promise.race([exchange(body, signal), overdue])
      } catch (error) {
        return { outcome: 'unavailable', error }
      }
    },
    async isReady() {
      try {
        const answer = await pool.request({
          method: 'GET',
          path: `${base}/readyz`,
          headersTimeout: 2000,
          bodyTimeout: 2000,
        })
        await answer.body.dump()
        return answer.statusCode === 200
      } catch {
        return false // not ready is all that is asked
      }
    },
    close: () => pool.destroy(),
  }
}
