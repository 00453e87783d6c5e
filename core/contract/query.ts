/**
 * What analysts ask and get: parameters of `GET /v1/lots`, `latest`, `series`, `readings`, `completeness`, `profile`,
 * `devices`, `devices/health`, `quarantine`, and the rows.
 * Times in answers are RFC 3339 with the offset of the zone asked for. A value nobody measured is null, never zero.
 */
import { type Static, Type } from 'typebox'
import type { Completeness, Gap } from './completeness.ts'
import { identifierPattern } from './device.ts'
import { Tags } from './registry.ts'

export const aggregates = ['mean', 'min', 'max', 'first', 'last', 'sum', 'p95', 'count'] as const
export type Aggregate = (typeof aggregates)[number]

/**
 * What a series is of. `free` and `utilisation` (percent) are of the capacity that held in the window; `entries` and
 * `exits` are cars counted in it, and have `sum` and `count` alone.
 */
export const metrics = ['occupied', 'free', 'utilisation', 'entries', 'exits'] as const
export type Metric = (typeof metrics)[number]

/** `previous`: what held last; `linear`: between what was before and after. Both mark what they filled. */
export const fills = ['none', 'null', 'previous', 'linear'] as const
export type Fill = (typeof fills)[number]

/** Window lengths: minutes and hours of elapsed time, days and weeks of the zone's calendar; `auto` for what fits a chart. */
export const everyPattern = '^(auto|[1-9][0-9]{0,3}[mhdw])$'
/** `csv-excel`: for Excel, with a byte order mark, and nothing in it that Excel would take for a formula. */
export const formats = ['json', 'ndjson', 'csv', 'csv-excel', 'parquet'] as const
export type Format = (typeof formats)[number]

/**
 * RFC 3339, a date (midnight in `tz`), `now`, or relative to now: `-7d`, `now-90m`; with `/d` back to where that day
 * began, and likewise `/m`, `/h`, `/w`.
 */
export const timePattern =
  '^((now(-[1-9][0-9]{0,5}[mhdw])?|-[1-9][0-9]{0,5}[mhdw])(/[mhdw])?|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?)$'

const Ids = Type.Array(
  Type.String({ pattern: identifierPattern, description: 'an identifier: letters, digits, - and _' }),
  { maxItems: 1000 },
)
const Time = Type.String({
  pattern: timePattern,
  description: 'a time: now, -7d, now-1d/d, 2026-01-31, or RFC 3339 such as 2026-01-31T08:00:00Z',
})
const Zone = Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone' })
const Every = Type.String({
  pattern: everyPattern,
  description: 'a length such as 15m, 1h, 1d or 1w, or auto',
})
const Limit = (max: number) => Type.Integer({ minimum: 1, maximum: max })
const Cursor = Type.String({ minLength: 1, maxLength: 256 })

/** Every question: the zone of times, the form of the answer, and which of its columns. */
const form = {
  tz: Type.Optional(Zone),
  format: Type.Optional(Type.Enum(formats)),
  columns: Type.Optional(
    Type.Array(Type.String({ pattern: '^[A-Za-z0-9]{1,64}$', description: 'the name of a column' }), {
      minItems: 1,
      maxItems: 64,
    }),
  ),
}
/** Which lots, and which of their devices: those named, and those that have one of these tags. */
const among = { lot: Type.Optional(Ids), device: Type.Optional(Ids), tag: Type.Optional(Tags) }
const range = { from: Type.Optional(Time), to: Type.Optional(Time) }
/** `good` leaves out readings that are flagged for more than coming late. */
const quality = { quality: Type.Optional(Type.Enum(['all', 'good'])) }
const page = (max: number) => ({ limit: Type.Optional(Limit(max)), cursor: Type.Optional(Cursor) })
const closed = { additionalProperties: false }

