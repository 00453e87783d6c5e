/** Clients, what they are granted, and their credentials (`/v1/clients`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import {
  Audience,
  Client,
  ClientPatch,
  ClientRequest,
  CredentialRecord,
  GrantRequest,
  IssuedCredential,
} from '../../core/contract/client.ts'
import { Identifier } from '../../core/contract/registry.ts'
import { etagOf } from '../registry/changes.ts'
import type { Registry } from '../registry.ts'
import type { RegistryView } from '../repository/repository.ts'
import { registerCredentialRoutes } from './credentials.ts'
import { type Desk, pageOf, pageQuery, strict } from './desk.ts'

export interface ClientRouteParts {
  readonly registry: Pick<Registry, 'clients' | 'credentials'>
  readonly repository: Pick<RegistryView, 'clients'>
}

const tags = ['clients']
const ClientsQuery = pageQuery({})
const ClientParams = strict({ oauthClientId: Identifier })
const GrantParams = strict({ oauthClientId: Identifier, audience: Audience })
const ClientsPage = strict({ clients: Type.Array(Client), nextCursor: Type.Optional(Type.String()) })
const ShownClient = Type.Object({ ...Client.properties, credentials: Type.Array(CredentialRecord) })

type OfClient = { Params: Static<typeof ClientParams> }
type OfGrant = { Params: Static<typeof GrantParams> }

export function registerClientRoutes(
  server: FastifyInstance,
  desk: Desk,
  parts: () => ClientRouteParts,
): void {
  const door = desk.needs('manage:clients')
  const clients = () => parts().registry.clients

  server.get<{ Querystring: Static<typeof ClientsQuery> }>(
    '/v1/clients',
    {
      ...door,
      schema: {
        tags,
        summary: 'List clients that are no devices',
        querystring: ClientsQuery,
        response: { 200: ClientsPage },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const rows = await parts().repository.clients({ after: cursor, limit: limit + 1 })
      return pageOf('clients', rows, limit, ({ oauthClientId }) => oauthClientId)
    },
  )

  server.post<{ Body: ClientRequest }>(
    '/v1/clients',
    {
      ...door,
      schema: {
        tags,
        summary: 'Register a client and issue its first credential',
        body: ClientRequest,
        response: { 201: IssuedCredential },
      },
    },
    async (request, reply) => {
      const issued = await clients().register(desk.byOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.get<OfClient>(
    '/v1/clients/:oauthClientId',
    {
      ...door,
      schema: {
        tags,
        summary: 'Show a client with its credentials',
        description: 'Devices are clients too. The ETag is that of the client without its credentials.',
        params: ClientParams,
        response: { 200: ShownClient },
      },
    },
    async ({ params }, reply) => {
      const { client, credentials: held } = await clients().show(params.oauthClientId)
      return reply.header('etag', etagOf(client)).send({ ...client, credentials: held })
    },
  )

  server.patch<OfClient & { Body: ClientPatch }>(
    '/v1/clients/:oauthClientId',
    {
      ...door,
      schema: {
        tags,
        summary: 'Change a client',
        description: 'Taking away a grant type or a lot voids the tokens it has.',
        params: ClientParams,
        body: ClientPatch,
        response: { 200: Client },
      },
    },
    async (request, reply) => {
      const client = await clients().change(desk.byOf(request), request.params.oauthClientId, request.body)
      return reply.header('etag', etagOf(client)).send(client)
    },
  )

  server.delete<OfClient>(
    '/v1/clients/:oauthClientId',
    {
      ...door,
      schema: {
        tags,
        summary: 'Retire a client for good; its tokens are void',
        params: ClientParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await clients().retire(desk.byOf(request), request.params.oauthClientId)
      return reply.code(204).send()
    },
  )

  server.put<OfGrant & { Body: GrantRequest }>(
    '/v1/clients/:oauthClientId/grants/:audience',
    {
      ...door,
      schema: {
        tags,
        summary: 'Set what a client may get at an audience, at most',
        description: 'Taking away a scope voids the tokens it has.',
        params: GrantParams,
        body: GrantRequest,
        response: { 200: Client },
      },
    },
    async (request, reply) => {
      const { oauthClientId, audience } = request.params
      const client = await clients().setGrant(desk.byOf(request), oauthClientId, audience, request.body)
      return reply.header('etag', etagOf(client)).send(client)
    },
  )

  server.delete<OfGrant>(
    '/v1/clients/:oauthClientId/grants/:audience',
    {
      ...door,
      schema: {
        tags,
        summary: 'Revoke a grant; the tokens the client has are void',
        params: GrantParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { oauthClientId, audience } = request.params
      await clients().revokeGrant(desk.byOf(request), oauthClientId, audience)
      return reply.code(204).send()
    },
  )

  registerCredentialRoutes(server, desk, () => parts().registry.credentials, {
    of: 'client',
    path: '/v1/clients/:oauthClientId',
    name: 'oauthClientId',
    door,
    tags,
  })
}
