/** APIs: what tokens are issued for (`/v1/apis`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { Api, ApiRequest, Audience } from '../../core/contract/client.ts'
import type { SigningKeys } from '../oauth/keys.ts'
import { notFound } from '../registry/changes.ts'
import type { Registry } from '../registry.ts'
import type { RegistryView } from '../repository/repository.ts'
import { type Desk, sendThing, strict } from './desk.ts'

export interface ApiRouteParts {
  readonly registry: Pick<Registry, 'apis'>
  readonly keys: Pick<SigningKeys, 'signing'>
  readonly repository: Pick<RegistryView, 'apis' | 'findApi'>
}

const tags = ['apis']
const ApiParams = strict({ audience: Audience })
type OfApi = { Params: Static<typeof ApiParams> }

export function registerApiRoutes(server: FastifyInstance, desk: Desk, parts: () => ApiRouteParts): void {
  const door = desk.needs('manage:apis')

  server.get(
    '/v1/apis',
    { ...door, schema: { tags, summary: 'List APIs', response: { 200: strict({ apis: Type.Array(Api) }) } } },
    async () => ({ apis: await parts().repository.apis() }),
  )

  server.get<OfApi>(
    '/v1/apis/:audience',
    { ...door, schema: { tags, summary: 'Show an API', params: ApiParams, response: { 200: Api } } },
    async (request, reply) => {
      const { audience } = request.params
      const api = await parts().repository.findApi(audience)
      if (api === undefined) throw notFound(`there is no API ${audience}`)
      return sendThing(request, reply, api)
    },
  )

  server.put<OfApi & { Body: ApiRequest }>(
    '/v1/apis/:audience',
    {
      ...door,
      schema: {
        tags,
        summary: 'Register an API, or replace what is known of it',
        description: 'Of the three of Lotwatch itself, token life and quota can be set.',
        params: ApiParams,
        body: ApiRequest,
        response: { 200: Api },
      },
    },
    async (request, reply) => {
      const { audience } = request.params
      const { registry, keys } = parts()
      const api = await registry.apis.set(desk.byOf(request), audience, request.body)
      // Published from now on: a verifier that read the key set before its first token would not look again for a while.
      await keys.signing(api.alg)
      return sendThing(request, reply, api)
    },
  )

  server.delete<OfApi>(
    '/v1/apis/:audience',
    {
      ...door,
      schema: {
        tags,
        summary: 'Retire an API that no client has a grant for',
        params: ApiParams,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await parts().registry.apis.retire(desk.byOf(request), request.params.audience)
      return reply.code(204).send()
    },
  )
}
