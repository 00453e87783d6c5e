/**
 * Several sensors of one device as one: a reading per tick with the sum of what they say. When one of them is silent the
 * sum is not known, and is told as null, never as the sum of the others.
 * Gates say who came and who went; how many are there follows from a count that somebody made, which is made durable
 * together with the readings.
 */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Log } from '../../core/runtime/log.ts'
import type { Clock } from '../clock.ts'
import { occupiedOf, type Tally, withCount } from './gates.ts'
import type { Gauge } from './gauge.ts'
import type { GateReader } from './gpio.ts'
import { createJudge } from './measurement.ts'
import type { Observation, PartState, Sensor } from './sensor.ts'

interface Opening {
  readonly clock: Clock
  readonly signal: AbortSignal
}

export type Part = { readonly name: string; readonly type: string } & (
  | { readonly openGauge: (opening: Opening) => Gauge }
  | { readonly openGate: (opening: Opening) => GateReader }
)

export interface MergedOptions {
  readonly parts: readonly Part[]
  readonly silentAfterMs: number
  /** 0: never. */
  readonly stuckAfterMs: number
  readonly capacity: number | undefined
  /** Spaces taken when counting begins; undefined: not known until `setCount`. */
  readonly startCount: number | undefined
  readonly log: Log
}

const Position = Type.Object({
  base: Type.Optional(Type.Integer()),
  entries: Type.Integer({ minimum: 0 }),
  exits: Type.Integer({ minimum: 0 }),
})

type State = NonNullable<Observation['sensor']>
/** What one part says at a tick; a gate's counts go into the tally. */
type Said = Omit<Observation, 'timestampMs'> & { readonly fault?: string; readonly isGate?: boolean }

export function createMergedSensor(options: MergedOptions): Sensor {
  const { log, parts } = options
  const hasGates = parts.some((part) => 'openGate' in part)
  const states = new Map<string, State>()
  /** A count that somebody made, to be told at once. */
  let told: { occupied: number; done: () => void } | undefined
  let wake: (() => void) | undefined

  function change(name: string, state: State, fault: string | undefined): void {
    if ((states.get(name) ?? 'ok') !== state) {
      if (state === 'ok') log.info('sensor.recovered', { sensor: name })
      else log.warn(`sensor.${state}`, { sensor: name, ...(fault === undefined ? {} : { fault }) })
    }
    states.set(name, state)
  }

  return {
    canWait: false,
    parts: (): PartState[] =>
      parts.flatMap(({ name, type }) => {
        const state = states.get(name)
        return state === undefined ? [] : [{ name, type, state }]
      }),
    ...(hasGates
      ? {
          setCount: (occupied: number) =>
            new Promise<void>((done) => {
              told?.done()
              told = { occupied, done }
              wake?.()
            }),
        }
      : {}),
    async *observe({ position, ticks, clock, signal, kept }) {
      let tally = parseTally(position) ?? { base: options.startCount, entries: 0, exits: 0 }
      const readers = parts.map((part) => openPart(part, { clock, signal }, options))

      async function hear(timestampMs: number): Promise<Said[]> {
        const all = await Promise.all(readers.map((reader) => reader.read(timestampMs, clock.monotonicMs())))
        for (const { came = 0, went = 0 } of all)
          tally = { ...tally, entries: tally.entries + came, exits: tally.exits + went }
        all.forEach(({ said }, i) => {
          change((parts[i] as Part).name, said.sensor ?? 'ok', said.fault) // as many
        })
        return all.map(({ said }) => said)
      }

      function merge(said: readonly Said[], timestampMs: number): Observation {
        const lot = occupiedOf(tally)
        if (lot.added > 0) log.warn('sensor.below_zero', { added: lot.added })
        tally = lot.tally
        const counted = hasGates ? lot.occupied : 0
        const isSilent = said.some(({ sensor }) => sensor === 'silent')
        const isStuck = said.some(({ sensor }) => sensor === 'stuck')
        const gauges = said.filter(({ isGate }) => isGate !== true)
        const capacity = options.capacity ?? sumOf(gauges.map((one) => one.capacity))
        const isAllGates = gauges.length === 0
        const entries = isAllGates ? 0 : sumOf(gauges.map(({ entriesTotal }) => entriesTotal))
        const exits = isAllGates ? 0 : sumOf(gauges.map(({ exitsTotal }) => exitsTotal))
        return {
          timestampMs,
          occupied: isSilent || counted === null ? null : occupiedBy(gauges) + counted,
          ...(capacity === undefined ? {} : { capacity }),
          ...(entries === undefined ? {} : { entriesTotal: entries + tally.entries }),
          ...(exits === undefined ? {} : { exitsTotal: exits + tally.exits }),
          sensor: isSilent ? 'silent' : isStuck ? 'stuck' : 'ok',
        }
      }

      const due = queueOf(ticks, signal)
      wake = due.wake
      try {
        for (;;) {
          const next = await due.next(() => told !== undefined)
          if (signal.aborted || next === 'ended') return
          const count = told
          told = undefined
          const timestampMs = next ?? clock.nowMs()
          const said = await hear(timestampMs)
          // What was cut off by our own stop says nothing of the sensors.
          if (signal.aborted) return
          if (count !== undefined) {
            tally = withCount(tally, Math.max(0, count.occupied - occupiedBy(said)))
            log.info('sensor.count_set', { occupied: count.occupied })
          }
          const observations = [merge(said, timestampMs)]
          yield { observations, ...(hasGates ? { position: JSON.stringify(tally) } : {}) }
          // When it cannot be kept, the agent ends, and nobody is told that it was.
          if (count !== undefined) kept().then(count.done, () => undefined)
        }
      } finally {
        wake = undefined
        await Promise.all(readers.map((reader) => reader.close()))
      }
    },
  }
}

