/** A clock that stands still until someone waits for it, and a schedule that ticks when told. */
import type { Clock } from '../../../../agent/clock.ts'
import type { Chunk, Sensor } from '../../../../agent/sensors/sensor.ts'

export interface TestClock extends Clock {
  /** Sets wall time. */
  set(nowMs: number): void
  /** What was waited for, in order. */
  readonly waits: number[]
}

/** Waiting passes the time at once. */
export function createTestClock(startMs: number): TestClock {
  let nowMs = startMs
  const waits: number[] = []
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    set(atMs) {
      nowMs = atMs
    },
    waits,
    async until(atMs) {
      waits.push(atMs)
      nowMs = Math.max(nowMs, atMs)
    },
  }
}

export async function* ticksAt(...instants: readonly number[]): AsyncGenerator<number> {
  yield* instants
}

/** Everything a sensor says, or its first `most` chunks. */
export async function observeAll(
  sensor: Sensor,
  start: { clock: Clock; position?: string | undefined; ticks?: AsyncIterable<number> },
  most = Number.POSITIVE_INFINITY,
): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  const { signal } = new AbortController()
  const { clock, position, ticks = ticksAt() } = start
  for await (const chunk of sensor.observe({ position, ticks, clock, kept: async () => undefined, signal })) {
    chunks.push(chunk)
    if (chunks.length >= most) break
  }
  return chunks
}
