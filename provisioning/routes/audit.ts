/** The audit log: who changed what, before and after; in pages, or whole as a stream (`/v1/audit`). */
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { AuditEntry, RegistryView } from '../repository/repository.ts'
import { type Desk, pageLimit, pageOf, strict } from './desk.ts'

export interface AuditRouteParts {
  readonly repository: Pick<RegistryView, 'auditEntries'>
}

const Filter = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }))
const AuditQuery = strict({
  limit: pageLimit,
  cursor: Type.Optional(Type.Integer({ minimum: 1 })),
  subject: Filter,
  actor: Filter,
})
const Entry = strict({
  auditId: Type.Integer(),
  atMs: Type.Integer(),
  actor: Type.String(),
  verb: Type.String(),
  subject: Type.String(),
  before: Type.Optional(Type.Unknown()),
  after: Type.Optional(Type.Unknown()),
})
const AuditPage = strict({ entries: Type.Array(Entry), nextCursor: Type.Optional(Type.String()) })

/** Rows of an export that are in memory at once. */
const exportPageRows = 500

export function registerAuditRoutes(server: FastifyInstance, desk: Desk, parts: () => AuditRouteParts): void {
  server.get<{ Querystring: Static<typeof AuditQuery> }>(
    '/v1/audit',
    {
      ...desk.needs('read:audit'),
      schema: {
        tags: ['audit'],
        summary: 'Read the audit log, newest first; or export it',
        description:
          'With `Accept: application/x-ndjson` or `text/csv` the whole log that fits the filters comes as a stream; `limit` and `cursor` do not count then.',
        querystring: AuditQuery,
        produces: ['application/json', 'application/x-ndjson', 'text/csv'],
        response: { 200: AuditPage },
      },
    },
    async ({ query, headers: { accept = '' } }, reply) => {
      const { limit, cursor, ...filter } = query
      const format = formats.find(({ type }) => accept.includes(type))
      const { repository } = parts()
      if (format === undefined) {
        const entries = await repository.auditEntries({ ...filter, before: cursor, limit: limit + 1 })
        return pageOf('entries', entries, limit, ({ auditId }) => String(auditId))
      }
      return reply
        .type(`${format.type}; charset=utf-8`)
        .header('cache-control', 'no-store')
        .send(Readable.from(exported(repository, filter, format), { objectMode: false }))
    },
  )
}

interface Format {
  readonly type: string
  readonly head: string
  readonly line: (entry: AuditEntry) => string
}

const formats: readonly Format[] = [
  { type: 'application/x-ndjson', head: '', line: (entry) => `${JSON.stringify(entry)}\n` },
  {
    type: 'text/csv',
    head: 'auditId,at,actor,verb,subject,before,after\r\n',
    line: ({ auditId, atMs, actor, verb, subject, before, after }) =>
      `${[auditId, new Date(atMs).toISOString(), actor, verb, subject, jsonOf(before), jsonOf(after)]
        .map(csvField)
        .join(',')}\r\n`,
  },
]

/** Page by page, as fast as the caller takes them; entries that come meanwhile are not in it. */
async function* exported(
  repository: AuditRouteParts['repository'],
  filter: { subject?: string; actor?: string },
  { head, line }: Format,
): AsyncGenerator<string> {
  if (head !== '') yield head
  let before: number | undefined
  for (;;) {
    const entries = await repository.auditEntries({ ...filter, before, limit: exportPageRows })
    if (entries.length > 0) yield entries.map(line).join('')
    before = entries.at(-1)?.auditId
    if (entries.length < exportPageRows) return
  }
}

function jsonOf(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value)
}

/** RFC 4180; a field that a spreadsheet would take for a formula is made text. */
function csvField(value: string | number): string {
  const text = typeof value === 'string' && /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
