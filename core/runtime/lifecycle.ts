/**
 * Start and stop of a program: signals, exit codes, the last word of a crash, and the tie to a supervisor.
 * Knows nothing of what the program does.
 */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { FleetError, isFleetError } from '../contract/errors.ts'
import type { SettingsSource } from './env.ts'
import { type Log, redact } from './log.ts'

/** Exit codes, as sysexits.h has them where it has one. */
export const exitCodes = { ok: 0, failed: 1, misconfigured: 78 } as const

/** A program that runs. */
export interface Running {
  /** What a supervisor or a person wants to know once it is ready: URLs, ports. */
  readonly ready: Readonly<Record<string, unknown>>
  /** Ends it: settles what is in flight, then resolves. */
  stop(): Promise<void>
}

/** The environment and `lotwatch.yaml` (or the file `LOTWATCH_CONFIG` names) as settings are read from. */
export function loadSettingsSource(
  env: NodeJS.ProcessEnv,
  fileVariable = 'LOTWATCH_CONFIG',
  fileDefault = 'lotwatch.yaml',
): SettingsSource {
  const path = env[fileVariable] ?? fileDefault
  const readFile = (name: string) => readFileSync(name, 'utf8')
  try {
    return { file: parse(readFile(path)), env, readFile }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && env[fileVariable] === undefined)
      return { file: undefined, env, readFile }
    throw new FleetError('config.invalid', `${path} cannot be read`, {
      cause: error,
      faults: [`${path}: ${(error as Error).message}`],
    })
  }
}

/**
 * Runs a program until it is told to stop (SIGINT, SIGTERM, or its supervisor is gone), then exits the process.
 * Misconfiguration is told in words with every fault and exits 78; any other error is a bug: logged with its stack, exit 1.
 * A second signal ends it at once.
 */
export function runProgram(log: Log, start: () => Promise<Running>, options: { stopMs?: number } = {}): void {
  let running: Running | undefined
  let stopping = false

  const fail = (error: unknown) => {
    log.fatal('program.failed', { error })
    if (isFleetError(error) && error.kind === 'misconfigured') {
      process.stderr.write(
        redact(`${error.message}${error.faults.map((fault) => `\n  ${fault}`).join('')}\n`),
      )
      process.exit(exitCodes.misconfigured)
    }
    process.exit(exitCodes.failed)
  }
  const stop = (reason: string) => {
    if (stopping) process.exit(exitCodes.failed)
    stopping = true
    if (running === undefined) process.exit(exitCodes.ok)
    log.info('program.stopping', { reason })
    // The deadline holds whatever the parts do, also when nothing else is left to wait for: a supervisor kills at 5 s.
    setTimeout(() => {
      log.error('program.stop_overdue')
      process.exit(exitCodes.failed)
    }, options.stopMs ?? 4000)
    running.stop().then(() => {
      log.info('program.stopped')
      process.exit(exitCodes.ok)
    }, fail)
  }

  // What a program writes is its own: readings, keys and logs are nobody else's to read.
  process.umask(0o077)
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  // Started by `lotctl up`: when that is gone, however it went, so are we.
  if (process.send !== undefined) process.on('disconnect', () => stop('supervisor gone'))

  start().then((started) => {
    running = started
    log.info('program.ready', { ...started.ready, startMs: Math.round(performance.now()) })
    // A supervisor that is gone meanwhile is no failure: `disconnect` says so.
    process.send?.({ ready: started.ready }, () => undefined)
  }, fail)
}
