/** Lots (`/v1/lots`). */
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { Identifier, Lot, LotRequest } from '../../core/contract/registry.ts'
import { etagOf, notFound } from '../registry/changes.ts'
import type { Registry } from '../registry.ts'
import type { RegistryView } from '../repository/repository.ts'
import { type Desk, sendThing, strict } from './desk.ts'

export interface LotRouteParts {
  readonly registry: Pick<Registry, 'lots'>
  readonly repository: Pick<RegistryView, 'findLot' | 'lots'>
}

const tags = ['lots']
const LotParams = strict({ lotId: Identifier })

export function registerLotRoutes(server: FastifyInstance, desk: Desk, parts: () => LotRouteParts): void {
  server.get(
    '/v1/lots',
    {
      ...desk.needs('read:devices'),
      schema: {
        tags,
        summary: 'List all lots',
        response: { 200: strict({ lots: Type.Array(Lot) }) },
      },
    },
    async () => ({ lots: await parts().repository.lots() }),
  )

  server.get<{ Params: Static<typeof LotParams> }>(
    '/v1/lots/:lotId',
    {
      ...desk.needs('read:devices'),
      schema: { tags, summary: 'Show a lot', params: LotParams, response: { 200: Lot } },
    },
    async (request, reply) => {
      const lot = await parts().repository.findLot(request.params.lotId)
      if (lot === undefined) throw notFound(`there is no lot ${request.params.lotId}`)
      return sendThing(request, reply, lot)
    },
  )

  server.put<{ Params: Static<typeof LotParams>; Body: LotRequest }>(
    '/v1/lots/:lotId',
    {
      ...desk.needs('manage:devices'),
      schema: {
        tags,
        summary: 'Register a lot or replace what is known of it',
        params: LotParams,
        body: LotRequest,
        response: { 200: Lot },
      },
    },
    async (request, reply) => {
      const lot = await parts().registry.lots.set(desk.byOf(request), request.params.lotId, request.body)
      return reply.header('etag', etagOf(lot)).send(lot)
    },
  )
}
