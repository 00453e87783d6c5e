/** The benchmark's own child processes, and what processor time costs whom. */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../scripts/build.mjs'

/** Clock ticks per second in /proc/PID/stat; 100 on every Linux that Node runs on. */
const ticksPerSec = 100

export class Child {
  readonly process: ChildProcess

  constructor(
    name:
      | 'load'
      | 'subscriber'
      | 'fill'
      | 'token-load'
      | 'oidc-peer'
      | 'followers'
      | 'connect-load'
      | 'plain-device',
    order: unknown,
    nodeOptions: readonly string[] = [],
  ) {
    this.process = fork(join(root, 'dist/bench', `${name}.mjs`), {
      stdio: 'inherit',
      execArgv: [...nodeOptions],
    })
    this.process.send(order as object)
  }

  /** The next message that has this member. */
  next<T>(member: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const listen = (message: Record<string, unknown>) => {
        if (!(member in message)) return
        this.process.off('message', listen).off('exit', fail)
        resolve(message[member] as T)
      }
      const fail = (code: number | null) => reject(new Error(`a part of the benchmark ended with ${code}`))
      this.process.on('message', listen).once('exit', fail)
    })
  }

  tell(what: 'measure' | 'report' | 'stop'): void {
    this.process.send({ do: what })
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.process.once('exit', resolve))
    this.tell('stop')
    await gone
  }
}

/** Processor seconds a process has used so far, all its threads. */
export function cpuSecOf(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSec
}

export function residentMiBOf(pid: number | undefined): number {
  return memoryOf(pid, 'VmRSS')
}

/** The most it ever had. */
export function peakMiBOf(pid: number | undefined): number {
  return memoryOf(pid, 'VmHWM')
}

function memoryOf(pid: number | undefined, name: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`${name}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(line?.[1] ?? 0) / 1024)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}
