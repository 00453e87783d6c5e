/** `GET /v1/live`: the live feed over HTTP, as server-sent events. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import { LiveQuery } from '../core/contract/live.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { Door } from '../core/runtime/door.ts'
import { type CutReason, isWanted, type Live } from './live.ts'
import type { Places } from './places.ts'
import { readingRow } from './reading-row.ts'
import { splitLists } from './routes.ts'
import { Zone } from './zone.ts'

export interface LiveRoutesOptions {
  readonly door: Door
  readonly live: Live
  readonly places: Places
  /** Why a token is good no longer. */
  readonly ending: (principal: Principal) => CutReason | undefined
}

/** How long somebody who was cut may take for the last word. */
const lastWordMs = 1000
/** After how long a client comes back that lost its connection. */
const retryMs = 2000

export function addLiveRoutes(server: FastifyInstance, options: LiveRoutesOptions): void {
  const { door, live, places, ending } = options
  const principals = new WeakMap<FastifyRequest, Principal>()

  server.get(
    '/v1/live',
    {
      schema: { querystring: LiveQuery },
      // Before the parameters are looked at: a stranger learns nothing of them.
      onRequest: async (request) => void principals.set(request, await door.admit(request, 'read:readings')),
      preValidation: async (request) => splitLists(request.query as Record<string, unknown>, LiveQuery),
    },
    async (request, reply) => {
      const query = request.query as LiveQuery // the schema has checked it
      const principal = principals.get(request) as Principal // set in onRequest, or this is not reached
      const zone = new Zone(query.tz ?? 'UTC')
      const filter = {
        lots: query.lot && visibleLots(query.lot as LotId[], places, principal), // the schema has checked the grammar
        devices: query.device && new Set(query.device as DeviceId[]), // as above
        limit: principal.lots,
      }
      if (live.isFull) {
        void reply.header('retry-after', '10')
        throw new FleetError('system.busy', 'too many listeners', { safeDetail: 'too many listeners' })
      }
      reply.hijack()
      const { raw } = reply
      raw.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      raw.write(`retry: ${retryMs}\n\n`)
      const listener = live.listen({
        outlet: {
          write: (text) => raw.write(text),
          end() {
            raw.end()
            setTimeout(() => raw.destroy(), lastWordMs).unref()
          },
        },
        after: lastEventId(request),
        show(stored, id) {
          const lotId = places.lotOf(stored.deviceId, stored.reading.timestampMs)
          if (!isWanted(filter, stored.deviceId, lotId)) return undefined
          return `id: ${id}\nevent: reading\ndata: ${JSON.stringify(readingRow(stored, { places, zone }))}\n\n`
        },
        ending: () => ending(principal),
      })
      raw.on('drain', () => listener.drained())
      raw.once('close', () => listener.leave())
    },
  )
}

function lastEventId(request: FastifyRequest): string | undefined {
  const value = request.headers['last-event-id']
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** @throws FleetError `request.not_found` alike for a lot that does not exist and one the token may not see */
function visibleLots(asked: readonly LotId[], places: Places, principal: Principal): ReadonlySet<LotId> {
  for (const lotId of asked)
    if (places.lot(lotId) === undefined || principal.lots?.has(lotId) === false)
      throw new FleetError('request.not_found', 'no such lot', { safeDetail: `there is no lot ${lotId}` })
  return new Set(asked)
}
