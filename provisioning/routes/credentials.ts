/** Credentials, whoever they belong to: the same calls below a device and below a client. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { CredentialRequest, IssuedCredential, RotateRequest } from '../../core/contract/client.ts'
import { credentialIdPattern } from '../../core/contract/credential.ts'
import { Identifier } from '../../core/contract/registry.ts'
import type { Registry } from '../registry.ts'
import { bodyOptional, type Desk, type Door, strict } from './desk.ts'

interface CredentialHolders {
  readonly of: 'device' | 'client'
  /** Of one of them: `/v1/devices/:deviceId`. */
  readonly path: string
  /** The parameter in the path that names it. */
  readonly name: 'deviceId' | 'oauthClientId'
  readonly door: Door
  readonly tags: string[]
}

export function registerCredentialRoutes(
  server: FastifyInstance,
  desk: Desk,
  credentials: () => Registry['credentials'],
  { of, path, name, door, tags }: CredentialHolders,
): void {
  type Params = { readonly [name: string]: string }
  const params = strict({ [name]: Identifier })
  const credentialId = Type.String({ pattern: credentialIdPattern })
  const ownerOf = ({ params: given }: FastifyRequest<{ Params: Params }>) =>
    ({ of, oauthClientId: given[name] as string }) as const // named in the path

  server.post<{ Params: Params; Body: CredentialRequest }>(
    `${path}/credentials`,
    {
      ...door,
      ...bodyOptional,
      schema: {
        tags,
        summary: 'Issue another credential; the others stay',
        params,
        body: CredentialRequest,
        response: { 201: IssuedCredential },
      },
    },
    async (request, reply) => {
      const issued = await credentials().issue(desk.byOf(request), ownerOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.post<{ Params: Params; Body: RotateRequest }>(
    `${path}/rotate`,
    {
      ...door,
      ...bodyOptional,
      schema: {
        tags,
        summary: 'Issue another credential; the others end after a grace',
        params,
        body: RotateRequest,
        response: { 201: IssuedCredential },
      },
    },
    async (request, reply) => {
      const issued = await credentials().rotate(desk.byOf(request), ownerOf(request), request.body)
      return reply.code(201).header('cache-control', 'no-store').send(issued)
    },
  )

  server.delete<{ Params: Params & { readonly credentialId: string } }>(
    `${path}/credentials/:credentialId`,
    {
      ...door,
      schema: {
        tags,
        summary: 'Revoke a credential; its tokens are void',
        params: strict({ [name]: Identifier, credentialId }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await credentials().revoke(desk.byOf(request), ownerOf(request), request.params.credentialId)
      return reply.code(204).send()
    },
  )
}
