/** The broker's HTTP face: who is connected, what happens, why others are not, and closing a connection. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, type TSchema, Type } from 'typebox'
import type { ConnectionsAnswer } from '../core/contract/connection.ts'
import { type DeviceId, identifierPattern, parseDeviceId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { Door } from '../core/runtime/door.ts'
import type { Events } from './events.ts'
import type { Gate } from './gate.ts'

const strict = <Members extends Record<string, TSchema>>(members: Members) =>
  Type.Object(members, { additionalProperties: false })

const DeviceParams = strict({ deviceId: Type.String({ pattern: identifierPattern }) })
const ListQuery = strict({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  cursor: Type.Optional(Type.String({ maxLength: 64 })),
  search: Type.Optional(Type.String({ maxLength: 64, description: 'the beginning of the identifier' })),
})
/** The identifier as the CONNECT said it, which need not be a device’s. */
const clientIdentifier = Type.String({ minLength: 1, maxLength: 64 })
const DecisionsQuery = strict({ device: clientIdentifier })
const EventsQuery = strict({ device: Type.Optional(clientIdentifier) })

const pageDefault = 100

export function addRoutes(
  server: FastifyInstance,
  { gate, door, events, brokerId }: { gate: Gate; door: Door; events: Events; brokerId: string },
): void {
  const principals = new WeakMap<FastifyRequest, Principal>()
  const allow = (scope: string) => async (request: FastifyRequest) =>
    void principals.set(request, await door.admit(request, scope))
  const reads = allow('read:connections')

  server.get<{ Querystring: Static<typeof ListQuery> }>(
    '/v1/connections',
    { preHandler: reads, schema: { querystring: ListQuery } },
    ({ query: { limit = pageDefault, cursor: after, search } }): ConnectionsAnswer => {
      const page = {
        limit: limit + 1,
        ...(after === undefined ? {} : { after }),
        ...(search === undefined ? {} : { search }),
      }
      const found = gate.connections(page)
      const connections = found.slice(0, limit)
      const last = connections.at(-1)
      return {
        brokerId,
        total: gate.connectionCount,
        connections,
        ...(found.length > limit && last !== undefined ? { nextCursor: last.deviceId } : {}),
      }
    },
  )
  server.get<{ Params: Static<typeof DeviceParams> }>(
    '/v1/connections/:deviceId',
    { preHandler: reads, schema: { params: DeviceParams } },
    ({ params }) => gate.connection(deviceOf(params)) ?? notHere(),
  )
  server.delete<{ Params: Static<typeof DeviceParams> }>(
    '/v1/connections/:deviceId',
    { preHandler: allow('manage:connections'), schema: { params: DeviceParams } },
    async ({ params }, reply) => (gate.kick(deviceOf(params)) ? reply.code(204).send() : notHere()),
  )
  server.get<{ Querystring: Static<typeof DecisionsQuery> }>(
    '/v1/decisions',
    { preHandler: reads, schema: { querystring: DecisionsQuery } },
    (request) => ({ decisions: gate.decisions(request.query.device) }),
  )
  server.get<{ Querystring: Static<typeof EventsQuery> }>(
    '/v1/events',
    { preHandler: reads, schema: { querystring: EventsQuery } },
    (request, reply) => {
      const principal = principals.get(request)
      events.requireRoom()
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      reply.raw.flushHeaders()
      events.follow({
        out: reply.raw,
        device: request.query.device,
        mayFollow: () => principal !== undefined && door.isStillAdmitted(principal),
      })
    },
  )
}

function deviceOf({ deviceId }: Static<typeof DeviceParams>): DeviceId {
  return parseDeviceId(deviceId) ?? notHere()
}

function notHere(): never {
  throw new FleetError('request.not_found', 'not connected', {
    safeDetail: 'the device is not connected here',
  })
}
