/**
 * The agent's door on this machine: a socket beside the outbox, for its owner and root, on which a running agent says
 * how it is and then hangs up. It takes no orders.
 */
import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { FleetError } from '../core/contract/errors.ts'
import { StatusMessage } from '../core/contract/status.ts'
import type { Log } from '../core/runtime/log.ts'
import { stepNames } from './steps.ts'

export const Snapshot = Type.Object({
  v: Type.Literal(1),
  pid: Type.Integer(),
  deviceId: Type.Optional(Type.String()),
  credentialId: Type.Optional(Type.String()),
  steps: Type.Array(
    Type.Object({
      name: Type.Enum([...stepNames]),
      state: Type.Enum(['ok', 'waiting', 'failed']),
      detail: Type.Optional(Type.String()),
      next: Type.Optional(Type.String()),
    }),
  ),
  /** Messages with readings acknowledged under this credential. */
  acknowledged: Type.Integer({ minimum: 0 }),
  status: StatusMessage,
})
export type Snapshot = Static<typeof Snapshot>

/** Linux takes no longer name of a socket (sun_path). */
const pathBytesMax = 107
const answerBytesMax = 256 * 1024
const answerMs = 5000

export function socketOf(outboxDir: string): string {
  return `${outboxDir}.sock`
}

/** Never throws: an agent without this door counts all the same. */
export function openControl(path: string, snapshot: () => Promise<Snapshot>, log: Log): { close(): void } {
  if (Buffer.byteLength(path) > pathBytesMax) {
    log.warn('control.unavailable', { path, reason: 'the name is too long for a socket' })
    return { close: () => undefined }
  }
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined) // who asked is gone
    socket.setTimeout(answerMs, () => socket.destroy())
    snapshot().then(
      (value) => socket.end(`${JSON.stringify(value)}\n`),
      () => socket.destroy(),
    )
  })
  server.on('error', (error) => log.warn('control.unavailable', { path, error }))
  // Whoever holds the outbox holds its socket: what is there was left by one that was killed.
  rmSync(path, { force: true })
  server.listen(path, () => {
    try {
      chmodSync(path, 0o600)
    } catch {
      // Closed again meanwhile.
    }
  })
  server.unref()
  return { close: () => void server.close() }
}

/** @throws FleetError `agent.unavailable` */
export function askAgent(path: string): Promise<Snapshot> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown) => {
      socket.destroy()
      reject(new FleetError('agent.unavailable', reason, cause === undefined ? {} : { cause }))
    }
    const socket = connect(path)
    let text = ''
    socket.setEncoding('utf8').setTimeout(answerMs, () => fail('the agent does not answer'))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      fail(
        error.code === 'EACCES' ? `${path}: not allowed; run it as root` : 'the agent does not run',
        error,
      ),
    )
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.length > answerBytesMax) fail('the agent says too much')
    })
    socket.on('close', () => {
      try {
        const value: unknown = JSON.parse(text)
        if (Value.Check(Snapshot, value)) resolve(value)
        else fail('the agent is of another version')
      } catch (error) {
        fail('the agent hung up', error)
      }
    })
  })
}
