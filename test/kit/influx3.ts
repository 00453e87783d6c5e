/**
 * A stand-in for InfluxDB 3, which neither Debian nor npm has: its door, as far as it is documented and used here, before a
 * real InfluxDB 1.6 that keeps the points. It takes lines on the path of version 2, one InfluxQL statement a request, no
 * `DELETE`, and shows no retention policies. Of two writes of one point the first stays, and fields that it had not are
 * added: of all that is allowed there, what a store that relies on overwriting survives least.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { createFetch } from '../../core/runtime/fetch.ts'
import type { InfluxOptions } from '../../ingest/store/influx-client.ts'

export interface Influx3 {
  readonly url: string
  /** To reach a database of the InfluxDB behind it as ingest does. */
  optionsFor(database: string, url?: string): InfluxOptions
  /** From now on points of 1970 are taken, and never given back. */
  forgets(): void
  stop(): Promise<void>
}

/** What it lets in. */
export const influx3Token = 'only-for-tests'
const nanosecondsOf1971 = 365n * 86_400_000_000_000n

/** @param target where an InfluxDB 1.6 is */
export async function startInflux3(target: string): Promise<Influx3> {
  /** Fields of each point, by database, series and time. */
  const written = new Map<string, Set<string>>()
  let isForgetful = false
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => refuse(response, 500, String(error)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer) // no encoding is set
    const bytes = Buffer.concat(chunks)
    const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
    const { pathname, searchParams } = new URL(request.url ?? '/', url)
    if (request.headers.authorization !== `Token ${influx3Token}`)
      return refuse(response, 401, 'unauthorized')
    if (request.method !== 'POST') return refuse(response, 405, 'method not allowed')
    if (pathname === '/api/v2/write') return write(searchParams, body, response)
    if (pathname === '/query') return ask(new URLSearchParams(body), response)
    refuse(response, 404, 'not found')
  }

  async function write(parameters: URLSearchParams, body: string, response: ServerResponse): Promise<void> {
    const database = parameters.get('bucket') ?? ''
    if (parameters.get('precision') !== 'ns')
      return refuse(response, 400, 'another precision than the store’s')
    const lines: string[] = []
    for (const { series, fields, time } of pointsOf(body)) {
      if (isForgetful && BigInt(time) < nanosecondsOf1971) continue
      const key = `${database} ${series} ${time}`
      const known = written.get(key) ?? new Set()
      const added = fields.filter(({ name }) => !known.has(name))
      written.set(key, new Set([...known, ...fields.map(({ name }) => name)]))
      if (added.length > 0) lines.push(`${series} ${added.map(({ text }) => text).join(',')} ${time}`)
    }
    const answer = await fetch(`${target}/write?db=${encodeURIComponent(database)}`, {
      method: 'POST',
      body: lines.join('\n'),
    })
    response
      .writeHead(answer.status, { 'content-type': 'application/json' })
      .end(answer.status === 204 ? undefined : await answer.text())
  }

  async function ask(parameters: URLSearchParams, response: ServerResponse): Promise<void> {
    const statement = parameters.get('q') ?? ''
    if (parameters.has('chunked'))
      return refuse(response, 400, 'its pieces do not say whether another follows')
    if (statement.replace(/'(\\.|[^'\\])*'/g, '').includes(';'))
      return refuse(response, 400, 'must provide only one InfluxQl statement per query')
    if (!/^\s*(SELECT|SHOW MEASUREMENTS)\b/i.test(statement))
      return refuse(response, 400, 'this statement is not supported')
    // In pieces: 1.6 cuts what it is asked for as a whole.
    parameters.set('chunked', 'true')
    const answer = await fetch(`${target}/query`, { method: 'POST', body: parameters })
    const text = await answer.text()
    if (answer.status !== 200) return refuse(response, answer.status, text)
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(`${JSON.stringify({ results: [{ statement_id: 0, series: seriesIn(text) }] })}\r\n`)
  }

  return {
    url,
    optionsFor: (database, at = url) => ({
      url: at,
      version: 3,
      org: '',
      bucket: database,
      token: influx3Token,
      fetch: createFetch(),
      timeoutMs: 15_000,
    }),
    forgets() {
      isForgetful = true
    },
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function refuse(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
}

interface Series {
  readonly name: string
  readonly tags?: object
  readonly columns: readonly string[]
  readonly values: unknown[][]
}

/** An answer in pieces as one. */
function seriesIn(text: string): Series[] {
  const found = new Map<string, Series>()
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const { results } = JSON.parse(line) as { results: { series?: Series[]; error?: string }[] }
    for (const { series = [], error } of results) {
      if (error !== undefined) throw new Error(error)
      for (const one of series) {
        const key = JSON.stringify([one.name, one.tags])
        const known = found.get(key)
        if (known === undefined) found.set(key, one)
        else known.values.push(...one.values)
      }
    }
  }
  return [...found.values()].map(({ name, tags, columns, values }) => ({
    name,
    ...(tags === undefined ? {} : { tags }),
    columns,
    values,
  }))
}

interface WrittenPoint {
  readonly series: string
  readonly fields: readonly { readonly name: string; readonly text: string }[]
  readonly time: string
}

const seriesPattern = /((?:\\.|[^ \\])+) /y
const fieldPattern = /([^=]+)=("(?:\\.|[^"\\])*"|[^, ]+)([, ])/y
const timePattern = /(-?\d+)(?:\n|$)/y

/** Lines of the line protocol, whose texts may have line breaks in them. */
function* pointsOf(body: string): Iterable<WrittenPoint> {
  let at = 0
  const next = (pattern: RegExp) => {
    pattern.lastIndex = at
    const found = pattern.exec(body)
    if (found === null) throw new Error(`no line protocol at ${at}`)
    at = pattern.lastIndex
    return found
  }
  while (at < body.length) {
    const [, series = ''] = next(seriesPattern)
    const fields: { name: string; text: string }[] = []
    for (let separator = ','; separator === ','; ) {
      const [, name = '', value, end = ''] = next(fieldPattern)
      fields.push({ name, text: `${name}=${value}` })
      separator = end
    }
    const [, time = ''] = next(timePattern)
    yield { series, fields, time }
  }
}
