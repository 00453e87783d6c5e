/** The feed over HTTP: server-sent events that brokers and ingest follow (`/v1/feed`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { FleetError } from '../../core/contract/errors.ts'
import { feedEvents } from '../../core/contract/feed.ts'
import type { Access } from '../access.ts'
import { type Feed, parseLastEventId } from '../feed.ts'
import type { FeedRecord } from '../repository/repository.ts'
import { type Desk, strict } from './desk.ts'

export interface FeedRouteParts {
  readonly access: Access
  readonly feed: Feed
}

const FeedQuery = strict({
  types: Type.Optional(
    Type.String({
      maxLength: 256,
      description: 'event types wanted beside the snapshot, separated by commas',
    }),
  ),
})

export function registerFeedRoutes(server: FastifyInstance, desk: Desk, parts: () => FeedRouteParts): void {
  server.get<{ Querystring: Static<typeof FeedQuery> }>(
    '/v1/feed',
    {
      ...desk.needs('read:feed'),
      schema: {
        tags: ['system'],
        summary: 'Follow what others must know, as server-sent events',
        description:
          'With `Last-Event-ID`, what came after; without it, or when that is too old, first a `snapshot`. A comment line comes at once when nothing was missed, and every 5 s.',
        querystring: FeedQuery,
        produces: ['text/event-stream'],
        response: { 200: Type.String() },
      },
    },
    (request, reply) => {
      const { access, feed } = parts()
      const principal = desk.principalOf(request)
      const types = typesOf(request.query.types)
      feed.requireRoom()
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      reply.raw.flushHeaders()
      void feed.follow({
        out: reply.raw,
        after: parseLastEventId(request.headers['last-event-id']),
        types,
        mayFollow: () => access.isStillAdmitted(principal),
      })
    },
  )
}

function typesOf(text: string | undefined): ReadonlySet<FeedRecord['type']> | undefined {
  if (text === undefined) return undefined
  const types = text.split(',')
  const unknown = types.find((type) => !Object.hasOwn(feedEvents, type))
  if (unknown !== undefined)
    throw new FleetError('request.invalid', 'unknown event type', {
      safeDetail: `types: must be among ${Object.keys(feedEvents).join(', ')}`,
    })
  return new Set(types as FeedRecord['type'][]) // each is one: see above
}
