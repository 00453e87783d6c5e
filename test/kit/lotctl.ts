/** lotctl as a person runs it: the real command in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { root } from '../../scripts/build.mjs'
import type { System } from './system.ts'

export interface Ended {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Lotctl {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  /** What it has written so far, standard output and error. */
  said(): string
  /** The first match in what it writes; rejects when it ends without one. */
  says(pattern: RegExp): Promise<RegExpExecArray>
}

/** @param env over PATH alone: nothing else of the test's own environment reaches it */
export function startLotctl(args: readonly string[], env: Readonly<Record<string, string>>): Lotctl {
  const child = spawn(process.execPath, [join(root, 'bin/lotctl.mjs'), ...args], {
    env: { PATH: process.env.PATH, LOTWATCH_CONFIG: '/dev/null', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { stdout: '', stderr: '' }
  const waiting = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
      for (const look of waiting) look()
    })
  }
  const said = () => text.stdout + text.stderr
  const ended = once(child, 'close').then(([exit]) => ({ exit, ...text }))
  return {
    process: child,
    ended,
    said,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(said())
          if (match === null) return
          waiting.delete(look)
          resolve(match)
        }
        waiting.add(look)
        look()
        void ended.then(({ exit }) =>
          reject(new Error(`lotctl ended with ${exit} before it said ${pattern}:\n${said()}`)),
        )
      }),
  }
}

export function runLotctl(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  return startLotctl(args, env).ended
}

/** What lotctl must know to find a system that a test has started. */
export function lotctlEnv(system: System): Record<string, string> {
  return {
    LOTWATCH_DATA: system.data,
    LOTWATCH_PROVISIONING_PORT: new URL(system.issuer).port,
    LOTWATCH_INGEST_PORT: new URL(system.ingestUrl).port,
    LOTWATCH_BROKER_MQTT_PORT: String(system.mqttPort),
  }
}
