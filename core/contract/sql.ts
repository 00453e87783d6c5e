/**
 * Analysts' SQL and exports: what is asked (`POST /v1/sql`, `POST /v1/exports`), what a job says of itself, and the views
 * that a SELECT may read.
 */
import { type Static, Type } from 'typebox'
import { identifierPattern } from './device.ts'
import { formats, timePattern } from './query.ts'

export const sqlCharactersMax = 100_000

const Sql = Type.String({
  minLength: 1,
  maxLength: sqlCharactersMax,
  description: 'one SELECT in the words of DuckDB',
})
const Zone = Type.String({ minLength: 1, maxLength: 64, description: 'IANA time zone' })
const Format = Type.Enum(formats)

export const SqlRequest = Type.Object(
  { sql: Sql, format: Type.Optional(Format), tz: Type.Optional(Zone) },
  { additionalProperties: false },
)
export type SqlRequest = Static<typeof SqlRequest>

const Ids = Type.Array(
  Type.String({ pattern: identifierPattern, description: 'an identifier: letters, digits, - and _' }),
  { minItems: 1, maxItems: 1000 },
)
const Time = Type.String({
  pattern: timePattern,
  description: 'a time: now, -7d, 2026-01-31, or RFC 3339 such as 2026-01-31T08:00:00Z',
})

/** Columns of the view `readings`, which an export has too. */
export const readingColumns = [
  'time',
  'deviceId',
  'lotId',
  'occupied',
  'capacity',
  'entriesTotal',
  'exitsTotal',
  'clock',
  'sensor',
  'receivedAt',
  'epoch',
  'seq',
] as const

/** Every reading of these lots and devices in this time; or the answer to a SELECT. */
export const ExportRequest = Type.Object(
  {
    sql: Type.Optional(Sql),
    lot: Type.Optional(Ids),
    device: Type.Optional(Ids),
    from: Type.Optional(Time),
    to: Type.Optional(Time),
    columns: Type.Optional(
      Type.Array(Type.Enum(readingColumns), {
        minItems: 1,
        maxItems: readingColumns.length,
        uniqueItems: true,
      }),
    ),
    format: Type.Optional(Format),
    tz: Type.Optional(Zone),
  },
  { additionalProperties: false },
)
export type ExportRequest = Static<typeof ExportRequest>

/** `failed` says why in `code` and `detail`; a file is there from `done` until `expiresAt`. */
export const ExportState = Type.Enum(['waiting', 'running', 'done', 'failed'])
export type ExportState = Static<typeof ExportState>

export const ExportJob = Type.Object({
  id: Type.String(),
  state: ExportState,
  format: Format,
  /** Percent of the readings it has read so far, as far as that is known. */
  progress: Type.Number({ minimum: 0, maximum: 100 }),
  createdAt: Type.String(),
  endedAt: Type.Union([Type.String(), Type.Null()]),
  expiresAt: Type.Union([Type.String(), Type.Null()]),
  rows: Type.Union([Type.Integer(), Type.Null()]),
  bytes: Type.Union([Type.Integer(), Type.Null()]),
  sha256: Type.Union([Type.String(), Type.Null()]),
  code: Type.Union([Type.String(), Type.Null()]),
  detail: Type.Union([Type.String(), Type.Null()]),
})
export type ExportJob = Static<typeof ExportJob>

/** A column of an answer: its name, and its type as DuckDB calls it. */
export interface SqlColumn {
  readonly name: string
  readonly type: string
}

/** The views a SELECT may read, each with its columns and what they are. */
export const sqlViews = {
  readings: {
    time: 'when it was counted',
    deviceId: 'which device counted',
    lotId: 'the lot the device counted for then; null where it was assigned to none',
    occupied: 'spaces taken; null when the sensor was silent, never zero',
    capacity: 'of the device, where it says so',
    entriesTotal: 'cars in since the epoch began',
    exitsTotal: 'cars out since the epoch began',
    clock: 'synced or unsynced',
    sensor: 'ok, silent or stuck',
    receivedAt: 'when the broker had it',
    epoch: 'with seq the identity of the reading',
    seq: 'counts up in its epoch without gaps',
  },
  lots: {
    lotId: 'the lot',
    name: 'for people',
    latitude: 'degrees north',
    longitude: 'degrees east',
    zone: 'its IANA time zone',
    openingHours: 'as OpenStreetMap writes them; null: always open',
    capacity: 'spaces now',
  },
  capacities: {
    lotId: 'the lot',
    fromTime: 'since when it has so many spaces',
    capacity: 'until the next entry',
  },
  devices: {
    deviceId: 'every device of which anything is known',
    lotId: 'the lot it counts for now',
  },
  assignments: {
    deviceId: 'the device',
    lotId: 'counts for this lot',
    fromTime: 'from then on',
    toTime: 'until then; null while it lasts',
  },
  ledger: {
    deviceId: 'the device',
    epoch: 'its epoch',
    fromSeq: 'first sequence of a range',
    toSeq: 'last sequence of it',
    outcome: 'stored, duplicate, conflict, quarantined or dropped',
    reason: 'why the device dropped it',
  },
  gaps: {
    deviceId: 'the device',
    epoch: 'its epoch',
    fromSeq: 'first sequence that is not there',
    toSeq: 'last sequence that is not there',
    reason: 'why, as in every answer',
  },
} as const satisfies Record<string, Readonly<Record<string, string>>>
