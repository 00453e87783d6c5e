/**
 * The exec sensor: any program that prints a number or a JSON object per line. One that keeps running is listened to
 * and the newest line counts; one that prints and ends is run again at each tick. After a failure it is started again
 * by itself, with backoff. It gets no shell, no input, and none of the agent's own environment but what is handed over.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createBackoff } from '../../core/runtime/backoff.ts'
import { createGaugeSensor, type Gauge, type GaugeOptions } from './gauge.ts'
import { type Measurement, parseMeasurement } from './measurement.ts'
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

/** A longer line is passed over. */
const lineCharactersMax = 4096
/** Of what it says on standard error, the end is logged. */
const complaintCharactersMax = 300
/** Between asking a program to end and ending it, and between its end and the end of its output. */
const killAfterMs = 1000

export function createExecSensor(options: ExecOptions): Sensor {
  return createGaugeSensor(({ clock, signal }) => openExec(options, clock.monotonicMs, signal), options)
}

function openExec(options: ExecOptions, monotonicMs: () => number, stopping: AbortSignal): Gauge {
  const backoff = createBackoff({
    minMs: options.restartMinMs,
    maxMs: options.restartMaxMs,
    random: options.random,
  })
  let child: ChildProcess | undefined
  let gone: Promise<void> = Promise.resolve()
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
    const [file = '', ...args] = options.command
    // A group of its own, so that what it starts ends with it.
    const started = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...options.env },
    })
    child = started
    let complaint = ''
    let startFault: string | undefined
    started.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      complaint = (complaint + chunk).slice(-complaintCharactersMax)
    })
    const endLine = readLines(started.stdout, onLine)
    started.once('error', (error) => {
      startFault = error.message
    })
    gone = new Promise((resolve) => {
      started.once('exit', () => {
        resolve()
        // What it left behind may hold its output open: without an end of that, it would never be started again.
        const timer = setTimeout(() => closeOutput(started), killAfterMs)
        started.once('close', () => clearTimeout(timer))
      })
      started.once('close', (code, signal) => {
        resolve()
        endLine()
        if (child === started) child = undefined
        if (!stopping.aborted && (code !== 0 || !hasSpoken)) {
          fault = startFault ?? `ended with ${signal ?? code}`
          options.log.warn('sensor.program_ended', { fault, complaint: complaint.trim() })
          // What a broken program said last is not known to hold.
          newest = undefined
          restart = setTimeout(start, backoff.next())
        }
        heard?.()
      })
    })
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
      const running = child
      if (running === undefined) return
      end(running, 'SIGTERM')
      const timer = setTimeout(() => end(running, 'SIGKILL'), killAfterMs)
      await gone
      clearTimeout(timer)
      closeOutput(running)
    },
  }
}

function closeOutput(child: ChildProcess): void {
  child.stdout?.destroy()
  child.stderr?.destroy()
}

/** Signals the program and what it started, while it is surely ours. */
function end(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It was quicker.
  }
}

/** @returns call at the end: a last line needs no line feed */
function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): () => void {
  let rest = ''
  let isTooLong = false
  const take = (line: string) => {
    if (!isTooLong && line.length <= lineCharactersMax) onLine(line)
    isTooLong = false
  }
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line)
    if (rest.length > lineCharactersMax) {
      rest = ''
      isTooLong = true
    }
  })
  return () => {
    take(rest)
    rest = ''
  }
}
