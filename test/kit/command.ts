/** A command as a person runs it, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Ended {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCommand {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  /** What it has written so far, standard output and error. */
  said(): string
  /** The first match in what it writes; rejects when it ends without one. */
  says(pattern: RegExp): Promise<RegExpExecArray>
}

/** @param env over PATH alone: nothing else of the test's own environment reaches it */
export function startCommand(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): RunningCommand {
  const child = spawn(process.execPath, [script, ...args], {
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
          reject(new Error(`it ended with ${exit} before it said ${pattern}:\n${said()}`)),
        )
      }),
  }
}
