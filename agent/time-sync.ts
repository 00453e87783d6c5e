/**
 * Whether wall time can be believed: a board without a battery-backed clock starts in the past, until a time server
 * has been heard. Once it can be believed it is, until the next boot. What is done meanwhile is the flow's part.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../core/runtime/log.ts'

export type TimeSource = 'auto' | 'file' | 'timedatectl' | 'assume'

export interface TimeSync {
  readonly isSynced: boolean
  /** Resolves when it is, or when the signal is aborted. */
  whenSynced(signal: AbortSignal): Promise<void>
}

export interface TimeSyncOptions {
  readonly source: TimeSource
  /** Made by whoever sets the clock, at the first time it does so after a boot. */
  readonly file: string
  /** Whether systemd runs this machine. */
  readonly hasSystemd: boolean
  /** Runs a program and resolves to what it printed; undefined when it failed. */
  readonly run: (program: string, args: readonly string[]) => Promise<string | undefined>
  readonly lookEveryMs: number
  readonly log: Log
}

/** For programs whose readings are not of now, and machines that are known to have the time. */
export const timeAssumed: TimeSync = { isSynced: true, whenSynced: async () => undefined }

/** Looks at once, so that a machine that has the time is known to have it before anything is counted. */
export async function createTimeSync(options: TimeSyncOptions): Promise<TimeSync> {
  const { log, source } = options
  // Elsewhere (a container, another system) nothing tells, and whoever runs the machine sees to its clock.
  if (source === 'assume' || (source === 'auto' && !options.hasSystemd)) return timeAssumed
  let isSynced = false
  async function look(): Promise<boolean> {
    isSynced ||= source !== 'timedatectl' && existsSync(options.file)
    // timesyncd makes the file; chrony and others tell the kernel, and timedatectl asks that one.
    if (!isSynced && source !== 'file')
      isSynced =
        (await options.run('timedatectl', ['show', '--property=NTPSynchronized', '--value'])) === 'yes'
    return isSynced
  }
  if (await look()) return timeAssumed
  log.warn('clock.unsynced', { source, file: options.file })
  return {
    get isSynced() {
      return isSynced
    },
    async whenSynced(signal) {
      while (!isSynced && !signal.aborted && !(await look()))
        await delay(options.lookEveryMs, undefined, { signal }).catch(() => undefined) // aborted: the loop ends
      if (isSynced) log.info('clock.synced')
    },
  }
}

/** @returns what it printed, trimmed */
export function runProgramOnce(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: 5000, encoding: 'utf8' }, (error, stdout) =>
      resolve(error === null ? stdout.trim() : undefined),
    )
  })
}
