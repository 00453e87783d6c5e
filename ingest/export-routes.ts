/** `/v1/exports`: long jobs asked for, looked at, fetched and removed. */
import { createReadStream } from 'node:fs'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'
import { personHeader } from '../core/contract/on-behalf.ts'
import type { Principal } from '../core/contract/principal.ts'
import { ExportRequest, readingColumns } from '../core/contract/sql.ts'
import type { Door } from '../core/runtime/door.ts'
import { requireScope } from '../core/runtime/http.ts'
import { byteRangeOf } from './byte-range.ts'
import type { ExportFile, Exports, Owner } from './exports.ts'
import { mediaTypes } from './formats/formats.ts'
import { unsupported } from './sql-routes.ts'
import { quoted } from './sql-views.ts'
import { Zone } from './zone.ts'

export interface ExportRoutesOptions {
  readonly door: Door
  /** Undefined: this store has no files that an export could read. */
  readonly exports: Exports | undefined
  /** Files fetched at once. */
  readonly fetchesMax: number
  /** How long a client may take nothing. */
  readonly stallMs: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

const endings = {
  json: 'json',
  ndjson: 'ndjson',
  csv: 'csv',
  'csv-excel': 'csv',
  parquet: 'parquet',
} as const

interface WithId {
  readonly Params: { readonly id: string }
}

export function addExportRoutes(server: FastifyInstance, options: ExportRoutesOptions): void {
  const { door, fetchesMax, stallMs, now } = options
  const principals = new WeakMap<FastifyRequest, Principal>()
  let fetches = 0

  const guarded = {
    // Before anything else is looked at: a stranger learns nothing.
    onRequest: async (request: FastifyRequest) =>
      void principals.set(request, await door.admit(request, 'read:readings')),
  }
  const principalOf = (request: FastifyRequest) => principals.get(request) as Principal // set in onRequest
  const ownerOf = (request: FastifyRequest): Owner => {
    const { oauthClientId, lots } = principalOf(request)
    return { oauthClientId, person: request.headers[personHeader]?.toString(), lots: lots && [...lots] }
  }
  const there = (): Exports => {
    if (options.exports === undefined) throw unsupported()
    return options.exports
  }

  server.post('/v1/exports', { ...guarded, schema: { body: ExportRequest } }, async (request, reply) => {
    const exports = there()
    const asked = request.body as ExportRequest // the schema has checked it
    if (asked.sql !== undefined) requireScope(principalOf(request), 'query:sql')
    const zone = new Zone(asked.tz ?? 'UTC')
    const job = exports.add({
      owner: ownerOf(request),
      sql: sqlOf(asked, zone, now()),
      format: asked.format ?? 'csv',
      tz: zone.id,
    })
    return reply.code(202).header('location', `/v1/exports/${job.id}`).send(job)
  })

  server.get('/v1/exports', guarded, (request) => ({ exports: there().list(ownerOf(request)) }))

  server.get<WithId>('/v1/exports/:id', guarded, (request) =>
    there().show(request.params.id, ownerOf(request)),
  )

  server.delete<WithId>('/v1/exports/:id', guarded, async (request, reply) => {
    await there().remove(request.params.id, ownerOf(request))
    return reply.code(204).send()
  })

  server.get<WithId>('/v1/exports/:id/file', guarded, async (request, reply) => {
    const file = there().file(request.params.id, ownerOf(request))
    if (fetches >= fetchesMax) {
      void reply.header('retry-after', '10')
      throw new FleetError('system.busy', 'too many files are fetched', {
        safeDetail: 'too many files are fetched',
      })
    }
    fetches++
    reply.raw.once('close', () => fetches--)
    // Who takes nothing for long is not waited for.
    request.raw.socket.setTimeout(stallMs, () => request.raw.socket.destroy())
    return send(file, request, reply)
  })
}

function send(file: ExportFile, request: FastifyRequest<WithId>, reply: FastifyReply): FastifyReply {
  const { path, bytes, sha256, format } = file
  const tag = `"${sha256}"`
  void reply
    .header('etag', tag)
    .header('accept-ranges', 'bytes')
    .header('repr-digest', `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`)
    .header('content-disposition', `attachment; filename="${request.params.id}.${endings[format]}"`)
  if (request.headers['if-none-match'] === tag) return reply.code(304).send()
  const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === tag
  const range = isSame ? byteRangeOf(request.headers.range, bytes) : undefined
  if (range === 'unsatisfiable') return reply.code(416).header('content-range', `bytes */${bytes}`).send()
  void reply.header('content-type', mediaTypes[format])
  if (range === undefined) return reply.header('content-length', bytes).send(createReadStream(path))
  return reply
    .code(206)
    .header('content-range', `bytes ${range.start}-${range.end}/${bytes}`)
    .header('content-length', range.end - range.start + 1)
    .send(createReadStream(path, range))
}

/** @throws FleetError `request.invalid` for a SELECT together with what only readings have, and for what is no time */
function sqlOf(asked: ExportRequest, zone: Zone, nowMs: number): string {
  const { sql, lot, device, from, to, columns } = asked
  if (sql !== undefined) {
    if ([lot, device, from, to, columns].some((part) => part !== undefined))
      throw new FleetError('request.invalid', 'sql stands alone', {
        safeDetail: 'sql: says itself which rows',
      })
    return sql
  }
  const instant = (text: string, name: string) =>
    `TIMESTAMPTZ ${quoted(new Date(zone.parse(text, name, nowMs)).toISOString())}`
  const among = (ids: readonly string[]) => `(${ids.map(quoted).join(', ')})`
  const conditions = [
    from === undefined ? undefined : `time >= ${instant(from, 'from')}`,
    to === undefined ? undefined : `time < ${instant(to, 'to')}`,
    lot === undefined ? undefined : `lotId IN ${among(lot)}`,
    device === undefined ? undefined : `deviceId IN ${among(device)}`,
  ].filter((condition) => condition !== undefined)
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`
  return `SELECT ${(columns ?? readingColumns).map((column) => `"${column}"`).join(', ')} FROM readings${where}`
}
