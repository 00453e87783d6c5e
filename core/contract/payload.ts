/**
 * The message on `devices/{deviceId}/readings`: its schema, its limits, and reading it so that
 * one bad reading does not take its neighbours along.
 */
import { type Static, Type } from 'typebox'
import { type Epoch, epochPattern } from './device.ts'
import { type QuarantineReason, Reading } from './reading.ts'

/** What an agent builds at most. */
export const payloadBytesMax = 60 * 1024
export const payloadReadingsMax = 500
/** A whole MQTT packet beyond this closes the connection. */
export const packetBytesMax = 64 * 1024

export const DroppedRange = Type.Object(
  {
    fromSeq: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    toSeq: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    reason: Type.String({
      pattern: '^[a-z][a-z0-9_]{0,31}$',
      description: 'why the device let go of them, such as outbox_full',
    }),
  },
  { additionalProperties: false },
)
export type DroppedRange = Static<typeof DroppedRange>

export const ReadingsMessage = Type.Object(
  {
    v: Type.Literal(1),
    epoch: Type.Optional(Type.String({ pattern: epochPattern })),
    readings: Type.Array(Reading, { maxItems: payloadReadingsMax }),
    dropped: Type.Optional(Type.Array(DroppedRange, { maxItems: payloadReadingsMax })),
    previous: Type.Optional(
      Type.Object(
        {
          epoch: Type.String({ pattern: epochPattern }),
          lastSeq: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
        },
        { additionalProperties: false, description: "in a new epoch's first message: what came before" },
      ),
    ),
  },
  { additionalProperties: false, description: 'a message on devices/{deviceId}/readings' },
)
export type ReadingsMessage = Static<typeof ReadingsMessage>

/** The envelope is right; each reading still has to be checked by `readingFault`. */
export interface ReadingsEnvelope {
  readonly epoch: Epoch | undefined
  readonly readings: readonly unknown[]
  readonly dropped: readonly DroppedRange[]
  readonly previous: { readonly epoch: Epoch; readonly lastSeq: number } | undefined
}

const epochShape = new RegExp(epochPattern)
const dropReason = /^[a-z][a-z0-9_]{0,31}$/
const members = new Set(Object.keys(ReadingsMessage.properties))

/**
 * Reads the envelope of a readings message.
 * @param text the payload decoded as UTF-8
 * @returns the envelope, or why the whole message belongs in quarantine
 */
export function parseReadingsMessage(
  text: string,
): ReadingsEnvelope | Extract<QuarantineReason, `payload.${string}`> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'payload.unparsable'
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'payload.invalid'
  for (const key in value) if (!members.has(key)) return 'payload.invalid'
  const m = value as Record<string, unknown>
  if (m.v !== 1 || !Array.isArray(m.readings) || m.readings.length > payloadReadingsMax)
    return 'payload.invalid'
  if (m.epoch !== undefined && !(typeof m.epoch === 'string' && epochShape.test(m.epoch)))
    return 'payload.invalid'
  if (m.dropped !== undefined && !isDropped(m.dropped)) return 'payload.invalid'
  if (m.previous !== undefined && !isPrevious(m.previous)) return 'payload.invalid'
  // Sequences count within an epoch: without one they, and what refers to them, mean nothing.
  if (m.epoch === undefined && (m.dropped !== undefined || m.previous !== undefined)) return 'payload.invalid'
  return {
    epoch: m.epoch as Epoch | undefined,
    readings: m.readings,
    dropped: (m.dropped as DroppedRange[] | undefined) ?? [],
    previous: m.previous as ReadingsEnvelope['previous'],
  }
}

function isSeq(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isDropped(value: unknown): value is DroppedRange[] {
  return (
    Array.isArray(value) &&
    value.length <= payloadReadingsMax &&
    value.every(
      (range: Partial<DroppedRange> | null) =>
        typeof range === 'object' &&
        range !== null &&
        isSeq(range.fromSeq) &&
        isSeq(range.toSeq) &&
        range.fromSeq <= range.toSeq &&
        typeof range.reason === 'string' &&
        dropReason.test(range.reason) &&
        Object.keys(range).length === 3,
    )
  )
}

function isPrevious(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const previous = value as Record<string, unknown>
  return (
    typeof previous.epoch === 'string' &&
    epochShape.test(previous.epoch) &&
    isSeq(previous.lastSeq) &&
    Object.keys(previous).length === 2
  )
}
