/** Desired configuration, commands, and what brokers report of connections. */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import {
  Command,
  CommandOutcome,
  CommandRequest,
  DesiredConfig,
  Presence,
  PresenceAnswer,
  PresenceReport,
} from '../../core/contract/downlink.ts'
import { Identifier } from '../../core/contract/registry.ts'
import { etagOf } from '../registry/changes.ts'
import type { Registry } from '../registry.ts'
import { type Desk, pageLimit, sendThing, strict } from './desk.ts'

export interface DownlinkRouteParts {
  readonly registry: Pick<Registry, 'downlink' | 'presence'>
}

const tags = ['devices']
const DeviceParams = strict({ deviceId: Identifier })
const CommandParams = strict({ commandId: Identifier })
const CommandsQuery = strict({ limit: pageLimit })

type OfDevice = { Params: Static<typeof DeviceParams> }
type OfCommand = { Params: Static<typeof CommandParams> }

export function registerDownlinkRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => DownlinkRouteParts,
): void {
  const reads = desk.needs('read:devices')
  const manages = desk.needs('manage:devices')
  const reports = desk.needs('report:presence')
  const downlink = () => parts().registry.downlink

  server.get<OfDevice>(
    '/v1/devices/:deviceId/config',
    {
      ...reads,
      schema: {
        tags,
        summary: 'Show what a device is to be configured with',
        params: DeviceParams,
        response: { 200: DesiredConfig },
      },
    },
    async (request, reply) => sendThing(request, reply, await downlink().findConfig(request.params.deviceId)),
  )

  server.put<OfDevice & { Body: DesiredConfig['config'] }>(
    '/v1/devices/:deviceId/config',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Set what a device is to be configured with; it gets it when it is connected',
        params: DeviceParams,
        body: DesiredConfig.properties.config,
        response: { 200: DesiredConfig },
      },
    },
    async (request, reply) => {
      const config = await downlink().setConfig(desk.byOf(request), request.params.deviceId, request.body)
      return reply.header('etag', etagOf(config)).send(config)
    },
  )

  server.get<OfDevice & { Querystring: Static<typeof CommandsQuery> }>(
    '/v1/devices/:deviceId/commands',
    {
      ...reads,
      schema: {
        tags,
        summary: 'List commands to a device and what became of them, newest first',
        params: DeviceParams,
        querystring: CommandsQuery,
        response: { 200: strict({ commands: Type.Array(Command) }) },
      },
    },
    async ({ params, query }) => ({
      commands: await downlink().commandsOf(params.deviceId, query.limit),
    }),
  )

  server.post<OfDevice & { Body: CommandRequest }>(
    '/v1/devices/:deviceId/commands',
    {
      ...manages,
      schema: {
        tags,
        summary: 'Send a command to a device, now or when it is next connected',
        params: DeviceParams,
        body: CommandRequest,
        response: { 201: Command },
      },
    },
    async (request, reply) =>
      reply
        .code(201)
        .send(await downlink().command(desk.byOf(request), request.params.deviceId, request.body)),
  )

  server.get<OfCommand>(
    '/v1/commands/:commandId',
    {
      ...reads,
      schema: { tags, summary: 'Show a command', params: CommandParams, response: { 200: Command } },
    },
    ({ params }) => downlink().findCommand(params.commandId),
  )

  server.post<OfCommand & { Body: CommandOutcome }>(
    '/v1/commands/:commandId/outcome',
    {
      ...reports,
      schema: {
        tags,
        summary: 'Say what became of a command (brokers)',
        params: CommandParams,
        body: CommandOutcome,
        response: { 200: Command },
      },
    },
    ({ params, body }) => downlink().settle(params.commandId, body),
  )

  server.get<OfDevice>(
    '/v1/devices/:deviceId/presence',
    {
      ...reads,
      schema: {
        tags,
        summary: 'Show whether a device is connected, at which broker, and since when',
        params: DeviceParams,
        response: { 200: Presence },
      },
    },
    ({ params }) => parts().registry.presence.of(params.deviceId),
  )

  server.post<{ Body: PresenceReport }>(
    '/v1/presence',
    {
      ...reports,
      schema: {
        tags,
        summary: 'Say which devices are connected, and which no longer (brokers)',
        body: PresenceReport,
        response: { 200: PresenceAnswer },
      },
    },
    ({ body }) => parts().registry.presence.report(body),
  )
}
