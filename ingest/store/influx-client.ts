/**
 * One InfluxDB as two verbs: lines are written by its official client, questions are asked in InfluxQL on `/query`,
 * which all versions answer. What the measurements mean is not known here.
 *
 * The official client has habits that would lose readings, and is held from each: it tries again on its own and
 * answers before that has ended (`maxRetries`), sends what is over its batch size without anyone waiting for it
 * (`batchSize`), and takes some refusals for a success and logs the others itself (`writeFailed`).
 */
import { HttpError, InfluxDB } from '@influxdata/influxdb-client'
import type { Fetch } from '../../core/auth/verifier.ts'
import { FleetError } from '../../core/contract/errors.ts'

export interface InfluxOptions {
  readonly url: string
  readonly version: 1 | 2 | 3
  /** Of version 2. */
  readonly org: string
  /** The bucket; of versions 1 and 3 the database. */
  readonly bucket: string
  /** Of version 1, when it asks who is there: the token is the password then. */
  readonly username?: string | undefined
  readonly token?: string | undefined
  /** Authorities to trust, PEM; absent: the system's. `fetch` has to trust them, too. */
  readonly ca?: readonly string[] | undefined
  readonly fetch: Fetch
  /** How long a write may be silent, and a question take that no client is waiting for. */
  readonly timeoutMs: number
}

/** Columns and tags by name; `time` in Unix milliseconds. */
export type Row = Readonly<Record<string, unknown>>

export interface InfluxClient {
  /** Whether points can be deleted, and of two writes of one the later stays. */
  readonly isMutable: boolean
  /**
   * Resolves when the server has answered 204 to every line.
   * @throws FleetError `store.unavailable`: any of the lines may be stored, see `isInDoubt`
   */
  write(lines: readonly string[]): Promise<void>
  /**
   * The rows of each statement.
   * @param signal ends the question; without it there is a deadline
   * @throws FleetError `store.unavailable`
   */
  ask(statements: readonly string[], signal?: AbortSignal): Promise<readonly (readonly Row[])[]>
  /** Deletes what nobody asks for any more, where that can be done. */
  forget(statements: readonly string[]): Promise<void>
}

/** A request has at most so many lines, and about so many characters: version 1 takes 25 MB. */
const linesMax = 5000
const charactersMax = 4_000_000

/** What versions do not have in common. */
interface Dialect {
  readonly isMutable: boolean
  /** In one request. */
  readonly statementsMax: number
  readonly requestsAtOnce: number
  readonly parameters: Readonly<Record<string, string>>
}

/** In one piece version 1 cuts an answer at `max-row-limit`; in pieces each says whether another follows. */
const inPieces: Dialect = {
  isMutable: true,
  statementsMax: 500,
  requestsAtOnce: 1,
  parameters: { epoch: 'ms', chunked: 'true' },
}

/** Version 3 cuts no answer, and its pieces do not say whether another follows; it takes one statement a request, and no `DELETE`. */
const inOne: Dialect = {
  isMutable: false,
  statementsMax: 1,
  requestsAtOnce: 8,
  parameters: { epoch: 'ms' },
}

export function createInfluxClient(options: InfluxOptions): InfluxClient {
  const { url, version, org, bucket, token, timeoutMs } = options
  const dialect = version === 3 ? inOne : inPieces
  const authorization = authorizationOf(options)
  const headers = authorization === undefined ? {} : { authorization }
  const writer = new InfluxDB({
    url,
    timeout: timeoutMs,
    ...(options.ca === undefined ? {} : { transportOptions: { ca: options.ca } }),
  }).getWriteApi(org, bucket, 'ns', {
    maxRetries: 0,
    batchSize: linesMax + 1,
    flushInterval: 0,
    headers,
    writeFailed: (error) => Promise.reject(error),
  })
  if (version === 1) writer.path = `/write?db=${encodeURIComponent(bucket)}`
  const queryUrl = `${url.replace(/\/$/, '')}/query`

  async function query(statements: readonly string[], signal?: AbortSignal): Promise<readonly Row[][]> {
    const response = await options.fetch(queryUrl, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ ...dialect.parameters, db: bucket, q: statements.join(';') }).toString(),
      signal: signal ?? AbortSignal.timeout(timeoutMs),
    })
    if (response.status !== 200) throw new Error(`${response.status} ${reasonOf(await response.text())}`)
    return rowsIn(await response.text(), statements.length)
  }

  async function ask(statements: readonly string[], signal?: AbortSignal) {
    const parts = inPartsOf(dialect.statementsMax, statements)
    const rows: (readonly Row[][])[] = []
    let next = 0
    async function askOn(): Promise<void> {
      while (next < parts.length) {
        const i = next++
        rows[i] = await query(parts[i] ?? [], signal)
      }
    }
    try {
      await Promise.all(Array.from({ length: dialect.requestsAtOnce }, askOn))
    } catch (cause) {
      next = parts.length
      // The client has left: the reason is its own.
      throw signal?.aborted === true ? signal.reason : unavailable('answers no questions', cause, token)
    }
    return rows.flat()
  }

  return {
    isMutable: dialect.isMutable,
    ask,

    async forget(statements) {
      if (dialect.isMutable) await ask(statements)
    },

    async write(lines) {
      for (const chunk of chunksOf(lines)) {
        writer.writeRecords(chunk)
        await writer.flush().catch((cause: unknown) => {
          throw unavailable('takes no lines', cause, token)
        })
      }
    },
  }
}

