/**
 * What analysts ask and get: parameters of `GET /v1/lots`, `latest`, `series`, `readings`, `quarantine`, and the rows.
 * Times in answers are RFC 3339 with the offset of the zone asked for. A value nobody measured is null, never zero.
 */
import { type Static, Type } from 'typebox'
import { identifierPattern } from './device.ts'

export const aggregates = ['mean', 'min', 'max', 'first', 'last', 'count'] as const
export type Aggregate = (typeof aggregates)[number]

/** Window lengths: minutes and hours of elapsed time, days and weeks of the zone's calendar. */
export const everyPattern = '^([1-9][0-9]{0,3})(m|h|d|w)$'
export const formats = ['json', 'csv'] as const

/** RFC 3339, a date (midnight in `tz`), `now`, or relative to now: `-7d`, `-90m`. */
export const timePattern =
  '^(now|-[1-9][0-9]{0,5}[mhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?)$'

const Ids = Type.Array(
  Type.String({ pattern: identifierPattern, description: 'an identifier: letters, digits, - and _' }),
  { maxItems: 1000 },
)
const Time = Type.String({
  pattern: timePattern,
  description: 'a time: now, -7d, 2026-01-31, or RFC 3339 such as 2026-01-31T08:00:00Z',
})
const Zone = Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone' })
const Format = Type.Enum(formats)
const Limit = (max: number) => Type.Integer({ minimum: 1, maximum: max })
const Cursor = Type.String({ minLength: 1, maxLength: 256 })

export const LotsQuery = Type.Object(
  { tz: Type.Optional(Zone), format: Type.Optional(Format) },
  { additionalProperties: false },
)
export const LatestQuery = Type.Object(
  { lot: Type.Optional(Ids), tz: Type.Optional(Zone), format: Type.Optional(Format) },
  { additionalProperties: false },
)
export const SeriesQuery = Type.Object(
  {
    lot: Type.Optional(Ids),
    from: Time,
    to: Type.Optional(Time),
    every: Type.Optional(
      Type.String({ pattern: everyPattern, description: 'a length such as 15m, 1h, 1d or 1w' }),
    ),
    agg: Type.Optional(Type.Array(Type.Enum(aggregates))),
    fill: Type.Optional(Type.Enum(['none', 'null'])),
    tz: Type.Optional(Zone),
    format: Type.Optional(Format),
  },
  { additionalProperties: false },
)
export const ReadingsQuery = Type.Object(
  {
    lot: Type.Optional(Ids),
    device: Type.Optional(Ids),
    from: Type.Optional(Time),
    to: Type.Optional(Time),
    order: Type.Optional(Type.Enum(['asc', 'desc'])),
    limit: Type.Optional(Limit(100_000)),
    cursor: Type.Optional(Cursor),
    tz: Type.Optional(Zone),
    format: Type.Optional(Format),
  },
  { additionalProperties: false },
)
export const QuarantineQuery = Type.Object(
  {
    device: Type.Optional(Ids),
    reason: Type.Optional(Type.String({ maxLength: 64 })),
    limit: Type.Optional(Limit(10_000)),
    cursor: Type.Optional(Cursor),
    tz: Type.Optional(Zone),
    format: Type.Optional(Format),
  },
  { additionalProperties: false },
)

const NullableInt = Type.Union([Type.Integer(), Type.Null()])
const NullableNumber = Type.Union([Type.Number(), Type.Null()])
const NullableString = Type.Union([Type.String(), Type.Null()])

export const LotRow = Type.Object({
  lotId: Type.String(),
  name: Type.String(),
  capacity: NullableInt,
  latitude: NullableNumber,
  longitude: NullableNumber,
  zone: NullableString,
  /** Devices that count for the lot now. */
  devices: Type.Array(Type.String()),
})
export type LotRow = Static<typeof LotRow>

/** `current`: every device of the lot spoke within the stale age; `stale`: one has not; `silent`: one says its sensor is silent; `none`: nothing was ever stored. */
export const LatestState = Type.Union([
  Type.Literal('current'),
  Type.Literal('stale'),
  Type.Literal('silent'),
  Type.Literal('none'),
])
export const LatestRow = Type.Object({
  lotId: Type.String(),
  name: Type.String(),
  /** Instant of the oldest of the readings that make up the value. */
  time: NullableString,
  ageSec: NullableInt,
  state: LatestState,
  /** Sum over the lot's devices; null unless the state is `current`. */
  occupied: NullableInt,
  capacity: NullableInt,
  free: NullableInt,
  /** What was last known, whatever the state. */
  lastOccupied: NullableInt,
})
export type LatestRow = Static<typeof LatestRow>

export const SeriesRow = Type.Object({
  lotId: Type.String(),
  start: Type.String(),
  end: Type.String(),
  mean: Type.Optional(NullableNumber),
  min: Type.Optional(NullableInt),
  max: Type.Optional(NullableInt),
  first: Type.Optional(NullableInt),
  last: Type.Optional(NullableInt),
  /** Readings with a count in the window; 0 is a true zero here. */
  count: Type.Optional(Type.Integer()),
})
export type SeriesRow = Static<typeof SeriesRow>

export const ReadingRow = Type.Object({
  time: Type.String(),
  deviceId: Type.String(),
  lotId: NullableString,
  occupied: NullableInt,
  capacity: NullableInt,
  entriesTotal: NullableInt,
  exitsTotal: NullableInt,
  clock: NullableString,
  sensor: NullableString,
  flags: Type.Array(Type.String()),
  receivedAt: Type.String(),
  epoch: NullableString,
  seq: NullableInt,
})
export type ReadingRow = Static<typeof ReadingRow>

export const QuarantineRow = Type.Object({
  id: Type.String(),
  deviceId: Type.String(),
  receivedAt: Type.String(),
  reason: Type.String(),
  epoch: NullableString,
  seq: NullableInt,
  timestampMs: NullableInt,
  /** How often the same was received. */
  count: Type.Integer(),
  /** What came, as text; null when the device's share of the quarantine is full. */
  content: NullableString,
  contentHash: Type.String(),
  /** For a conflict: the value that was stored before. */
  storedOccupied: NullableInt,
})
export type QuarantineRow = Static<typeof QuarantineRow>

/** Where readings are known to be missing: holes in the ledger, and what devices said they dropped. */
export const Gap = Type.Object({
  deviceId: Type.String(),
  epoch: Type.String(),
  fromSeq: Type.Integer(),
  toSeq: Type.Integer(),
  reason: Type.String({ description: 'missing, or the reason the device gave' }),
})
export type Gap = Static<typeof Gap>

/** The frame around the rows of `latest`, `series` and `readings`. */
export interface Answer<Row> {
  readonly tz: string
  readonly rows: readonly Row[]
  /** False when the ledger knows of readings that devices took and the store does not have. */
  readonly complete: boolean
  readonly gaps: readonly Gap[]
  /** Present when there is more: pass it as `cursor`. */
  readonly nextCursor?: string
}
