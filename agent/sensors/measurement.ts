/**
 * What a foreign sensor says, read and judged: a number or a JSON object becomes a measurement, and a measurement, or
 * the lack of one, becomes the observation of a tick. Whether a count is plausible is ingest's to say, not ours.
 */
import type { Observation } from './sensor.ts'

/** What a sensor said last; null spaces taken when it said itself that it does not know. */
export type Measurement = Omit<Observation, 'timestampMs' | 'sensor'>

/** What there is at a tick: the newest measurement and its age, or why there is none. */
export type Sighting =
  | { readonly measurement: Measurement; readonly ageMs: number }
  | { readonly fault: string }

const optionalMembers = ['capacity', 'entriesTotal', 'exitsTotal'] as const

/** A number, or JSON as `measurementOf` takes it; undefined when it is neither. */
export function parseMeasurement(text: string): Measurement | undefined {
  try {
    return measurementOf(JSON.parse(text))
  } catch {
    // Not JSON: a fault of the sensor, which the caller names.
    return undefined
  }
}

/** A number, null, or an object with `occupied` and maybe `capacity`, `entriesTotal`, `exitsTotal`; others are passed over. */
export function measurementOf(value: unknown): Measurement | undefined {
  if (value === null || typeof value === 'number') return { occupied: value }
  if (typeof value !== 'object') return undefined
  const members = new Map<string, unknown>(Object.entries(value))
  const occupied = members.get('occupied')
  if (occupied !== null && typeof occupied !== 'number') return undefined
  const measurement: { -readonly [Key in keyof Measurement]: Measurement[Key] } = { occupied }
  for (const name of optionalMembers) {
    const member = members.get(name)
    if (member === undefined || member === null) continue
    if (typeof member !== 'number') return undefined
    measurement[name] = member
  }
  return measurement
}

/** What the pointer names in a document, by RFC 6901 §4; undefined when it names nothing. */
export function at(document: unknown, pointer: string): unknown {
  let value = document
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = new Map<string, unknown>(Object.entries(value)).get(name)
  }
  return value
}

/**
 * Says of each tick what is to be told: silence is null and never zero, and what has been the same for too long is stuck.
 * @param options.silentAfterMs a measurement older than this is not told any more
 * @param options.stuckAfterMs 0: never
 */
export function createJudge(options: { silentAfterMs: number; stuckAfterMs: number }) {
  let said: string | undefined
  let saidAtMs = 0
  return (tick: { timestampMs: number; monotonicMs: number }, sighting: Sighting): Observation => {
    const { timestampMs, monotonicMs } = tick
    const silent: Observation = { timestampMs, occupied: null, sensor: 'silent' }
    if ('fault' in sighting || sighting.ageMs > options.silentAfterMs) return silent
    const { measurement } = sighting
    if (measurement.occupied === null) return { ...silent, ...measurement }
    const says = JSON.stringify(measurement)
    if (says !== said) {
      said = says
      saidAtMs = monotonicMs
    }
    const isStuck = options.stuckAfterMs > 0 && monotonicMs - saidAtMs >= options.stuckAfterMs
    return { timestampMs, ...measurement, sensor: isStuck ? 'stuck' : 'ok' }
  }
}
