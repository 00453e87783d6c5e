/**
 * What every route of the operators' API has in common: who may ask, on which terms, and the shape of lists.
 * The routes themselves are in the files beside it, one per resource.
 */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type TProperties, type TSchema, Type } from 'typebox'
import { identifierPattern } from '../../core/contract/device.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { actorOf, personHeader } from '../../core/contract/on-behalf.ts'
import type { Principal, scopesOf } from '../../core/contract/principal.ts'
import type { Access } from '../access.ts'
import { type By, etagOf } from '../registry/changes.ts'

export type ProvisioningScope = keyof (typeof scopesOf)['urn:lotwatch:provisioning']

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Those the route needs; none: any token will do; absent: no token is asked for. */
    readonly scopes?: readonly string[]
  }
}

/** Route options; `config` is what the API's description says of the door. */
export interface Door {
  readonly onRequest: (request: FastifyRequest) => Promise<void>
  readonly preHandler: (request: FastifyRequest) => Promise<void>
  readonly config: { readonly scopes: readonly ProvisioningScope[] }
}

export interface Desk {
  /** Refuses, before the body is read, who has no token with this scope. */
  needs(scope: ProvisioningScope): Door
  /** Lets in whoever has a token for this audience. */
  readonly needsToken: Door
  /** For what takes its time: asked again. @throws FleetError kind `refused` when its access was taken away meanwhile */
  requireStill(request: FastifyRequest): Promise<void>
  principalOf(request: FastifyRequest): Principal
  /** The caller, with `If-Match` and `Idempotency-Key`. @throws FleetError `request.invalid` for an unusable key */
  byOf(request: FastifyRequest): By
}

/** @param access throws `system.busy` until the program is ready */
export function createDesk(access: () => Access): Desk {
  const principals = new WeakMap<FastifyRequest, Principal>()
  const principalOf = (request: FastifyRequest): Principal => {
    const principal = principals.get(request)
    if (principal === undefined) throw new Error('a route without a door')
    return principal
  }
  const requireStill = async (request: FastifyRequest) => {
    await access().admit(request, undefined)
  }
  const door = (scope: ProvisioningScope | undefined): Door => ({
    onRequest: async (request) => {
      principals.set(request, await access().admit(request, scope))
    },
    // A body may take a minute to come.
    preHandler: async (request) => {
      if (request.body !== undefined) await requireStill(request)
    },
    config: { scopes: scope === undefined ? [] : [scope] },
  })
  return {
    needs: door,
    needsToken: door(undefined),
    requireStill,
    principalOf,
    byOf(request) {
      const key = headerOf(request, 'idempotency-key')
      if (key !== undefined && !/^[\x21-\x7e]{8,255}$/.test(key))
        throw new FleetError('request.invalid', 'unusable Idempotency-Key', {
          safeDetail: 'Idempotency-Key: 8 to 255 printable characters without spaces',
        })
      return {
        actor: actorOf(principalOf(request).oauthClientId, headerOf(request, personHeader)),
        ifMatch: headerOf(request, 'if-match'),
        ifNoneMatch: headerOf(request, 'if-none-match'),
        idempotency: key === undefined ? undefined : { key, requestHash: hashOf(request) },
      }
    },
  }
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

function hashOf({ method, url, body }: FastifyRequest): string {
  return createHash('sha256')
    .update(JSON.stringify([method, url, body ?? null]))
    .digest('base64url')
}

/** Sends one thing with its entity tag; 304 to who asks for what they have already (RFC 9110 §13.1.2). */
export function sendThing(request: FastifyRequest, reply: FastifyReply, thing: object): FastifyReply {
  const etag = etagOf(thing)
  void reply.header('etag', etag)
  if (request.method === 'GET' && request.headers['if-none-match'] === etag) return reply.code(304).send()
  return reply.send(thing)
}

/** One row more than asked for was read: it says whether there is another page, which begins after the last one shown. */
export function pageOf<Row>(
  name: string,
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
): Record<string, unknown> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    [name]: shown,
    ...(rows.length > limit && last !== undefined ? { nextCursor: cursorOf(last) } : {}),
  }
}

/** For routes whose body may be left out. */
export const bodyOptional = {
  preValidation: async (request: FastifyRequest) => {
    request.body ??= {}
  },
} as const

export const strict = <Properties extends TProperties>(properties: Properties) =>
  Type.Object(properties, { additionalProperties: false })

export const pageLimit = Type.Integer({ minimum: 1, maximum: 1000, default: 100 })

/** Query of a list whose cursor is the last identifier shown; `more` are its filters. */
export const pageQuery = <Properties extends Record<string, TSchema>>(more: Properties) =>
  strict({ limit: pageLimit, cursor: Type.Optional(Type.String({ pattern: identifierPattern })), ...more })