export const LotsQuery = Type.Object({ ...among, ...form }, closed)
export const LatestQuery = Type.Object({ ...among, ...form }, closed)
export const SeriesQuery = Type.Object(
  {
    ...among,
    from: Time,
    to: Type.Optional(Time),
    every: Type.Optional(Every),
    metric: Type.Optional(Type.Array(Type.Enum(metrics), { minItems: 1, maxItems: metrics.length })),
    agg: Type.Optional(Type.Array(Type.Enum(aggregates))),
    fill: Type.Optional(Type.Enum(fills)),
    ...quality,
    ...form,
  },
  closed,
)
export const ReadingsQuery = Type.Object(
  {
    ...among,
    ...range,
    /** Only what brokers had from then on: what is new, late readings too. */
    receivedFrom: Type.Optional(Time),
    order: Type.Optional(Type.Enum(['asc', 'desc'])),
    ...quality,
    /** Absent: all there are, as a stream. */
    ...page(100_000),
    ...form,
  },
  closed,
)
export const CompletenessQuery = Type.Object(
  { ...among, ...range, every: Type.Optional(Every), ...form },
  closed,
)
export const ProfileQuery = Type.Object(
  {
    ...among,
    ...range,
    metric: Type.Optional(Type.Enum(['occupied', 'free', 'utilisation'])),
    ...quality,
    ...form,
  },
  closed,
)
/** How a device is, in one word; see `DeviceRow`. */
export const deviceConditions = [
  'online',
  'late',
  'silent_sensor',
  'offline',
  'never_seen',
  'suspended',
  'retired',
] as const
export type DeviceCondition = (typeof deviceConditions)[number]
const DeviceConditionWord = Type.Enum(deviceConditions)

export const DevicesQuery = Type.Object(
  {
    ...among,
    /** Absent: all but retired ones. */
    state: Type.Optional(Type.Array(DeviceConditionWord, { minItems: 1 })),
    ...page(10_000),
    ...form,
  },
  closed,
)
export const HealthQuery = Type.Object({ ...among, ...range, every: Type.Optional(Every), ...form }, closed)
export const QuarantineQuery = Type.Object(
  {
    device: Type.Optional(Ids),
    reason: Type.Optional(Type.String({ maxLength: 64 })),
    ...page(10_000),
    ...form,
  },
  closed,
)

/** `POST /v1/quarantine/release`: which entries are looked at once more; without any, all of them. */
export const QuarantineReleaseQuery = Type.Object(
  {
    device: Type.Optional(Ids),
    reason: Type.Optional(Type.String({ maxLength: 64 })),
    limit: Type.Optional(Limit(10_000)),
  },
  closed,
)
/** Entries by id: what is stored now, and what is still wrong. */
export const QuarantineReleased = Type.Object({
  released: Type.Array(Type.String()),
  remaining: Type.Array(Type.String()),
})
export type QuarantineReleased = Static<typeof QuarantineReleased>

const NullableInt = Type.Union([Type.Integer(), Type.Null()])
const NullableNumber = Type.Union([Type.Number(), Type.Null()])
const NullableString = Type.Union([Type.String(), Type.Null()])
/** RFC 3339 with the offset of the zone asked for. */
const TimeText = Type.String({ format: 'date-time' })
const NullableTime = Type.Union([TimeText, Type.Null()])

export const LotRow = Type.Object({
  lotId: Type.String(),
  name: Type.String(),
  capacity: NullableInt,
  latitude: NullableNumber,
  longitude: NullableNumber,
  zone: NullableString,
  openingHours: NullableString,
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
  time: NullableTime,
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
  start: TimeText,
  end: TimeText,
  /** Where it was asked for. */
  metric: Type.Optional(Type.Enum(metrics)),
  mean: Type.Optional(NullableNumber),
  min: Type.Optional(NullableNumber),
  max: Type.Optional(NullableNumber),
  first: Type.Optional(NullableNumber),
  last: Type.Optional(NullableNumber),
  sum: Type.Optional(NullableNumber),
  /** Of the readings in the window, in order: the value that 95 % do not exceed, between two in proportion. */
  p95: Type.Optional(NullableNumber),
  /** Readings with a count in the window; 0 is a true zero here. */
  count: Type.Optional(Type.Integer()),
  /** Whether values are not measured but filled in; where `fill` is `previous` or `linear`. */
  filled: Type.Optional(Type.Boolean()),
})
export type SeriesRow = Static<typeof SeriesRow>

export const ReadingRow = Type.Object({
  time: TimeText,
  deviceId: Type.String(),
  lotId: NullableString,
  occupied: NullableInt,
  capacity: NullableInt,
  entriesTotal: NullableInt,
  exitsTotal: NullableInt,
  clock: NullableString,
  sensor: NullableString,
  flags: Type.Array(Type.String()),
  receivedAt: TimeText,
  epoch: NullableString,
  seq: NullableInt,
})
export type ReadingRow = Static<typeof ReadingRow>

