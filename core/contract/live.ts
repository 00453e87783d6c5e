/**
 * The live feed `GET /v1/live`: each stored reading as a server-sent event, soon after its commit.
 * `reading` has a `ReadingRow`; its `id` goes into `Last-Event-ID` of whoever comes back. `missed` comes first where that
 * place is known no longer: what was received from `receivedFrom` until `receivedBefore` can be asked for
 * (`GET /v1/readings?receivedFrom=`). `cut` is the last word, with why.
 */
import { type Static, Type } from 'typebox'
import { identifierPattern } from './device.ts'

const Ids = Type.Array(
  Type.String({ pattern: identifierPattern, description: 'an identifier: letters, digits, - and _' }),
  { maxItems: 1000 },
)

export const LiveQuery = Type.Object(
  {
    lot: Type.Optional(Ids),
    device: Type.Optional(Ids),
    tz: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone' })),
  },
  { additionalProperties: false },
)
export type LiveQuery = Static<typeof LiveQuery>

export const LiveMissed = Type.Object({
  reason: Type.Literal('too_old'),
  /** A minute before the last one that was seen: what came by a detour is in it. Null when the id that was sent is none. */
  receivedFrom: Type.Union([Type.String(), Type.Null()]),
  /** Null when nothing has been stored since the start. */
  receivedBefore: Type.Union([Type.String(), Type.Null()]),
})

export type LiveMissed = Static<typeof LiveMissed>

/** `slow`: it took nothing for too long, or fell too far behind. */
export const LiveCut = Type.Object({
  reason: Type.Enum(['slow', 'token.expired', 'token.revoked', 'stopping']),
})
