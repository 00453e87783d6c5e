/** Devices, their assignments and their credentials (`/v1/devices`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { CredentialRecord, IssuedCredential } from '../../core/contract/client.ts'
import {
  Assignment,
  AssignmentRequest,
  Device,
  DevicePatch,
  DeviceRequest,
  DeviceState,
  Identifier,
  Tags,
} from '../../core/contract/registry.ts'
import { etagOf } from '../registry/changes.ts'
import type { DeviceMove } from '../registry/devices.ts'
import type { Registry } from '../registry.ts'
import type { RegistryView } from '../repository/repository.ts'
import { registerCredentialRoutes } from './credentials.ts'
import { type Desk, pageOf, pageQuery, strict } from './desk.ts'

export interface DeviceRouteParts {
  readonly registry: Pick<Registry, 'devices' | 'credentials'>
  readonly repository: Pick<RegistryView, 'devices'>
}

const tags = ['devices']
const DevicesQuery = pageQuery({
  tag: Type.Optional(Tags),
  state: Type.Optional(DeviceState),
  lotId: Type.Optional(Identifier),
  search: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
})
const DeviceParams = strict({ deviceId: Identifier })
const DevicesPage = strict({ devices: Type.Array(Device), nextCursor: Type.Optional(Type.String()) })
const ShownDevice = Type.Object({
  ...Device.properties,
  credentials: Type.Array(CredentialRecord),
  assignments: Type.Array(Assignment),
})

type OfDevice = { Params: Static<typeof DeviceParams> }

const moves = {
  suspend: 'Suspend a device: no tokens, those it has are void, its connection is closed',
  resume: 'Let a suspended device back',
  retire: 'Retire a device for good',
} as const satisfies Record<DeviceMove, string>

export function registerDeviceRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => DeviceRouteParts,
): void {
  const reads = desk.needs('read:devices')
  const manages = desk.needs('manage:devices')
  const devices = () => parts().registry.devices

  server.get<{ Querystring: Static<typeof DevicesQuery> }>(
    '/v1/devices',
    {
      ...reads,
      schema: {
        tags,
        summary: 'List devices, by tags, state, lot, or the beginning of identifier or name',
        querystring: DevicesQuery,
        response: { 200: DevicesPage },
      },
    },
    async ({ query: { limit, cursor, tag, ...filter } }) => {
      const rows = await parts().repository.devices({ after: cursor, limit: limit + 1, tags: tag, ...filter })
      return pageOf('devices', rows, limit, ({ deviceId }) => deviceId)
    },
  )

  server.post<{ Body: DeviceRequest }>(
    '/v1/devices',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Register a device, and issue its first credential unless told not to',
        body: DeviceRequest,
        response: { 201: Type.Union([IssuedCredential, strict({ device: Device })]) },
      },
    },
    async (request, reply) => {
      const issued = await devices().register(desk.byOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.get<OfDevice>(
    '/v1/devices/:deviceId',
    {
      ...reads,
      schema: {
        tags,
        summary: 'Show a device with its credentials and assignments',
        description: 'The ETag is that of the device without them.',
        params: DeviceParams,
        response: { 200: ShownDevice },
      },
    },
    async (request, reply) => {
      const shown = await devices().show(request.params.deviceId)
      const { credentials: _, assignments: __, ...device } = shown
      return reply.header('etag', etagOf(device)).send(shown)
    },
  )

  server.patch<OfDevice & { Body: DevicePatch }>(
    '/v1/devices/:deviceId',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Change the name or the tags of a device',
        params: DeviceParams,
        body: DevicePatch,
        response: { 200: Device },
      },
    },
    async (request, reply) => {
      const device = await devices().change(desk.byOf(request), request.params.deviceId, request.body)
      return reply.header('etag', etagOf(device)).send(device)
    },
  )

  for (const [verb, summary] of Object.entries(moves) as [DeviceMove, string][]) {
    server.post<OfDevice>(
      `/v1/devices/:deviceId/${verb}`,
      { ...manages, schema: { tags, summary, params: DeviceParams, response: { 200: Device } } },
      async (request, reply) => {
        const device = await devices().move(desk.byOf(request), request.params.deviceId, verb)
        return reply.header('etag', etagOf(device)).send(device)
      },
    )
  }

  server.post<OfDevice & { Body: AssignmentRequest }>(
    '/v1/devices/:deviceId/assignments',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Let a device count for a lot from an instant on',
        params: DeviceParams,
        body: AssignmentRequest,
        response: { 201: Assignment },
      },
    },
    async (request, reply) =>
      reply.code(201).send(await devices().assign(desk.byOf(request), request.params.deviceId, request.body)),
  )

  registerCredentialRoutes(server, desk, () => parts().registry.credentials, {
    of: 'device',
    path: '/v1/devices/:deviceId',
    name: 'deviceId',
    door: manages,
    tags,
  })
}