interface Reader {
  read(timestampMs: number, monotonicMs: number): Promise<{ said: Said; came?: number; went?: number }>
  close(): Promise<void>
}

function openPart(part: Part, opening: Opening, options: MergedOptions): Reader {
  if ('openGauge' in part) {
    const gauge = part.openGauge(opening)
    const judge = createJudge(options)
    return {
      async read(timestampMs, monotonicMs) {
        const sighting = await gauge.read()
        const said = judge({ timestampMs, monotonicMs }, sighting)
        return { said: 'fault' in sighting ? { ...said, fault: sighting.fault } : said }
      },
      close: () => gauge.close(),
    }
  }
  const gate = part.openGate(opening)
  let before = { entries: 0, exits: 0 }
  return {
    async read() {
      const { counts, fault, isStuck } = gate.read()
      const came = counts.entries - before.entries
      const went = counts.exits - before.exits
      before = counts
      const sensor = fault !== undefined ? 'silent' : isStuck ? 'stuck' : 'ok'
      const said = { occupied: 0, sensor, isGate: true } as const
      return { said: fault === undefined ? said : { ...said, fault }, came, went }
    },
    close: () => gate.close(),
  }
}

/** Ticks, and what comes between them. A tick that nobody waits for is passed over. */
function queueOf(ticks: AsyncIterable<number>, signal: AbortSignal) {
  let tick: number | undefined
  let isEnded = false
  let wake = () => {}
  const pumping = (async () => {
    for await (const tickMs of ticks) {
      tick = tickMs
      wake()
    }
  })()
  void pumping.finally(() => {
    isEnded = true
    wake()
  })
  signal.addEventListener('abort', () => wake(), { once: true })
  return {
    wake: () => wake(),
    /** @returns undefined for something between the ticks */
    async next(isBetween: () => boolean): Promise<number | 'ended' | undefined> {
      while (tick === undefined && !isBetween() && !isEnded && !signal.aborted)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      const due = tick
      tick = undefined
      return due ?? (isBetween() ? undefined : 'ended')
    },
  }
}

function occupiedBy(said: readonly Said[]): number {
  return said.reduce((sum, { occupied }) => sum + (occupied ?? 0), 0)
}

/** Undefined when one of them is not known, or there is none. */
function sumOf(values: readonly (number | undefined)[]): number | undefined {
  let sum = 0
  for (const value of values) {
    if (value === undefined) return undefined
    sum += value
  }
  return values.length === 0 ? undefined : sum
}

function parseTally(position: string | undefined): Tally | undefined {
  if (position === undefined) return undefined
  try {
    const value: unknown = JSON.parse(position)
    if (!Value.Check(Position, value)) return undefined
    const { base, entries, exits }: Static<typeof Position> = value
    return { base, entries, exits }
  } catch {
    return undefined // of another sensor, which was here before
  }
}
