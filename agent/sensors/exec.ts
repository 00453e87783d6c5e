/**
 * The exec sensor: any program that prints a number or a JSON object per line. One that keeps running is listened to
 * and the newest line counts; one that prints and ends is run again at each tick. After a failure it is started again
 * by itself, with backoff. It gets no shell, no input, and none of the agent's own environment but what is handed over.
 */
import { createBackoff } from '../../core/runtime/backoff.ts'
import { createGaugeSensor, type Gauge, type GaugeOptions } from './gauge.ts'
import { type Measurement, parseMeasurement } from './measurement.ts'
import { type Program, startProgram } from './program.ts'
import type { Sensor } from './sensor.ts'

export interface ExecOptions extends GaugeOptions {
  /** The program and its arguments. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Longest first wait before a program that failed is started again; it doubles up to `restartMaxMs`. */
  readonly restartMinMs: number
  readonly restartMaxMs: number
  readonly random: () => number
}

export function createExecSensor(options: ExecOptions): Sensor {
  return createGaugeSensor(({ clock, signal }) => openExec(options, clock.monotonicMs, signal), options)
}

export function openExec(options: ExecOptions, monotonicMs: () => number, stopping: AbortSignal): Gauge {
  const backoff = createBackoff({
    minMs: options.restartMinMs,
    maxMs: options.restartMaxMs,
    random: options.random,
  })
  let child: Program | undefined
  let restart: NodeJS.Timeout | undefined
  let newest: { measurement: Measurement; atMs: number } | undefined
  let hasSpoken = false
  let fault = 'has printed nothing yet'
  let heard: (() => void) | undefined

  function onLine(line: string): void {
    if (line.trim() === '') return
    const measurement = parseMeasurement(line)
    if (measurement === undefined) {
      fault = 'printed a line that is neither a number nor a measurement'
      return
    }
    newest = { measurement, atMs: monotonicMs() }
    hasSpoken = true
    backoff.reset()
    heard?.()
  }

  function start(): void {
    restart = undefined
    hasSpoken = false
    const started = startProgram({
      command: options.command,
      env: options.env,
      onLine,
      onEnd(end) {
        if (child === started) child = undefined
        if (!stopping.aborted && (end.code !== 0 || !hasSpoken)) {
          fault = end.fault
          options.log.warn('sensor.program_ended', { fault, complaint: end.complaint })
          // What a broken program said last is not known to hold.
          newest = undefined
          restart = setTimeout(start, backoff.next())
        }
        heard?.()
      },
    })
    child = started
  }

  /** Until it has spoken, has ended, or time is up. */
  async function hear(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, options.timeoutMs)
      heard = () => {
        clearTimeout(timer)
        resolve()
      }
      stopping.addEventListener('abort', heard, { once: true })
    })
    if (heard !== undefined) stopping.removeEventListener('abort', heard)
    heard = undefined
  }

  return {
    async read() {
      if (child === undefined && restart === undefined && !stopping.aborted) start()
      if (child !== undefined && !hasSpoken && !stopping.aborted) await hear()
      if (newest === undefined) return { fault }
      return { measurement: newest.measurement, ageMs: monotonicMs() - newest.atMs }
    },
    async close() {
      clearTimeout(restart)
      await child?.close()
    },
  }
}
