/**
 * The simulated sensor: a made-up lot (`simulation.ts`) observed at each tick, with the recent past sent first.
 * Its position is the last instant it told, so a later start tells what it missed, at most the history's length.
 */

import type { Chunk, Observation, Sensor } from './sensor.ts'
import { createSimulation } from './simulation.ts'

export interface SimulatedOptions {
  readonly seed: number
  readonly capacity: number
  readonly offsetMs: (timestampMs: number) => number
  readonly historyDays: number
  /** Between the readings of the past. */
  readonly historyEverySec: number
}

const chunkObservations = 500
const dayMs = 24 * 3600_000

export function createSimulatedSensor(options: SimulatedOptions): Sensor {
  const countAt = createSimulation(options)
  const everyMs = options.historyEverySec * 1000
  const observe = (timestampMs: number): Observation => ({
    timestampMs,
    capacity: options.capacity,
    ...countAt(timestampMs),
  })

  /** The past between two instants, both exclusive, in whole steps. */
  function* past(afterMs: number, beforeMs: number): Generator<Chunk> {
    let observations: Observation[] = []
    for (let atMs = (Math.floor(afterMs / everyMs) + 1) * everyMs; atMs < beforeMs; atMs += everyMs) {
      observations.push(observe(atMs))
      if (observations.length < chunkObservations && atMs + everyMs < beforeMs) continue
      yield { observations, position: String(atMs) }
      observations = []
    }
  }

  return {
    canWait: true,
    async *observe({ position, ticks, clock, signal }) {
      const startMs = clock.nowMs()
      let toldMs = Math.max(Number(position ?? 0), startMs - options.historyDays * dayMs)
      for (const chunk of past(toldMs, startMs)) {
        yield chunk
        toldMs = Number(chunk.position)
        if (signal.aborted) return
      }
      for await (const tickMs of ticks) {
        // Set back, the clock comes to instants that have been told.
        if (tickMs <= toldMs) continue
        yield { observations: [observe(tickMs)], position: String(tickMs) }
        toldMs = tickMs
      }
    },
  }
}
