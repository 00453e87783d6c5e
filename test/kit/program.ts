/** Real programs for tests: started from `dist/`, watched, stopped or killed by their own process id. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../scripts/build.mjs'

export interface Program {
  /** What it said when it was ready. */
  readonly ready: Readonly<Record<string, unknown>>
  readonly process: ChildProcess
  /** Every line it has written, standard output and error. */
  readonly lines: readonly string[]
  /** Ends it as an operator would and waits; resolves to the exit code. */
  stop(): Promise<number | null>
  /** `kill -9`, and waits until it is gone. */
  kill(): Promise<void>
}

const startMsUsual = 20_000

/**
 * Starts a program of `dist/` (or a bundle by its path) and waits until it is ready.
 * Nothing of the test's own environment but PATH reaches it.
 */
export async function startProgram(
  name: string,
  options: {
    args?: readonly string[]
    env?: Readonly<Record<string, string>>
    nodeOptions?: readonly string[]
    /** No file of the program may grow beyond it: a full disk, to the program. */
    fileBytesMax?: number
    /** Another Node than the one that runs the tests, with what starts it. */
    node?: readonly string[]
    /** How long it may take until it is ready. */
    startMs?: number
  } = {},
): Promise<Program> {
  const bundle = name.endsWith('.mjs') ? name : join(root, 'dist', `${name}.mjs`)
  const { fileBytesMax, node = [process.execPath], startMs = startMsUsual } = options
  const command = [...node, ...(options.nodeOptions ?? []), bundle, ...(options.args ?? [])]
  // POSIX: in blocks of 512 bytes. A signal would end the program; without it, writing fails.
  const limit = `trap '' XFSZ; ulimit -f ${Math.floor((fileBytesMax ?? 0) / 512)}; exec "$@"`
  const [file = '', ...args] =
    fileBytesMax === undefined ? command : ['/bin/sh', '-c', limit, 'sh', ...command]
  const child = spawn(file, args, {
    env: { PATH: process.env.PATH, LOTWATCH_CONFIG: '/dev/null', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      lines.push(...parts)
    })
  }
  const gone = once(child, 'exit')
  const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${name} is not ready after ${startMs} ms:\n${lines.join('\n')}`)),
      startMs,
    )
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}:\n${lines.join('\n')}`)))
    child.on('message', (message: { ready?: Record<string, unknown> }) => {
      if (message.ready === undefined) return
      clearTimeout(timer)
      resolve(message.ready)
    })
  })
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await gone
    requireNoToken(name, lines)
  }
  return {
    ready,
    process: child,
    lines,
    async stop() {
      await end('SIGTERM')
      return child.exitCode
    },
    kill: () => end('SIGKILL'),
  }
}

/** Whatever a test is about: no program of the suite writes a token, whole or in part. */
export function requireNoToken(name: string, lines: readonly string[]): void {
  const leaking = lines.find((line) => /eyJ[\w-]{8,}/.test(line))
  if (leaking !== undefined) throw new Error(`${name} wrote a token into its log: ${leaking.slice(0, 300)}`)
}

/** A folder of its own for a test, and how to remove it. */
export function makeDataDir(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'lotwatch-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A port nobody listens on right now; for programs that must come back on the same one. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

/** Waits until `check` yields something other than undefined or false, by asking again; fails after the deadline with the last error. */
export async function eventually<T>(
  check: () => Promise<T> | T,
  deadlineMs = 10_000,
  everyMs = 25,
): Promise<Exclude<T, false | null | undefined>> {
  const endMs = performance.now() + deadlineMs
  for (;;) {
    let failure: unknown = new Error('the condition stayed false')
    try {
      const value = await check()
      if (value !== undefined && value !== false && value !== null)
        return value as Exclude<T, false | null | undefined> // just checked
    } catch (error) {
      failure = error
    }
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms`, { cause: failure })
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
