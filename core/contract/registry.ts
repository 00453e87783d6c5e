/**
 * What the registry holds of places and devices, and how operators ask it to change: lots, devices, assignments.
 * Served by provisioning under `/v1`, used by lotctl; the feed carries the same shapes. Clients are in `client.ts`.
 */
import { type Static, Type } from 'typebox'
import { identifierPattern } from './device.ts'

export const Identifier = Type.String({ pattern: identifierPattern })
/** For people; shown, never matched on. */
export const Name = Type.String({ minLength: 1, maxLength: 200 })
/** Unix milliseconds. */
export const TimestampMs = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 })

/** Capacity that holds from an instant on, until the next entry. */
export const DatedCapacity = Type.Object(
  { fromMs: TimestampMs, capacity: Type.Integer({ minimum: 0 }) },
  { additionalProperties: false },
)
export type DatedCapacity = Static<typeof DatedCapacity>

export const Lot = Type.Object(
  {
    lotId: Identifier,
    name: Name,
    latitude: Type.Optional(Type.Number({ minimum: -90, maximum: 90 })),
    longitude: Type.Optional(Type.Number({ minimum: -180, maximum: 180 })),
    zone: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone of the lot' }),
    ),
    openingHours: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description:
          'when it is open, as OpenStreetMap writes it: "Mo-Fr 06:00-22:00; Sa 08:00-20:00"; absent: always. Needs `zone`',
      }),
    ),
    /** Ascending by `fromMs`; empty when nobody knows. */
    capacities: Type.Array(DatedCapacity, { maxItems: 1000 }),
  },
  { additionalProperties: false },
)
export type Lot = Static<typeof Lot>

/**
 * registered: a record, no credential yet; enrolled: it has a credential; active: it has had a token;
 * suspended: no tokens until it is resumed; retired: for good.
 */
export const DeviceState = Type.Enum(['registered', 'enrolled', 'active', 'suspended', 'retired'])
export type DeviceState = Static<typeof DeviceState>

/** What operators group devices by, such as `lot:north` or `batch-7`. */
export const Tags = Type.Array(
  Type.String({
    pattern: '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$',
    description: 'a tag: letters, digits and _ . : -, at most 64',
  }),
  { maxItems: 32, uniqueItems: true },
)

/** The computer a device runs on, as far as it says: two that share one identity are told apart by it. */
export const Board = Type.Object(
  {
    serial: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'of the board' })),
    bootId: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: 'new at each boot' })),
  },
  { additionalProperties: false },
)
export type Board = Static<typeof Board>

export const Device = Type.Object(
  {
    deviceId: Identifier,
    name: Name,
    state: DeviceState,
    registeredAtMs: TimestampMs,
    tags: Tags,
    /** The board that showed itself last. */
    board: Type.Optional(Board),
    /** Until then it may enrol again without an enrolment key and without its old key: an operator opened the window. */
    enrolWindowUntilMs: Type.Optional(TimestampMs),
  },
  { additionalProperties: false },
)
export type Device = Static<typeof Device>

/** A device counts for one lot from an instant on; the next assignment of the device, or `toMs`, ends it. */
export const Assignment = Type.Object(
  {
    deviceId: Identifier,
    lotId: Identifier,
    fromMs: TimestampMs,
    /** Exclusive; null while it lasts. */
    toMs: Type.Union([TimestampMs, Type.Null()]),
  },
  { additionalProperties: false },
)
export type Assignment = Static<typeof Assignment>

/** `PUT /v1/lots/{lotId}`: registers the lot or replaces what is known of it. */
export const LotRequest = Type.Omit(Lot, ['lotId'])
export type LotRequest = Static<typeof LotRequest>

/** `POST /v1/devices`: registers a device, assigns it, issues its first credential unless told not to. */
export const DeviceRequest = Type.Object(
  {
    deviceId: Identifier,
    name: Type.Optional(Name),
    lotId: Type.Optional(Identifier),
    assignedFromMs: Type.Optional(TimestampMs),
    tags: Type.Optional(Tags),
    /** `secret` by default; `none` leaves it registered, to be enrolled by key or by `…/credentials`. */
    credential: Type.Optional(Type.Enum(['secret', 'none'])),
  },
  { additionalProperties: false },
)
export type DeviceRequest = Static<typeof DeviceRequest>

/** `POST /v1/devices/{deviceId}/assignments`. */
export const AssignmentRequest = Type.Object(
  { lotId: Identifier, fromMs: TimestampMs },
  { additionalProperties: false },
)
export type AssignmentRequest = Static<typeof AssignmentRequest>

/** `PATCH /v1/devices/{deviceId}`: absent members stay as they are. */
export const DevicePatch = Type.Object(
  { name: Type.Optional(Name), tags: Type.Optional(Tags) },
  { additionalProperties: false },
)
export type DevicePatch = Static<typeof DevicePatch>
