/**
 * The port of sensors: something that observes how many spaces are taken, for ever or until it has told all it knows.
 * One shape serves both kinds: a sensor that is asked at each tick, and one that streams what was recorded elsewhere.
 * A sensor gives no identity to what it observes and keeps nothing: that is the outbox's part.
 */
import type { Clock } from '../clock.ts'

/** What was seen at one instant, as the sensor has it: nothing is judged here, a wrong value travels and is quarantined. */
export interface Observation {
  /** Unix milliseconds. */
  readonly timestampMs: number
  /** Spaces taken; null when the sensor was silent, which is not zero. */
  readonly occupied: number | null
  readonly capacity?: number
  readonly entriesTotal?: number
  readonly exitsTotal?: number
  readonly sensor?: 'ok' | 'silent' | 'stuck'
}

/** Observations in the order they were made, at most a few hundred, and where the sensor stands after them. */
export interface Chunk {
  readonly observations: readonly Observation[]
  /**
   * Opaque to all but the sensor; made durable together with the observations. A sensor that is opened again with it
   * continues right behind them. Absent when there is nothing to continue from.
   */
  readonly position?: string
}

export interface SensorStart {
  /** Of the last chunk that became durable; undefined at the first start. */
  readonly position: string | undefined
  /** When a reading is due, Unix milliseconds, each later than the one before; a tick nobody waits for is passed over. */
  readonly ticks: AsyncIterable<number>
  readonly clock: Clock
  /** Resolves when every chunk that was taken until now is durable. */
  readonly kept: () => Promise<void>
  /** Aborted when the agent stops: `observe` then ends soon, without throwing. */
  readonly signal: AbortSignal
}

/** One of the sensors of a device that has several. */
export interface PartState {
  readonly name: string
  readonly type: string
  readonly state: NonNullable<Observation['sensor']>
}

export interface Sensor {
  /** Nothing is lost by asking later: the agent then waits while the outbox is half full instead of dropping. */
  readonly canWait: boolean
  /**
   * Everything there is to say from the position on, in order; ends when there will never be more.
   * The next chunk is asked for when the agent has room for it.
   * @throws FleetError `file.invalid` and the like when the sensor cannot go on; the device then stops, not its neighbours
   */
  observe(start: SensorStart): AsyncIterable<Chunk>
  /** How each of several is, as far as they have been asked. Absent: there is only one. */
  parts?(): readonly PartState[]
  /**
   * Takes a count from somebody who looked at the lot (the command `set-count`), from which it goes on counting.
   * Durable when it resolves. Absent: the sensor measures, and cannot be told.
   */
  setCount?(occupied: number): Promise<void>
}
