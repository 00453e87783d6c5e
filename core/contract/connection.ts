/** What operators see of a broker: who is connected, what happens to connections, and why the last of them ended as they did. */
import { type Static, Type } from 'typebox'
import { Identifier, TimestampMs } from './registry.ts'

export const ConnectionView = Type.Object(
  {
    deviceId: Identifier,
    /** Tells it from every other of this broker. */
    connectionId: Type.String(),
    remoteAddress: Type.String(),
    connectedAtMs: TimestampMs,
    tokenExpiresAtMs: TimestampMs,
    credentialId: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)
export type ConnectionView = Static<typeof ConnectionView>

/** `GET /v1/connections`. */
export const ConnectionsAnswer = Type.Object(
  {
    brokerId: Identifier,
    /** All that are connected to this broker, on whatever page. */
    total: Type.Integer({ minimum: 0 }),
    connections: Type.Array(ConnectionView),
    nextCursor: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)
export type ConnectionsAnswer = Static<typeof ConnectionsAnswer>

export const ConnectionDecision = Type.Object(
  {
    atMs: TimestampMs,
    outcome: Type.Enum(['admitted', 'refused', 'closed']),
    /** Error code of a refusal. */
    code: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    remoteAddress: Type.String(),
  },
  { additionalProperties: false },
)
export type ConnectionDecision = Static<typeof ConnectionDecision>

/** An event of `GET /v1/events`; its name is `type`. */
export const ConnectionEvent = Type.Object(
  {
    type: Type.Enum(['connected', 'disconnected', 'refused', 'renewed', 'kicked', 'taken_over', 'contended']),
    atMs: TimestampMs,
    /** The client identifier as the CONNECT said it, which need not be a device's; absent when none was read. */
    device: Type.Optional(Type.String({ maxLength: 64 })),
    remoteAddress: Type.Optional(Type.String()),
    /** Of who took over. */
    byAddress: Type.Optional(Type.String()),
    /** Error code of a refusal. */
    code: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    /** Of the token that a connection stands on now. */
    tokenExpiresAtMs: Type.Optional(TimestampMs),
  },
  { additionalProperties: false },
)
export type ConnectionEvent = Static<typeof ConnectionEvent>

/** A comment line is sent this often. */
export const eventBeatMs = 5000
