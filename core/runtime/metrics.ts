/** `GET /metrics` in Prometheus' text format. Totals and durations only: nothing that names a device, so no token is asked for. */
import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'

/** Adds the route. @returns where a program registers what it counts */
export function addMetrics(server: FastifyInstance): Registry {
  const registry = new Registry()
  server.get('/metrics', async (_request, reply) =>
    reply.header('content-type', registry.contentType).send(await registry.metrics()),
  )
  return registry
}
