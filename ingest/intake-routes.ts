/** The HTTP face of ingest. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'
import { handoverBytesMax, handoverMediaType, storeHeader } from '../core/contract/handover.ts'
import type { Door } from '../core/runtime/door.ts'
import type { Intake } from './intake.ts'

export function addIntakeRoutes(
  server: FastifyInstance,
  { door, intake, storeId }: { door: Door; intake: Intake; storeId: string },
): void {
  server.addContentTypeParser(
    handoverMediaType,
    { parseAs: 'buffer', bodyLimit: handoverBytesMax },
    (_request, body, done) => done(null, body),
  )
  /** A broker that has heard of no store yet takes any. */
  function requireStore(expected: string | string[] | undefined): void {
    if (expected === undefined || expected === storeId) return
    throw new FleetError(
      'request.precondition',
      `a broker hands over to the store ${expected}, this is ${storeId}`,
      {
        safeDetail: 'this is another store than the one that readings went to before',
      },
    )
  }

  const admit = async (request: FastifyRequest) => void (await door.admit(request, 'write:readings'))
  server.post(
    '/v1/readings',
    // Before the body is read: a stranger's megabytes are not taken in. And behind it: it may take a minute to come.
    { bodyLimit: handoverBytesMax, onRequest: admit, preHandler: admit },
    async (request, reply) => {
      requireStore(request.headers[storeHeader])
      const verdicts = await intake.take(framesOf(request.body))
      return reply.header(storeHeader, storeId).send({ verdicts })
    },
  )
}

/** Other parsers than ours make something else of a body, and nothing of none. */
function framesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body
  if (body === undefined || body === null)
    throw new FleetError('handover.malformed', 'no body', { safeDetail: 'a handover has a body' })
  throw new FleetError('request.media_type', 'not a handover', { safeDetail: `send ${handoverMediaType}` })
}
