/** When a client leaves before it has its answer: nobody reads what the store would still work on. */
import type { FastifyReply } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'

/** Fires when the client has gone before its answer; has fired when it went while it was looked at. */
export function leavingOf({ raw }: FastifyReply): AbortSignal {
  const leaving = new AbortController()
  const leave = () => {
    if (!raw.writableFinished)
      leaving.abort(
        new FleetError('request.invalid', 'the client has left', { safeDetail: 'the client has left' }),
      )
  }
  if (raw.closed) leave()
  else raw.once('close', leave)
  return leaving.signal
}
