/** The operators' API and the feed. Each route says which scope it needs; what it does is the registry's. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, type TProperties, Type } from 'typebox'
import { ClientRequest } from '../core/contract/client.ts'
import { credentialIdPattern } from '../core/contract/credential.ts'
import { identifierPattern } from '../core/contract/device.ts'
import type { Principal, scopesOf } from '../core/contract/principal.ts'
import { AssignmentRequest, DeviceRequest, LotRequest } from '../core/contract/registry.ts'
import type { Access } from './access.ts'
import type { DeviceVerb } from './device.ts'
import { type Feed, parseLastEventId } from './feed.ts'
import type { Registry } from './registry.ts'
import type { RegistryRepository } from './repository/repository.ts'

export interface ApiParts {
  readonly access: Access
  readonly registry: Registry
  readonly repository: RegistryRepository
  readonly feed: Feed
}

type Scope = keyof (typeof scopesOf)['urn:lotwatch:provisioning']

const Identifier = Type.String({ pattern: identifierPattern })
const CredentialId = Type.String({ pattern: credentialIdPattern })
const strict = <Properties extends TProperties>(properties: Properties) =>
  Type.Object(properties, { additionalProperties: false })

const LotParams = strict({ lotId: Identifier })
const DeviceParams = strict({ deviceId: Identifier })
const DeviceCredentialParams = strict({ deviceId: Identifier, credentialId: CredentialId })
const ClientCredentialParams = strict({ oauthClientId: Identifier, credentialId: CredentialId })
const limit = Type.Integer({ minimum: 1, maximum: 1000, default: 100 })
const DevicesQuery = strict({ limit, cursor: Type.Optional(Identifier) })
const AuditQuery = strict({ limit, cursor: Type.Optional(Type.Integer({ minimum: 1 })) })

/** @param parts throws `system.busy` until the program is ready */
export function registerApiRoutes(server: FastifyInstance, parts: () => ApiParts): void {
  const principals = new WeakMap<FastifyRequest, Principal>()
  // Before the body is read: strangers get no further.
  const needs = (scope: Scope) => ({
    onRequest: async (request: FastifyRequest) => {
      principals.set(request, await parts().access.admit(request, scope))
    },
  })
  const principalOf = (request: FastifyRequest): Principal => {
    const principal = principals.get(request)
    if (principal === undefined) throw new Error('a route without a door')
    return principal
  }
  const actorOf = (request: FastifyRequest) => principalOf(request).oauthClientId

  server.get('/v1/lots', needs('read:devices'), async () => ({ lots: await parts().repository.lots() }))

  server.put<{ Params: Static<typeof LotParams>; Body: LotRequest }>(
    '/v1/lots/:lotId',
    { ...needs('manage:devices'), schema: { params: LotParams, body: LotRequest } },
    (request) => parts().registry.setLot(actorOf(request), request.params.lotId, request.body),
  )

  server.get<{ Querystring: Static<typeof DevicesQuery> }>(
    '/v1/devices',
    { ...needs('read:devices'), schema: { querystring: DevicesQuery } },
    async ({ query }) => {
      const devices = await parts().repository.devices({ after: query.cursor, limit: query.limit + 1 })
      return page('devices', devices, query.limit, ({ deviceId }) => deviceId)
    },
  )

  server.get<{ Params: Static<typeof DeviceParams> }>(
    '/v1/devices/:deviceId',
    { ...needs('read:devices'), schema: { params: DeviceParams } },
    (request) => parts().registry.showDevice(request.params.deviceId),
  )

  server.post<{ Body: DeviceRequest }>(
    '/v1/devices',
    { ...needs('manage:devices'), schema: { body: DeviceRequest } },
    async (request, reply) => {
      const issued = await parts().registry.registerDevice(actorOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.post<{ Params: Static<typeof DeviceParams> }>(
    '/v1/devices/:deviceId/credentials',
    { ...needs('manage:devices'), schema: { params: DeviceParams } },
    async (request, reply) => {
      const owner = { of: 'device', oauthClientId: request.params.deviceId } as const
      const issued = await parts().registry.issueCredential(actorOf(request), owner)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.delete<{ Params: Static<typeof DeviceCredentialParams> }>(
    '/v1/devices/:deviceId/credentials/:credentialId',
    { ...needs('manage:devices'), schema: { params: DeviceCredentialParams } },
    async (request, reply) => {
      const { deviceId: oauthClientId, credentialId } = request.params
      await parts().registry.revokeCredential(actorOf(request), { of: 'device', oauthClientId }, credentialId)
      return reply.code(204).send()
    },
  )

  server.post<{ Params: Static<typeof DeviceParams>; Body: AssignmentRequest }>(
    '/v1/devices/:deviceId/assignments',
    { ...needs('manage:devices'), schema: { params: DeviceParams, body: AssignmentRequest } },
    async (request, reply) => {
      const { deviceId } = request.params
      return reply
        .code(201)
        .send(await parts().registry.assignDevice(actorOf(request), deviceId, request.body))
    },
  )

  for (const verb of ['suspend', 'resume', 'retire'] as const satisfies readonly DeviceVerb[]) {
    server.post<{ Params: Static<typeof DeviceParams> }>(
      `/v1/devices/:deviceId/${verb}`,
      { ...needs('manage:devices'), schema: { params: DeviceParams } },
      (request) => parts().registry.moveDevice(actorOf(request), request.params.deviceId, verb),
    )
  }

  server.get('/v1/clients', needs('manage:clients'), async () => ({
    clients: await parts().repository.clients(),
  }))

  server.post<{ Body: ClientRequest }>(
    '/v1/clients',
    { ...needs('manage:clients'), schema: { body: ClientRequest } },
    async (request, reply) => {
      const issued = await parts().registry.registerClient(actorOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.delete<{ Params: Static<typeof ClientCredentialParams> }>(
    '/v1/clients/:oauthClientId/credentials/:credentialId',
    { ...needs('manage:clients'), schema: { params: ClientCredentialParams } },
    async (request, reply) => {
      const { oauthClientId, credentialId } = request.params
      await parts().registry.revokeCredential(actorOf(request), { of: 'client', oauthClientId }, credentialId)
      return reply.code(204).send()
    },
  )

  server.get<{ Querystring: Static<typeof AuditQuery> }>(
    '/v1/audit',
    { ...needs('read:audit'), schema: { querystring: AuditQuery } },
    async ({ query }) => {
      const entries = await parts().repository.auditEntries({ before: query.cursor, limit: query.limit + 1 })
      return page('entries', entries, query.limit, ({ auditId }) => String(auditId))
    },
  )

  server.get('/v1/feed', needs('read:feed'), (request, reply) => {
    const { access, feed } = parts()
    const principal = principalOf(request)
    feed.requireRoom()
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    reply.raw.flushHeaders()
    void feed.follow({
      out: reply.raw,
      after: parseLastEventId(request.headers['last-event-id']),
      mayFollow: () => access.isStillAdmitted(principal),
    })
  })
}

/** One row more than asked for was read: it says whether there is another page, which begins after the last one shown. */
function page<Row>(name: string, rows: readonly Row[], limit: number, cursorOf: (row: Row) => string) {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    [name]: shown,
    ...(rows.length > limit && last !== undefined ? { nextCursor: cursorOf(last) } : {}),
  }
}
