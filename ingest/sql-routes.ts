/** `POST /v1/sql`: one SELECT, answered whole or not at all. */
import { randomUUID } from 'node:crypto'
import { createReadStream, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { Format } from '../core/contract/query.ts'
import { SqlRequest } from '../core/contract/sql.ts'
import type { Door } from '../core/runtime/door.ts'
import { byteOrderMark } from './formats/csv.ts'
import { mediaTypes } from './formats/formats.ts'
import { leavingOf } from './leaving.ts'
import type { SqlAnswer, SqlLimits, SqlRunner } from './sql.ts'
import { Zone } from './zone.ts'

export interface SqlRoutesOptions {
  readonly door: Door
  /** Undefined: this store has no files that a SELECT could read. */
  readonly runner: SqlRunner | undefined
  /** Of its own; what is in it goes at the start. */
  readonly folder: string
  readonly limits: SqlLimits
  readonly atOnceMax: number
}

export function addSqlRoutes(server: FastifyInstance, options: SqlRoutesOptions): void {
  const { door, runner, folder, limits, atOnceMax } = options
  const principals = new WeakMap<FastifyRequest, Principal>()
  rmSync(folder, { recursive: true, force: true })
  let running = 0

  server.post(
    '/v1/sql',
    {
      schema: { body: SqlRequest },
      // Before the body is read: a stranger learns nothing of it.
      onRequest: async (request) => void principals.set(request, await door.admit(request, 'query:sql')),
    },
    async (request, reply) => {
      if (runner === undefined) throw unsupported()
      const { sql, format = 'json', tz = 'UTC' } = request.body as SqlRequest // the schema has checked it
      const zone = new Zone(tz)
      if (running >= atOnceMax) {
        void reply.header('retry-after', '1')
        throw new FleetError('system.busy', 'too many queries at once', {
          safeDetail: 'too many queries at once',
        })
      }
      running++
      const own = join(folder, randomUUID())
      try {
        mkdirSync(own, { recursive: true, mode: 0o700 })
        const principal = principals.get(request) as Principal // set in onRequest, or this is not reached
        const question = { sql, format, tz: zone.id, principal, folder: own, limits }
        const answer = await runner.run(question, leavingOf(reply))
        void reply.header('content-type', mediaTypes[format]).header('lotwatch-rows', String(answer.rows))
        return reply.send(await bodyOf(answer, { format, tz: zone.id }))
      } finally {
        running--
        // What is still read of it stays readable until it is closed.
        rmSync(own, { recursive: true, force: true })
      }
    },
  )
}

export function unsupported(): FleetError {
  const safeDetail = 'this ingest keeps its readings in InfluxDB: there are no segments that SQL could read'
  return new FleetError('store.unsupported', safeDetail, { safeDetail })
}

/** The file is open when this resolves. */
async function bodyOf(
  { file, rows, columns }: SqlAnswer,
  { format, tz }: { format: Format; tz: string },
): Promise<Readable> {
  const stream = createReadStream(file)
  await new Promise((resolve, reject) => stream.once('open', resolve).once('error', reject))
  if (format === 'json') {
    const head = JSON.stringify({ tz, columns, rowCount: rows })
    return Readable.from(around(`${head.slice(0, -1)},"rows":`, stream, '}\n'))
  }
  return format === 'csv-excel' ? Readable.from(around(byteOrderMark, stream, '')) : stream
}

async function* around(head: string, stream: Readable, tail: string): AsyncIterable<string | Buffer> {
  if (head !== '') yield head
  for await (const chunk of stream) yield chunk as Buffer // no encoding is set
  if (tail !== '') yield tail
}
