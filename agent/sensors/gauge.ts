/**
 * Sensors that are asked at each tick: what all of them share. One observation per tick, whatever the sensor does; a
 * change for the worse is logged once, and so is the recovery. How to ask is the gauge's part.
 */
import type { Log } from '../../core/runtime/log.ts'
import type { Clock } from '../clock.ts'
import { createJudge, type Sighting } from './measurement.ts'
import type { Sensor } from './sensor.ts'

/** Something that can be asked how many spaces are taken. */
export interface Gauge {
  /** Answers in bounded time, soon when the agent stops, and never throws: a failure is a fault in words. */
  read(): Promise<Sighting>
  /** Resolves when nothing of it is left running. */
  close(): Promise<void>
}

export interface GaugeOptions {
  /** Longest wait for an answer. */
  readonly timeoutMs: number
  readonly silentAfterMs: number
  /** 0: never. */
  readonly stuckAfterMs: number
  /** Spaces there are, where the sensor does not say so itself. */
  readonly capacity: number | undefined
  readonly log: Log
}

export function createGaugeSensor(
  open: (parts: { clock: Clock; signal: AbortSignal }) => Gauge,
  options: GaugeOptions,
): Sensor {
  const { capacity, log } = options
  return {
    canWait: false,
    async *observe({ ticks, clock, signal }) {
      const gauge = open({ clock, signal })
      const judge = createJudge(options)
      let state: string | undefined = 'ok'
      try {
        for await (const timestampMs of ticks) {
          const sighting = await gauge.read()
          // What was cut off by our own stop says nothing of the sensor.
          if (signal.aborted) return
          const observation = judge({ timestampMs, monotonicMs: clock.monotonicMs() }, sighting)
          if (observation.sensor !== state) {
            state = observation.sensor
            if (state === 'ok') log.info('sensor.recovered')
            else log.warn(`sensor.${state}`, 'fault' in sighting ? { fault: sighting.fault } : {})
          }
          yield { observations: [{ ...(capacity === undefined ? {} : { capacity }), ...observation }] }
        }
      } finally {
        await gauge.close()
      }
    },
  }
}
