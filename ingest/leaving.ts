/** When a client leaves before it has its answer: nobody reads what the store would still work on. */
import type { FastifyReply } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'

/** Fires when the client has gone before its answer. */
export function leavingOf(reply: FastifyReply): AbortSignal {
  const leaving = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished)
      leaving.abort(
        new FleetError('request.invalid', 'the client has left', { safeDetail: 'the client has left' }),
      )
  })
  return leaving.signal
}
