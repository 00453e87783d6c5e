/**
 * The message on `devices/{deviceId}/status`: how the device is, at connect, every few minutes and on demand.
 * Ingest keeps every object it gets; what fits this schema is also read, so a client without an agent may say less.
 */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { epochPattern } from './device.ts'
import { ClockState, SensorState } from './reading.ts'
import { TimestampMs } from './registry.ts'

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** What the device makes of the configuration it was sent (`devices/{deviceId}/config`). */
export const ConfigReport = Type.Object(
  {
    version: Type.Integer({ minimum: 1 }),
    state: Type.Enum(['applied', 'rejected', 'rolled_back']),
    /** Why not, for people. */
    reason: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false },
)
export type ConfigReport = Static<typeof ConfigReport>

export const StatusMessage = Type.Object(
  {
    v: Type.Literal(1),
    version: Type.String({ maxLength: 64, description: 'of the agent' }),
    uptimeSec: Count,
    schedule: Type.Object(
      {
        cron: Type.String({ maxLength: 128, description: 'when a reading is taken: cron expression in UTC' }),
        sinceMs: TimestampMs,
      },
      {
        additionalProperties: false,
        description: 'and since when; what it was before, an earlier status says',
      },
    ),
    epoch: Type.String({ pattern: epochPattern }),
    nextSeq: Count,
    queue: Type.Object(
      {
        readings: Count,
        bytes: Count,
        bytesMax: Count,
        oldestAgeSec: Type.Optional(Count),
        /** What a power cut can cost at most. */
        lossWindowMs: Count,
      },
      { additionalProperties: false },
    ),
    /** Readings let go of in this epoch. */
    dropped: Count,
    clock: Type.Object(
      {
        state: ClockState,
        /** How far the device's clock is ahead of the issuer's, as its last token answer told. */
        offsetMs: Type.Optional(Type.Integer()),
      },
      { additionalProperties: false },
    ),
    sensors: Type.Array(
      Type.Object(
        { name: Type.String({ maxLength: 64 }), type: Type.String({ maxLength: 32 }), state: SensorState },
        { additionalProperties: false },
      ),
      { maxItems: 32 },
    ),
    cpuCelsius: Type.Optional(Type.Number()),
    disk: Type.Optional(
      Type.Object({ freeBytes: Count, totalBytes: Count }, { additionalProperties: false }),
    ),
    writtenBytesPerDay: Type.Optional(Count),
    credential: Type.Object(
      { credentialId: Type.Optional(Type.String({ maxLength: 64 })), ageSec: Type.Optional(Count) },
      { additionalProperties: false },
    ),
    bootId: Type.Optional(Type.String({ maxLength: 64 })),
    boardSerial: Type.Optional(Type.String({ maxLength: 64 })),
    config: Type.Optional(ConfigReport),
  },
  { additionalProperties: false, description: 'a message on devices/{deviceId}/status' },
)
export type StatusMessage = Static<typeof StatusMessage>

/** @returns undefined for what is not a status of this version, which is kept all the same but says nothing to us */
export function parseStatus(body: string): StatusMessage | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return Value.Check(StatusMessage, value) ? value : undefined
  } catch {
    return undefined
  }
}
