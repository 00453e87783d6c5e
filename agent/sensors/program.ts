/**
 * A program that prints lines, for sensors that run one: without a shell, without input, in a process group of its own,
 * so that what it starts ends with it. What the lines mean is the sensor's part.
 */
import { type ChildProcess, spawn } from 'node:child_process'

export interface ProgramOptions {
  /** The program and its arguments. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly onLine: (line: string) => void
  /** Called once, after its last line. `fault` says how it ended, `complaint` is the end of its standard error. */
  readonly onEnd: (end: { code: number | null; fault: string; complaint: string }) => void
}

export interface Program {
  /** Asks it and what it started to end, and makes them a second later; resolves when it is gone. */
  close(): Promise<void>
}

/** A longer line is passed over. */
const lineCharactersMax = 4096
const complaintCharactersMax = 300
/** Between asking a program to end and ending it, and between its end and the end of its output. */
const killAfterMs = 1000

export function startProgram({ command, env, onLine, onEnd }: ProgramOptions): Program {
  const [file = '', ...args] = command
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...env } })
  let complaint = ''
  let startFault: string | undefined
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint = (complaint + chunk).slice(-complaintCharactersMax)
  })
  const endLine = readLines(child.stdout, onLine)
  child.once('error', (error) => {
    startFault = error.message
  })
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
      // What it left behind may hold its output open: without an end of that, nobody would hear of its end.
      const timer = setTimeout(() => closeOutput(child), killAfterMs)
      child.once('close', () => clearTimeout(timer))
    })
    child.once('close', (code, signal) => {
      resolve()
      endLine()
      onEnd({ code, fault: startFault ?? `ended with ${signal ?? code}`, complaint: complaint.trim() })
    })
  })
  return {
    async close() {
      end(child, 'SIGTERM')
      const timer = setTimeout(() => end(child, 'SIGKILL'), killAfterMs)
      await gone
      clearTimeout(timer)
      closeOutput(child)
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
