/**
 * The gpio sensor: a gate whose beams or loops are lines of a GPIO chip, heard through libgpiod's `gpiomon`. The program
 * is started again when it ends, ever more slowly; while it does not run nothing is known of the gate, which is told.
 */
import { createBackoff } from '../../core/runtime/backoff.ts'
import type { Log } from '../../core/runtime/log.ts'
import { createGate, type Edge, type GateCounts, type GateLines } from './gates.ts'
import { chipsOf, gpiomonCommand, gpiomonVersion, type LineSettings, parseEvent } from './gpiomon.ts'
import { type Program, startProgram } from './program.ts'

export interface GpioOptions {
  readonly name: string
  /** Label or name. */
  readonly chip: string
  readonly lines: GateLines
  /** Electrically, while a car is there. */
  readonly active: 'high' | 'low'
  readonly bias: LineSettings['bias']
  readonly debounceMs: number
  /** A car in a beam for this long is none: the beam is blocked. 0: never. */
  readonly stuckAfterMs: number
  readonly env: Readonly<Record<string, string | undefined>>
  /** Runs a program and resolves to what it printed; undefined when it failed. */
  readonly run: (program: string, args: readonly string[]) => Promise<string | undefined>
  readonly restartMinMs: number
  readonly restartMaxMs: number
  readonly random: () => number
  readonly log: Log
  /** Sees each edge, and what it counted as. */
  readonly onEdge?: (edge: Edge & { name: string; counted: 'entry' | 'exit' | undefined }) => void
}

/** What a gate has to say at a tick. */
export interface GateSighting {
  /** Since the gate was opened. */
  readonly counts: GateCounts
  /** Why nothing is known of it now. */
  readonly fault: string | undefined
  readonly isStuck: boolean
}

export interface GateReader {
  read(): GateSighting
  close(): Promise<void>
}

/** A program that has run for so long listens, and so does one that has told an edge. */
const aliveAfterMs = 300

export function openGpio(options: GpioOptions, monotonicMs: () => number): GateReader {
  const { log, name } = options
  const lines = Object.values(options.lines).filter((line) => line !== undefined)
  const gate = createGate(options.lines, options.debounceMs)
  const backoff = createBackoff({
    minMs: options.restartMinMs,
    maxMs: options.restartMaxMs,
    random: options.random,
  })
  let program: Program | undefined
  let timer: NodeJS.Timeout | undefined
  let fault: string | undefined = 'has not begun yet'
  let isClosed = false
  /** The moment of an edge on our clock, for cars that stay. */
  let activeMs: number | undefined

  function onLine(version: 1 | 2, text: string): void {
    const event = parseEvent(version, text)
    if (event === undefined || !lines.includes(event.line)) return
    fault = undefined
    const edge = {
      line: event.line,
      isActive: event.isHigh === (options.active === 'high'),
      atMs: event.atMs,
    }
    const counted = gate.edge(edge)
    activeMs = gate.activeSinceMs === undefined ? undefined : (activeMs ?? monotonicMs())
    options.onEdge?.({ ...edge, name, counted })
  }

  function fail(reason: string, complaint = ''): void {
    program = undefined
    clearTimeout(timer)
    if (isClosed) return
    fault = reason
    gate.forget()
    activeMs = undefined
    log.warn('sensor.program_ended', { sensor: name, fault, complaint })
    timer = setTimeout(() => void start(), backoff.next())
  }

  async function start(): Promise<void> {
    const version = gpiomonVersion((await options.run('gpiomon', ['--version'])) ?? '')
    const chip = chipsOf((await options.run('gpiodetect', [])) ?? '').get(options.chip)
    if (isClosed) return
    if (version === undefined) return fail('gpiomon of libgpiod 1 or 2 is not there: apt install gpiod')
    if (chip === undefined) return fail(`gpiodetect shows no chip ${options.chip}`)
    program = startProgram({
      command: gpiomonCommand(version, chip, { lines, bias: options.bias }),
      env: options.env,
      onLine: (text) => onLine(version, text),
      onEnd: (end) => fail(end.fault, end.complaint),
    })
    timer = setTimeout(() => {
      fault = undefined
      backoff.reset()
    }, aliveAfterMs)
  }

  void start()
  return {
    read: () => ({
      counts: gate.counts,
      fault,
      isStuck:
        options.stuckAfterMs > 0 &&
        activeMs !== undefined &&
        monotonicMs() - activeMs >= options.stuckAfterMs,
    }),
    async close() {
      isClosed = true
      clearTimeout(timer)
      await program?.close()
    },
  }
}
