/**
 * What goes down to devices and what is known of their connections: desired configuration, commands and their replies,
 * presence, alarms. It lives in the registry and reaches brokers and ingest by the feed.
 */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { Identifier, TimestampMs } from './registry.ts'

/** Desired configuration: a JSON object whose meaning is the agent's. */
export const DesiredConfig = Type.Object(
  {
    deviceId: Identifier,
    /** Counts up by one with each change of this device's. */
    version: Type.Integer({ minimum: 1 }),
    config: Type.Record(Type.String(), Type.Unknown()),
    setAtMs: TimestampMs,
  },
  { additionalProperties: false },
)
export type DesiredConfig = Static<typeof DesiredConfig>

/** As JSON text, in characters. */
export const configCharsMax = 16_384
export const argumentsCharsMax = 8192

export const CommandName = Type.Enum(['ping', 'report', 'set-count', 'rotate', 'restart'])
export type CommandName = Static<typeof CommandName>

export const Command = Type.Object(
  {
    commandId: Identifier,
    deviceId: Identifier,
    name: CommandName,
    arguments: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    createdAtMs: TimestampMs,
    /** Not delivered after that. */
    expiresAtMs: TimestampMs,
    state: Type.Enum(['pending', 'delivered', 'succeeded', 'failed', 'expired']),
    /** What the device answered, as it said it. */
    reply: Type.Optional(Type.Unknown()),
    changedAtMs: TimestampMs,
  },
  { additionalProperties: false },
)
export type Command = Static<typeof Command>

/** `POST /v1/devices/{deviceId}/commands`. */
export const CommandRequest = Type.Object(
  {
    name: CommandName,
    arguments: Command.properties.arguments,
    /** Default 24 h. */
    lifeSec: Type.Optional(Type.Integer({ minimum: 1, maximum: 30 * 86_400 })),
  },
  { additionalProperties: false },
)
export type CommandRequest = Static<typeof CommandRequest>

/** `POST /v1/commands/{commandId}/outcome`, by the broker that delivered it. */
export const CommandOutcome = Type.Object(
  {
    /** Whose connection it came over: nobody answers for another. */
    deviceId: Identifier,
    state: Type.Enum(['delivered', 'succeeded', 'failed']),
    reply: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
)
export type CommandOutcome = Static<typeof CommandOutcome>

/** The message on `devices/{deviceId}/config`. Sent when the device subscribes, and at each change. */
export const ConfigMessage = Type.Object(
  {
    v: Type.Literal(1),
    version: Type.Integer({ minimum: 1 }),
    config: Type.Record(Type.String(), Type.Unknown()),
  },
  { additionalProperties: false, description: 'a message on devices/{deviceId}/config' },
)
export type ConfigMessage = Static<typeof ConfigMessage>

/** The message on `devices/{deviceId}/commands`. One may come twice: `commandId` tells. */
export const CommandMessage = Type.Object(
  {
    v: Type.Literal(1),
    commandId: Identifier,
    name: Type.String({ maxLength: 64 }),
    arguments: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    expiresAtMs: TimestampMs,
  },
  { additionalProperties: false, description: 'a message on devices/{deviceId}/commands' },
)
export type CommandMessage = Static<typeof CommandMessage>

/** The message on `devices/{deviceId}/replies`: at most 16 KiB. */
export const ReplyMessage = Type.Object(
  {
    v: Type.Literal(1),
    commandId: Identifier,
    state: Type.Enum(['succeeded', 'failed']),
    result: Type.Optional(Type.Unknown()),
    /** Why not, for people. */
    error: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false, description: 'a message on devices/{deviceId}/replies' },
)
export type ReplyMessage = Static<typeof ReplyMessage>
export const replyBytesMax = 16 * 1024

/** @returns undefined for what is no reply of this version */
export function parseReply(payload: Uint8Array): ReplyMessage | undefined {
  if (payload.length > replyBytesMax) return undefined
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return Value.Check(ReplyMessage, value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether a device is connected, and where. */
export const Presence = Type.Object(
  {
    deviceId: Identifier,
    connected: Type.Boolean(),
    /** Which broker says so. */
    brokerId: Identifier,
    connectionId: Type.String({ minLength: 1, maxLength: 64 }),
    address: Type.Optional(Type.String({ maxLength: 64 })),
    atMs: TimestampMs,
  },
  { additionalProperties: false },
)
export type Presence = Static<typeof Presence>

/** A device's connection, or its end, as a broker says it; `atMs` by the broker's clock. */
export const PresenceNews = Type.Omit(Presence, ['brokerId'], { additionalProperties: false })
export type PresenceNews = Static<typeof PresenceNews>

/** Connections took the identity from each other more often than devices do. */
export const Contention = Type.Object(
  {
    deviceId: Identifier,
    /** Of the connections that fight over it. */
    addresses: Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 8 }),
    /** For how long the brokers hold it. */
    holdMs: Type.Integer({ minimum: 0, maximum: 3_600_000 }),
  },
  { additionalProperties: false },
)
export type Contention = Static<typeof Contention>

/**
 * `POST /v1/presence`, by brokers: at every news, and every `presenceBeatMs` without. A broker that says nothing for
 * `presenceSilentMs` has lost its connections, whatever it said before.
 */
export const PresenceReport = Type.Object(
  {
    /** Of one start of a broker. */
    brokerId: Identifier,
    /**
     * When this report is made, by a clock of the broker that only grows; provisioning moves every `atMs` by how far its
     * own is ahead, so that the clocks of brokers need not agree.
     */
    sentAtMs: TimestampMs,
    presence: Type.Array(PresenceNews, { maxItems: 1000 }),
    contended: Type.Optional(Type.Array(Contention, { maxItems: 100 })),
  },
  { additionalProperties: false },
)
export type PresenceReport = Static<typeof PresenceReport>

export const PresenceAnswer = Type.Object(
  {
    /** Of the connections said: those whose devices have a newer one elsewhere. They have to be closed. */
    superseded: Type.Array(Type.String({ maxLength: 64 })),
    /** Nothing is known of this broker: it has to say all its connections. */
    isNew: Type.Boolean(),
  },
  { additionalProperties: false },
)
export type PresenceAnswer = Static<typeof PresenceAnswer>

export const presenceBeatMs = 10_000
export const presenceSilentMs = 35_000

/** Something an operator must look at. */
export const Alarm = Type.Object(
  {
    alarmId: Type.Integer({ minimum: 1 }),
    kind: Type.Enum(['board.conflict', 'device.contended']),
    subject: Identifier,
    /** What it is about, by kind: for `board.conflict` the two boards, for `device.contended` a `ContentionDetail`. */
    detail: Type.Record(Type.String(), Type.Unknown()),
    atMs: TimestampMs,
    acknowledgedAtMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type Alarm = Static<typeof Alarm>

/** What an alarm `device.contended` says; it is brought up to date for as long as nobody has acknowledged it. */
export const ContentionDetail = Type.Object({
  addresses: Type.Array(Type.String()),
  /** How often it had to be held. */
  times: Type.Integer({ minimum: 1 }),
  /** By the clock of provisioning. */
  heldUntilMs: TimestampMs,
})
export type ContentionDetail = Static<typeof ContentionDetail>
