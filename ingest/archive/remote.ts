/**
 * What archives over HTTP have in common: PUT, HEAD and GET of a name, with the file's checksum in a header that goes
 * along and comes back. How a request proves who it is from is the adapter's.
 */
import { createHash } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { FleetError } from '../../core/contract/errors.ts'
import { piecesOf } from '../../core/runtime/fetch.ts'
import type { FileSum } from '../../core/runtime/file-sum.ts'
import type { Archive } from './archive.ts'

export interface RemoteRequest {
  readonly method: 'HEAD' | 'GET' | 'PUT'
  readonly name: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Blob
  /** Of the body, in hex. */
  readonly sha256?: string
  readonly signal: AbortSignal
}

export interface RemoteOptions {
  readonly send: (request: RemoteRequest) => Promise<Response>
  /** The header with which a PUT says what it brings. */
  readonly sumHeaders: (sum: FileSum) => Readonly<Record<string, string>>
  /** What the answer to a HEAD says of it, in hex; undefined when it says nothing: then the file is read back. */
  readonly sumIn: (headers: Headers) => string | undefined
  /** How long a request may take without the body it brings, and an answer be silent. */
  readonly timeoutMs: number
}

/** A body may take as long as it needs at this rate, and not longer. */
const bytesPerSecMin = 32 * 1024

export function createRemoteArchive({ send, sumHeaders, sumIn, timeoutMs }: RemoteOptions): Archive {
  async function request(parts: Omit<RemoteRequest, 'signal'>, signal: AbortSignal): Promise<Response> {
    const response = await send({ ...parts, signal }).catch((cause: unknown) => {
      throw cause instanceof FleetError ? cause : unavailable('does not answer', cause)
    })
    if (response.ok || response.status === 404) return response
    await response.body?.cancel()
    if (response.status >= 500 || response.status === 429) throw unavailable(`answered ${response.status}`)
    throw new FleetError('archive.refused', `the archive answered ${parts.method} with ${response.status}`)
  }

  async function* read(name: string, fromByte: number): AsyncIterable<Uint8Array> {
    const headers = fromByte === 0 ? {} : { range: `bytes=${fromByte}-` }
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(new Error('silent for too long')), timeoutMs)
    try {
      const response = await request({ method: 'GET', name, headers }, silence.signal)
      if (response.status === 404 || response.body === null) throw unavailable(`has no ${name}`)
      // Whoever does not know ranges sends all of it.
      let skip = response.status === 206 ? 0 : fromByte
      for await (const chunk of piecesOf(response)) {
        timer.refresh()
        const rest = chunk.subarray(Math.min(skip, chunk.length))
        skip -= chunk.length - rest.length
        if (rest.length > 0) yield rest
      }
    } catch (cause) {
      throw cause instanceof FleetError ? cause : unavailable('broke off', cause)
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    read,

    async holds(name, sum) {
      const response = await request(
        { method: 'HEAD', name, headers: { 'accept-encoding': 'identity' } },
        AbortSignal.timeout(timeoutMs),
      )
      if (response.status === 404 || Number(response.headers.get('content-length')) !== sum.bytes)
        return false
      const said = sumIn(response.headers)
      return (said ?? (await sumOfAll(read(name, 0)))) === sum.sha256
    },

    async put(name, path, sum) {
      const response = await request(
        {
          method: 'PUT',
          name,
          headers: { 'content-type': 'application/vnd.apache.parquet', ...sumHeaders(sum) },
          // Read from the file as it is sent, with its length known beforehand.
          body: await openAsBlob(path),
          sha256: sum.sha256,
        },
        AbortSignal.timeout(timeoutMs + Math.ceil((sum.bytes / bytesPerSecMin) * 1000)),
      )
      await response.body?.cancel()
      if (response.status === 404) throw new FleetError('archive.refused', 'the archive has no such place')
    },
  }
}

async function sumOfAll(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

function unavailable(what: string, cause?: unknown): FleetError {
  return new FleetError('archive.unavailable', `the archive ${what}`, { cause })
}
