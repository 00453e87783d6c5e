/**
 * The feed `GET /v1/feed`: what provisioning tells brokers and ingest, as server-sent events.
 * Each event has a decimal `id`, the position; a follower comes back with `Last-Event-ID` and misses nothing.
 * Without it, or when the position is too old, the first event is a `snapshot` that replaces all that was known.
 */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { Alarm, Command, DesiredConfig, Presence } from './downlink.ts'
import { FleetError } from './errors.ts'
import { Assignment, Device, Lot } from './registry.ts'

const TimestampMs = Type.Integer({ minimum: 0 })

/** What is void from an instant on: a credential, one token, or all tokens a client got until then. */
export const Revocation = Type.Union([
  Type.Object(
    { of: Type.Literal('credential'), credentialId: Type.String(), atMs: TimestampMs },
    { additionalProperties: false },
  ),
  Type.Object(
    { of: Type.Literal('token'), tokenId: Type.String(), atMs: TimestampMs },
    { additionalProperties: false },
  ),
  Type.Object(
    { of: Type.Literal('client'), oauthClientId: Type.String(), atMs: TimestampMs },
    {
      additionalProperties: false,
      description: 'tokens with iat ≤ floor(atMs / 1000) are void; none is issued within that second',
    },
  ),
])
export type Revocation = Static<typeof Revocation>

export const FeedSnapshot = Type.Object(
  {
    lots: Type.Array(Lot),
    devices: Type.Array(Device),
    assignments: Type.Array(Assignment),
    /** Only those that can still meet a living token. */
    revocations: Type.Array(Revocation),
    configs: Type.Array(DesiredConfig),
    /** Those that wait for delivery or for their answer. */
    commands: Type.Array(Command),
    /** Of the devices that are connected. */
    presence: Type.Array(Presence),
  },
  { additionalProperties: false },
)
export type FeedSnapshot = Static<typeof FeedSnapshot>

/** Event name → data. An `assignment` replaces the one of the same device and `fromMs`. */
export const feedEvents = {
  snapshot: FeedSnapshot,
  lot: Lot,
  device: Device,
  assignment: Assignment,
  revocation: Revocation,
  config: DesiredConfig,
  command: Command,
  presence: Presence,
  alarm: Alarm,
} as const

export type FeedEvent =
  | { readonly type: 'snapshot'; readonly data: FeedSnapshot }
  | { readonly type: 'lot'; readonly data: Lot }
  | { readonly type: 'device'; readonly data: Device }
  | { readonly type: 'assignment'; readonly data: Assignment }
  | { readonly type: 'revocation'; readonly data: Revocation }
  | { readonly type: 'config'; readonly data: DesiredConfig }
  | { readonly type: 'command'; readonly data: Command }
  | { readonly type: 'presence'; readonly data: Presence }
  | { readonly type: 'alarm'; readonly data: Alarm }

/** A comment line is sent this often when nothing happens, so that a follower knows the feed lives. */
export const feedBeatMs = 5000

/**
 * A server-sent event of the feed, checked.
 * @returns undefined for an event this version does not know: a newer provisioning may say more
 * @throws FleetError `request.invalid` when a known event does not fit its schema
 */
export function parseFeedEvent(type: string, data: string): FeedEvent | undefined {
  if (!isKnownType(type)) return undefined
  const value = parseJson(data)
  if (!Value.Check(feedEvents[type], value))
    throw new FleetError('request.invalid', `feed event ${type} does not fit its schema`)
  return { type, data: value } as FeedEvent // checked by the schema of this very type
}

function isKnownType(type: string): type is keyof typeof feedEvents {
  return Object.hasOwn(feedEvents, type)
}

/** @returns undefined, which fits no schema, for what is not JSON */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
