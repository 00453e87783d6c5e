/** Sensors that are asked, asked at will: each question is one tick of a test clock. */
import type { Sensor } from '../../../../agent/sensors/sensor.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { createTestClock } from './clocks.ts'

export const gaugeOptions = {
  timeoutMs: 10_000,
  silentAfterMs: 60_000,
  stuckAfterMs: 3600_000,
  capacity: undefined,
  log: createLog({ program: 'agent', level: 'fatal' }),
}

export function asking(sensor: Sensor) {
  const clock = createTestClock(1_000_000)
  const stopping = new AbortController()
  async function* ticks() {
    while (!stopping.signal.aborted) yield clock.nowMs()
  }
  const chunks = sensor
    .observe({
      position: undefined,
      ticks: ticks(),
      clock,
      kept: async () => undefined,
      signal: stopping.signal,
    })
    [Symbol.asyncIterator]()
  return {
    clock,
    async ask() {
      const { value } = await chunks.next()
      return value?.observations[0]
    },
    /** Resolves when nothing of the sensor is left. */
    async stop() {
      stopping.abort()
      await chunks.next()
    },
  }
}
