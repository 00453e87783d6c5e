/**
 * One child program: started, watched, started again when it crashes, ended in time.
 * A child in a process group of its own, so that Ctrl-C reaches it once and through us; it watches the IPC channel
 * and ends when we are gone, however we went.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { FleetError } from '../core/contract/errors.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import { exits } from './exit.ts'

export interface ProgramSpec {
  readonly name: string
  /** The bundle. */
  readonly file: string
  readonly args?: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nodeOptions?: readonly string[]
  /** False: its end before it is told to is a failure. */
  readonly restarts: boolean
}

export interface Watcher {
  readonly started?: (pid: number) => void
  /** A line of its log, or of its standard error. */
  readonly line?: (line: string) => void
  /** A message over IPC other than `ready`. */
  readonly message?: (message: unknown) => void
  /** It ended by itself and comes back after `waitMs`. */
  readonly crashed?: (how: string, waitMs: number) => void
}

export interface Supervised {
  readonly name: string
  /** What it said when it was first ready. */
  readonly ready: Promise<Readonly<Record<string, unknown>>>
  /** Never resolves; rejects when it cannot run: misconfigured (with its own words), or it crashes whenever it is started. */
  readonly failed: Promise<never>
  /** Ends it and waits; killed when it takes longer. */
  stop(graceMs: number): Promise<void>
}

const stableMs = 60_000
const crashesBeforeReadyMax = 3
const lastWordsMax = 20

export function supervise(
  spec: ProgramSpec,
  watcher: Watcher,
  random: () => number = Math.random,
): Supervised {
  const backoff = createBackoff({ minMs: 500, maxMs: 15_000, random })
  const ready = deferred<Readonly<Record<string, unknown>>>()
  const failed = deferred<never>()
  let wasReady = false
  let crashes = 0
  let stopping = false
  let restart: NodeJS.Timeout | undefined
  let child: ChildProcess | undefined
  let ended: Promise<void> = Promise.resolve()

  const start = () => {
    const startedAtMs = performance.now()
    const lastWords: string[] = []
    const spawned = spawn(process.execPath, [...(spec.nodeOptions ?? []), spec.file, ...(spec.args ?? [])], {
      env: spec.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
    })
    child = spawned
    if (spawned.pid !== undefined) watcher.started?.(spawned.pid)
    forEachLine(spawned.stdout, (line) => watcher.line?.(line))
    forEachLine(spawned.stderr, (line) => {
      lastWords.push(line)
      if (lastWords.length > lastWordsMax) lastWords.shift()
      watcher.line?.(line)
    })
    spawned.on('message', (message: { ready?: Readonly<Record<string, unknown>> } | null) => {
      if (message?.ready === undefined) return watcher.message?.(message)
      wasReady = true
      ready.resolve(message.ready)
    })
    ended = new Promise((resolve) => {
      spawned.once('error', (error) => lastWords.push(error.message))
      // `close`, not `exit`: its last words have arrived by then.
      spawned.once('close', (code, signal) => {
        child = undefined
        resolve()
        if (!stopping) onEnd({ code, signal, lastWords, ranMs: performance.now() - startedAtMs })
      })
    })
  }

  const onEnd = (end: { code: number | null; signal: string | null; lastWords: string[]; ranMs: number }) => {
    const how = end.signal === null ? `ended with ${end.code}` : `was ended by ${end.signal}`
    if (end.code === exits.misconfigured) return failed.reject(misconfigured(spec.name, end.lastWords))
    if (!wasReady) crashes++
    if (!spec.restarts || crashes >= crashesBeforeReadyMax)
      return failed.reject(new Error([`${spec.name} ${how}`, ...end.lastWords].join('\n  ')))
    if (end.ranMs > stableMs) backoff.reset()
    const waitMs = backoff.next()
    watcher.crashed?.(how, waitMs)
    restart = setTimeout(start, waitMs)
  }

  // Whoever does not wait for it must not bring the process down.
  failed.promise.catch(() => undefined)
  start()
  return {
    name: spec.name,
    ready: ready.promise,
    failed: failed.promise,
    async stop(graceMs) {
      stopping = true
      clearTimeout(restart)
      child?.kill('SIGTERM')
      const overdue = setTimeout(() => child?.kill('SIGKILL'), graceMs)
      await ended
      clearTimeout(overdue)
    },
  }
}

/** The child's own words: a first line, and a fault on each that follows. */
function misconfigured(name: string, words: readonly string[]): FleetError {
  const [first = 'is misconfigured', ...faults] = words.map((line) => line.trim())
  return new FleetError('config.invalid', `${name}: ${first}`, { faults })
}

function forEachLine(stream: Readable | null, each: (line: string) => void): void {
  if (stream !== null)
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', each)
}

function deferred<T>(): {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
} {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
