/**
 * What one client may ask for: so many questions a minute, and so many at once. Handovers of brokers are not questions:
 * they have limits of their own.
 */
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'

export interface LimitsOptions {
  /** Who a request was admitted for; undefined: nobody in particular. */
  readonly clientOf: (request: FastifyRequest) => string | undefined
  readonly perMinuteMax: number
  readonly atOnceMax: number
}

/** Clients that are remembered: who is forgotten begins anew. */
const clientsMax = 10_000

/** To be called before any route is added. */
export async function addLimits(
  server: FastifyInstance,
  { clientOf, perMinuteMax, atOnceMax }: LimitsOptions,
): Promise<void> {
  const underWay = new Map<string, number>()
  const keyOf = (request: FastifyRequest) => {
    const client = clientOf(request)
    return client === undefined ? `address ${request.ip}` : `client ${client}`
  }
  await server.register(rateLimit, {
    // By then it is known who asks.
    hook: 'preHandler',
    max: perMinuteMax,
    timeWindow: 60_000,
    cache: clientsMax,
    keyGenerator: keyOf,
    allowList: (request: FastifyRequest) => !isQuestion(request),
    errorResponseBuilder: () =>
      new FleetError('request.too_many', 'too many questions', {
        safeDetail: `more than ${perMinuteMax} requests a minute`,
      }),
  })
  server.addHook('preHandler', async (request, reply) => {
    if (!isQuestion(request)) return
    const key = keyOf(request)
    const count = underWay.get(key) ?? 0
    if (count >= atOnceMax) {
      void reply.header('retry-after', '1')
      throw new FleetError('system.busy', 'too many questions of one client at once', {
        safeDetail: `more than ${atOnceMax} requests at once`,
      })
    }
    underWay.set(key, count + 1)
    // However it ends: answered, failed, or left alone.
    reply.raw.once('close', () => {
      const left = (underWay.get(key) ?? 1) - 1
      if (left === 0) underWay.delete(key)
      else underWay.set(key, left)
    })
  })
}

/** Everything of the API but handovers; health and metrics are for those who run it. */
function isQuestion({ method, routeOptions }: FastifyRequest): boolean {
  const path = routeOptions.url ?? ''
  return path.startsWith('/v1/') && !(method === 'POST' && path === '/v1/readings')
}