export const QuarantineRow = Type.Object({
  id: Type.String(),
  deviceId: Type.String(),
  receivedAt: TimeText,
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

/** A row of `GET /v1/profile`: an hour of a typical week, over the weeks asked for. */
export const ProfileRow = Type.Object({
  lotId: Type.String(),
  /** 1 is Monday. */
  weekday: Type.Integer({ minimum: 1, maximum: 7 }),
  /** Of the local day, 0 to 23. */
  hour: Type.Integer({ minimum: 0, maximum: 23 }),
  /** Of the means of these hours; null when nobody measured one. */
  mean: NullableNumber,
  p10: NullableNumber,
  p90: NullableNumber,
  /** Hours that were measured: about one a week. */
  hours: Type.Integer(),
})
export type ProfileRow = Static<typeof ProfileRow>

/**
 * A row of `GET /v1/devices`. `state`: `suspended` and `retired` as the registry says; `never_seen`: nothing ever came;
 * `offline`: not connected, or silent where nobody knows; `silent_sensor`: connected, and its newest reading has no
 * count; `late`: connected, and its newest reading is older than its schedule allows; `online`: none of these.
 * What only a status tells is null until one has come.
 */
export const DeviceRow = Type.Object({
  deviceId: Type.String(),
  name: Type.String(),
  lotId: NullableString,
  tags: Type.Array(Type.String()),
  state: DeviceConditionWord,
  /** Newest sign of life: a reading, a status, or its connection. */
  lastSeen: NullableTime,
  /** Instant of its newest reading. */
  lastReading: NullableTime,
  /** Null when no broker has said. */
  connected: Type.Union([Type.Boolean(), Type.Null()]),
  connectedSince: NullableTime,
  address: NullableString,
  statusAt: NullableTime,
  /** Readings that wait on the device. */
  queueReadings: NullableInt,
  queueBytes: NullableInt,
  queueBytesMax: NullableInt,
  queueOldestAgeSec: NullableInt,
  /** Readings the device let go of, in this epoch. */
  dropped: NullableInt,
  clock: NullableString,
  /** How far its clock is ahead. */
  clockOffsetMs: NullableInt,
  /** What the newest status was sent with. */
  credentialId: NullableString,
  credentialAgeSec: NullableInt,
  version: NullableString,
  uptimeSec: NullableInt,
  schedule: NullableString,
  scheduleSince: NullableTime,
  /** `name:type:state` of each. */
  sensors: Type.Array(Type.String()),
  cpuCelsius: NullableNumber,
  diskFreeBytes: NullableInt,
  configVersion: NullableInt,
  configState: NullableString,
})
export type DeviceRow = Static<typeof DeviceRow>

/** A row of `GET /v1/devices/health`: a device in a window. */
export const HealthRow = Type.Object({
  deviceId: Type.String(),
  start: TimeText,
  end: TimeText,
  /** The worst that is known of the window; null when it lies ahead, or nothing is known of it. */
  state: Type.Union([Type.Enum(['online', 'late', 'silent_sensor', 'offline', 'never_seen']), Type.Null()]),
  /** Seconds of it in which the device was connected; null when no broker has said. */
  connectedSec: NullableInt,
  expected: NullableInt,
  received: Type.Integer(),
  silent: Type.Integer(),
  missing: NullableInt,
  /** From the statuses of the window: the longest queue, the newest of the rest. */
  queueReadings: NullableInt,
  clockOffsetMs: NullableInt,
  cpuCelsius: NullableNumber,
})
export type HealthRow = Static<typeof HealthRow>

/** The frame around the rows of every answer. */
export interface Answer<Row> {
  readonly tz: string
  readonly rows: readonly Row[]
  /** Length of the windows, where there are any: what was asked for, or what `auto` came to. */
  readonly resolution?: string
  /** False when something is known to be missing. */
  readonly complete: boolean
  /** Absent where an answer is not of readings. */
  readonly completeness?: Completeness
  /** At most 1000. */
  readonly gaps: readonly Gap[]
  /** Present when there is more: pass it as `cursor`. */
  readonly nextCursor?: string
}