export function inPartsOf<Item>(size: number, items: readonly Item[]): Item[][] {
  const parts: Item[][] = []
  for (let from = 0; from < items.length; from += size) parts.push(items.slice(from, from + size))
  return parts
}

/** Whether a write that failed may still take effect, now or later: there was no answer, or it says nothing. */
export function isInDoubt(error: unknown): boolean {
  const cause = error instanceof FleetError ? error.cause : error
  return !(cause instanceof HttpError) || cause.statusCode >= 500
}

/** A line of an answer. */
interface Piece {
  readonly results?: readonly {
    readonly statement_id: number
    readonly series?: readonly Series[]
    /** More of this statement follows. */
    readonly partial?: boolean
    readonly error?: string
  }[]
  readonly error?: string
}

interface Series {
  readonly tags?: Row
  readonly columns: readonly string[]
  readonly values: readonly (readonly unknown[])[]
}

function rowsIn(text: string, statements: number): readonly Row[][] {
  const rows: Row[][] = Array.from({ length: statements }, () => [])
  let ended = 0
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const piece = JSON.parse(line) as Piece // as InfluxDB documents it
    if (piece.error !== undefined) throw new Error(reasonOf(piece.error))
    for (const { statement_id, series = [], partial, error } of piece.results ?? []) {
      if (error !== undefined) throw new Error(reasonOf(error))
      for (const one of series) for (const row of rowsOf(one)) rows[statement_id]?.push(row)
      if (partial !== true) ended++
    }
  }
  if (ended !== statements) throw new Error('an answer broke off')
  return rows
}

function* rowsOf({ tags, columns, values }: Series): Iterable<Row> {
  for (const value of values) {
    const row: Record<string, unknown> = { ...tags }
    for (const [i, column] of columns.entries()) row[column] = value[i]
    yield row
  }
}

function authorizationOf({ version, username, token }: InfluxOptions): string | undefined {
  if (token === undefined) return undefined
  if (version !== 1) return `Token ${token}`
  return `Basic ${Buffer.from(`${username ?? ''}:${token}`).toString('base64')}`
}

function* chunksOf(lines: readonly string[]): Iterable<string[]> {
  let from = 0
  let characters = 0
  for (const [i, line] of lines.entries()) {
    if (i > from && (i - from === linesMax || characters + line.length > charactersMax)) {
      yield lines.slice(from, i)
      from = i
      characters = 0
    }
    characters += line.length
  }
  if (from < lines.length) yield lines.slice(from)
}

function unavailable(what: string, cause: unknown, token: string | undefined): FleetError {
  const reason =
    cause instanceof HttpError
      ? `${cause.statusCode} ${reasonOf(cause.body ?? cause.message)}`
      : (cause as Error).message
  const safe = token === undefined ? reason : reason.replaceAll(token, '…')
  return new FleetError('store.unavailable', `InfluxDB ${what}: ${safe}`, { cause })
}

/** InfluxDB quotes what it cannot read between apostrophes: that may be a payload, and is for no log. */
function reasonOf(body: string): string {
  return (body.split("'")[0] ?? '').slice(0, 200).trim()
}
