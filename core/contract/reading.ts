/**
 * What one device counted at one time, and the word ingest has for it.
 * The rules that need only the reading and the time of arrival are here; what needs history is in ingest.
 */
import { type Static, Type } from 'typebox'

/** Readings before this are quarantined: 2000-01-01T00:00:00Z. */
export const timestampMsMin = 946_684_800_000
/** A reading stamped further ahead of its arrival than this is quarantined. */
export const futureMsMax = 24 * 3600_000
/** A reading that arrives later after its stamp than this is stored and flagged `late`. */
export const lateMs = 3600_000
/** Counts and totals above this are quarantined: no lot and no counter gets there. */
export const countMax = 2 ** 31 - 1

export const ClockState = Type.Union([Type.Literal('synced'), Type.Literal('unsynced')])
export const SensorState = Type.Union([Type.Literal('ok'), Type.Literal('silent'), Type.Literal('stuck')])

/** A reading as it travels; `occupied` null means that the sensor was silent, which is not zero. */
export const Reading = Type.Object(
  {
    seq: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'counts up by one within an epoch',
      }),
    ),
    timestampMs: Type.Integer({ description: 'Unix time in milliseconds, UTC' }),
    occupied: Type.Union([Type.Integer({ minimum: 0, maximum: countMax }), Type.Null()], {
      description: 'spaces taken; null when the sensor is silent',
    }),
    capacity: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: countMax,
        description: "spaces there are at that instant; overrides the lot's",
      }),
    ),
    entriesTotal: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'cars in since the epoch began; only grows',
      }),
    ),
    exitsTotal: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'cars out since the epoch began; only grows',
      }),
    ),
    clock: Type.Optional(ClockState),
    sensor: Type.Optional(SensorState),
  },
  { additionalProperties: false, description: 'what one device counted at one time' },
)
export type Reading = Static<typeof Reading>

/** What ingest says of one reading; each settles it. */
export type Verdict = 'stored' | 'redelivered' | 'duplicate' | 'conflict' | 'quarantined'

/** One letter per verdict, as it travels from ingest to the broker. */
export const verdictLetters = {
  stored: 's',
  redelivered: 'r',
  duplicate: 'd',
  conflict: 'c',
  quarantined: 'q',
} as const satisfies Record<Verdict, string>

/** What the ledger keeps of a sequence. */
export type Outcome = 'stored' | 'duplicate' | 'conflict' | 'quarantined' | 'dropped'

/** Why a reading or a message was set aside. */
export const quarantineReasons = {
  'payload.unparsable': 'the payload is not JSON in UTF-8',
  'payload.invalid': 'the message breaks the contract as a whole',
  'payload.topic': 'nothing is kept from messages on this topic',
  'reading.type': 'a member is missing, unknown or of the wrong type',
  'reading.negative': 'a count is negative',
  'reading.not_integer': 'a count is not an integer',
  'reading.too_large': 'a count is larger than any lot',
  'reading.future': 'the stamp is more than 24 h ahead of the arrival',
  'reading.ancient': 'the stamp is before 2000',
  'reading.conflict': 'the same instant was stored with another value',
  'reading.expired': 'readings of that day are not kept any more',
  'ledger.full': 'the device has more epochs or gaps than are kept',
} as const
export type QuarantineReason = keyof typeof quarantineReasons

/** Flags on stored readings: kept, and said. */
export type Flag = 'late' | 'clock_unsynced' | 'over_capacity' | 'stuck'

export type ReadingFault = Extract<QuarantineReason, `reading.${string}`>

const members = new Set(Object.keys(Reading.properties))

function countFault(value: unknown, max: number): ReadingFault | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value)) return 'reading.type'
  if (value < 0) return 'reading.negative'
  if (!Number.isInteger(value)) return 'reading.not_integer'
  return value > max ? 'reading.too_large' : undefined
}

/**
 * Checks one reading as it came from JSON.
 * Written out rather than compiled from the schema, because each refusal has its own reason
 * and this runs once per reading; `test/unit/core/contract/reading.test.ts` holds both to the same answer.
 * @param receivedAtMs when the broker had it, Unix milliseconds
 * @returns the reason for quarantine, or undefined when the value is a `Reading`
 */
export function readingFault(value: unknown, receivedAtMs: number): ReadingFault | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'reading.type'
  for (const key in value) if (!members.has(key)) return 'reading.type'
  const r = value as Record<string, unknown>
  if (typeof r.timestampMs !== 'number') return 'reading.type'
  if (!Number.isInteger(r.timestampMs)) return 'reading.not_integer'
  if (r.clock !== undefined && r.clock !== 'synced' && r.clock !== 'unsynced') return 'reading.type'
  if (r.sensor !== undefined && r.sensor !== 'ok' && r.sensor !== 'silent' && r.sensor !== 'stuck')
    return 'reading.type'
  const fault =
    (r.occupied === null ? undefined : countFault(r.occupied, countMax)) ??
    optionalFault(r.capacity, countMax) ??
    optionalFault(r.seq, Number.MAX_SAFE_INTEGER) ??
    optionalFault(r.entriesTotal, Number.MAX_SAFE_INTEGER) ??
    optionalFault(r.exitsTotal, Number.MAX_SAFE_INTEGER)
  if (fault !== undefined) return fault
  // Up to here it was whether this is a `Reading` at all; from here on, whether it can be of that time.
  if (r.timestampMs < timestampMsMin) return 'reading.ancient'
  return r.timestampMs > receivedAtMs + futureMsMax ? 'reading.future' : undefined
}

function optionalFault(value: unknown, max: number): ReadingFault | undefined {
  return value === undefined ? undefined : countFault(value, max)
}
