/** The broker's HTTP face: who is connected, why others are not, and closing a connection. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { identifierPattern, parseDeviceId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Door } from '../core/runtime/door.ts'
import type { Gate } from './gate.ts'

const DeviceParams = Type.Object({ deviceId: Type.String({ pattern: identifierPattern }) })
const ListQuery = Type.Object(
  { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })) },
  { additionalProperties: false },
)

/** The identifier as the CONNECT said it, which need not be a device’s. */
const DecisionsQuery = Type.Object(
  { device: Type.String({ minLength: 1, maxLength: 64 }) },
  { additionalProperties: false },
)

export function addRoutes(server: FastifyInstance, { gate, door }: { gate: Gate; door: Door }): void {
  const allow = (scope: string) => async (request: FastifyRequest) => void (await door.admit(request, scope))

  server.get<{ Querystring: { limit?: number } }>(
    '/v1/connections',
    { preHandler: allow('read:connections'), schema: { querystring: ListQuery } },
    (request) => {
      const connections = gate.connections()
      return { total: connections.length, connections: connections.slice(0, request.query.limit ?? 100) }
    },
  )
  server.get<{ Querystring: Static<typeof DecisionsQuery> }>(
    '/v1/decisions',
    { preHandler: allow('read:connections'), schema: { querystring: DecisionsQuery } },
    (request) => ({ decisions: gate.decisions(request.query.device) }),
  )
  server.delete<{ Params: { deviceId: string } }>(
    '/v1/connections/:deviceId',
    { preHandler: allow('manage:connections'), schema: { params: DeviceParams } },
    async (request, reply) => {
      const deviceId = parseDeviceId(request.params.deviceId)
      if (deviceId === undefined || !gate.kick(deviceId)) {
        throw new FleetError('request.not_found', 'not connected', {
          safeDetail: 'the device is not connected here',
        })
      }
      return reply.code(204).send()
    },
  )
}
