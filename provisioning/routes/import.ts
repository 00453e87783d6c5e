/** Devices from a CSV file (`POST /v1/devices/import`): read, decided and answered row by row. */
import { Readable } from 'node:stream'
import { parse } from 'csv-parse'
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { FleetError } from '../../core/contract/errors.ts'
import { columnsOf, type ImportRow } from '../registry/import.ts'
import type { Registry } from '../registry.ts'
import { type Desk, strict } from './desk.ts'

export interface ImportRouteParts {
  readonly registry: Pick<Registry, 'imports'>
}

const bytesMax = 64 * 1024 * 1024
const rowsMax = 200_000

const ImportQuery = strict({
  dryRun: Type.Boolean({ default: false }),
  issue: Type.Enum(['none', 'secret', 'enrol-key'], { default: 'none' }),
})

export function registerImportRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => ImportRouteParts,
): void {
  // In a scope of its own: here a body is read as it comes.
  server.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('text/csv', (_request, payload, done) => done(null, payload))
    scope.post<{ Querystring: Static<typeof ImportQuery>; Body: Readable }>(
      '/v1/devices/import',
      {
        ...desk.needs('manage:devices'),
        schema: {
          tags: ['devices'],
          summary: 'Register devices from a CSV file, with a verdict for each row',
          description:
            'Columns by name, in any order: device, name, lot, tags (spaces between), serial. The answer is NDJSON, a line for each row as it is decided, and the summary last. A row that is there already, as it is written, is unchanged: the same file again goes on where it ended.',
          consumes: ['text/csv'],
          produces: ['application/x-ndjson'],
          querystring: ImportQuery,
        },
      },
      async (request, reply) => {
        const rows = await readRows(request.body)
        const mayGoOn = () => desk.requireStill(request)
        const lines = parts().registry.imports.run(desk.byOf(request), rows, { ...request.query, mayGoOn })
        void reply.header('content-type', 'application/x-ndjson').header('cache-control', 'no-store')
        return reply.send(Readable.from(inText(lines), { objectMode: true }))
      },
    )
  })
}

async function* inText(lines: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const line of lines) yield `${JSON.stringify(line)}\n`
}

/** @throws FleetError `request.invalid` for a header that nobody can read; what is wrong later ends the answer */
async function readRows(body: Readable | undefined): Promise<AsyncIterable<ImportRow>> {
  if (body === undefined) throw invalidFile('there is no file')
  const parser = parse({ bom: true, info: true, relaxColumnCount: true, skipEmptyLines: true, trim: true })
  let bytes = 0
  body.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > bytesMax) parser.destroy(new FleetError('request.too_large', 'the file is too large'))
  })
  body.on('error', (error) => parser.destroy(error))
  body.pipe(parser)
  const records = parser[Symbol.asyncIterator]() as AsyncIterator<{
    record: string[]
    info: { lines: number }
  }>
  const first = await records.next().catch((error: unknown) => {
    throw invalidFile(`the file is no CSV: ${(error as Error).message}`)
  })
  if (first.done === true) throw invalidFile('the file is empty')
  const names = columnsOf(first.value.record)
  return rowsOf(names, records)
}

async function* rowsOf(
  names: readonly string[],
  records: AsyncIterator<{ record: string[]; info: { lines: number } }>,
): AsyncGenerator<ImportRow> {
  for (let count = 0; ; count++) {
    const next = await records.next()
    if (next.done === true) return
    if (count >= rowsMax) throw new FleetError('request.too_large', `more than ${rowsMax} rows`)
    const { record, info } = next.value
    const cells = Object.fromEntries(names.map((name, i) => [name, record[i] ?? '']))
    yield { line: info.lines, cells }
  }
}

function invalidFile(detail: string): FleetError {
  return new FleetError('request.invalid', detail, { safeDetail: detail })
}
