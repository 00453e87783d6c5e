/**
 * How complete an answer is: what was to be expected, what came, what is missing and why. It goes with every answer of
 * ingest, and is an answer of its own by lot and hour (`GET /v1/completeness`).
 * What cannot be known is null, never zero: a device that never said when it takes readings has no expectation.
 */
import { type Static, Type } from 'typebox'

/**
 * Why readings are missing. `never_seen`: nothing ever came from the device; `device_offline`: it was not connected, and
 * what it counted meanwhile, if it did, has not come; `sensor_silent`: the reading is there, and says that its sensor was silent;
 * `outbox_limit`: the device let go of it before it could be sent; `not_yet_arrived`: it is on its way, or waits on the
 * device; `quarantined`: it came and can never be right; `unexplained`: nothing known accounts for it.
 */
export const gapReasons = [
  'never_seen',
  'device_offline',
  'sensor_silent',
  'outbox_limit',
  'not_yet_arrived',
  'quarantined',
  'unexplained',
] as const
export type GapReason = (typeof gapReasons)[number]

const Count = Type.Integer({ minimum: 0 })
const NullableCount = Type.Union([Count, Type.Null()])
const NullableString = Type.Union([Type.String(), Type.Null()])
const NullableTime = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const counts = {
  /** Readings due by the schedules that devices said they have; null when none said so. */
  expected: NullableCount,
  /** Readings stored, with a count or without. */
  received: Count,
  /** Of those received: the sensor was silent, so they have no count. */
  silent: Count,
  /** Of those received: over an hour late. */
  late: Count,
  /** Came under two identities; kept once. */
  duplicate: Count,
  /** Let go of by the device itself, as it said. */
  dropped: Count,
  /** Came and can never be right, or contradict what is stored. */
  quarantined: Count,
  /** Of those expected: not received, for whatever reason; null when nothing was expected for want of a schedule. */
  missing: NullableCount,
  /** Devices of which it is not known when they take readings: they are in `received` and not in `expected`. */
  unknown: Count,
}

/** Of all that an answer is about. */
export const Completeness = Type.Object(counts)
export type Completeness = Static<typeof Completeness>

/** Readings by reason; reasons that account for none are left out. */
export const Reasons = Type.Object(
  {
    device_offline: Type.Optional(Count),
    sensor_silent: Type.Optional(Count),
    outbox_limit: Type.Optional(Count),
    not_yet_arrived: Type.Optional(Count),
    quarantined: Type.Optional(Count),
    unexplained: Type.Optional(Count),
    never_seen: Type.Optional(Count),
  },
  { additionalProperties: false },
)
export type Reasons = Static<typeof Reasons>

/** A row of `GET /v1/completeness`: a lot in a window. */
export const CompletenessRow = Type.Object({
  lotId: Type.String(),
  start: Type.String({ format: 'date-time' }),
  end: Type.String({ format: 'date-time' }),
  ...counts,
  reasons: Reasons,
})
export type CompletenessRow = Static<typeof CompletenessRow>

/** Readings of a device that are missing together, for one reason. */
export const Gap = Type.Object({
  deviceId: Type.String(),
  /** Null when the device counted for no lot then. */
  lotId: NullableString,
  /** From when on; null when nothing is known of the time. */
  from: NullableTime,
  /** Exclusive; null when nothing is known of the time. */
  to: NullableTime,
  /** How many; null when it is not known when the device takes readings. */
  readings: NullableCount,
  reason: Type.Enum(gapReasons),
  /** The device's own word for why it let go of them. */
  detail: NullableString,
  /** Where the ledger proves the gap: the device's own numbers of what is missing, both inclusive. */
  epoch: NullableString,
  fromSeq: NullableCount,
  toSeq: NullableCount,
})
export type Gap = Static<typeof Gap>
