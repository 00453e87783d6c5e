/**
 * The fleet file, and what a running fleet says of itself: how lotctl tells one agent process which devices to be
 * (`lot-agent fleet FLEET.json`), and the message that process sends to the one that started it.
 * Only data: who registers the devices and who runs them are two programs.
 */
import { type Static, Type } from 'typebox'
import { identifierPattern } from './device.ts'

const Path = Type.String({
  minLength: 1,
  description: 'absolute, or starting at the folder of the fleet file',
})
const Column = Type.String({ minLength: 1, description: 'as in the header line' })

/** Weekdays made up from a seed: the same device, seed and instant always give the same count. */
export const SimulatedSensor = Type.Object(
  {
    type: Type.Literal('simulated'),
    seed: Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
    capacity: Type.Integer({ minimum: 1 }),
    tz: Type.Optional(Type.String({ description: 'IANA time zone whose days it lives by; default UTC' })),
    historyDays: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 366, description: 'sent first, at the first start' }),
    ),
    historyEverySec: Type.Optional(Type.Integer({ minimum: 1 })),
    schedule: Type.Optional(Type.String({ description: 'cron expression in UTC for what comes after' })),
  },
  { additionalProperties: false },
)
export type SimulatedSensor = Static<typeof SimulatedSensor>

/** Columns of a recorded file. Without `capacity` its readings carry none. */
export const ReplayColumns = Type.Object(
  { key: Column, capacity: Type.Optional(Column), occupied: Column, time: Column },
  { additionalProperties: false },
)
export type ReplayColumns = Static<typeof ReplayColumns>

/** The Birmingham car park data set names its columns so. */
export const replayColumnsDefault = {
  key: 'SystemCodeNumber',
  capacity: 'Capacity',
  occupied: 'Occupancy',
  time: 'LastUpdated',
} as const satisfies ReplayColumns

/** One car park of a recorded CSV file. */
export const ReplaySensor = Type.Object(
  {
    type: Type.Literal('replay'),
    file: Path,
    key: Type.String({ description: 'the value of the key column in the rows of this device' }),
    columns: ReplayColumns,
    tz: Type.String({ description: 'IANA time zone of times without an offset' }),
    shiftToNow: Type.Boolean({
      description: 'moved in local time by whole weeks so that now falls into the last week of the file',
    }),
    speed: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        description: 'times real time; absent: as fast as the system takes it',
      }),
    ),
  },
  { additionalProperties: false },
)
export type ReplaySensor = Static<typeof ReplaySensor>

export const FleetDevice = Type.Object(
  {
    deviceId: Type.String({ pattern: identifierPattern }),
    credentialFile: Path,
    outboxDir: Path,
    sensor: Type.Union([SimulatedSensor, ReplaySensor]),
  },
  { additionalProperties: false },
)
export type FleetDevice = Static<typeof FleetDevice>

export const FleetFile = Type.Object(
  { v: Type.Literal(1), devices: Type.Array(FleetDevice, { minItems: 1, maxItems: 10_000 }) },
  { additionalProperties: false, description: 'fleet.json' },
)
export type FleetFile = Static<typeof FleetFile>

/** Totals over all devices since the process started, sent to the parent as `{ progress }` every other second and at the end. */
export interface FleetProgress {
  readonly devices: number
  readonly connected: number
  /** Devices that cannot go on, named in the log; the others do. */
  readonly failed: number
  /** Readings made durable in outboxes. */
  readonly kept: number
  /** Readings the store has, by PUBACK. */
  readonly settled: number
  /** Readings waiting in outboxes. */
  readonly queued: number
  /** Lines of the file that could not be played, named in the log. */
  readonly brokenLines: number
  /** Of every device that has not failed the sensor has ended and the outbox is empty; never true while a sensor lives on. */
  readonly finished: boolean
}
