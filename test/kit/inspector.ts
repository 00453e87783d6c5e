/** What a running program holds in memory once its garbage is gone, asked for over Node's inspector. */
import { once } from 'node:events'
import { WebSocket } from 'undici'
import type { Program } from './program.ts'

/** For `nodeOptions` of a program that is to be asked. */
export const inspectable = ['--inspect=127.0.0.1:0'] as const

export interface Held {
  readonly heapBytes: number
  /** Buffers and what else is outside the heap. */
  readonly externalBytes: number
}

/** Collects garbage, then measures. */
export async function heldBy(program: Program): Promise<Held> {
  const line = program.lines.find((candidate) => candidate.includes('Debugger listening on '))
  const url = /ws:\/\/\S+/.exec(line ?? '')?.[0]
  if (url === undefined) throw new Error('the program was not started with `inspectable`')
  const socket = new WebSocket(url)
  await once(socket as unknown as NodeJS.EventEmitter, 'open') // an EventTarget, which `once` takes too
  let serial = 0
  const call = (method: string, params: object = {}) =>
    new Promise<{ result: { value: string } }>((resolve, reject) => {
      const id = ++serial
      const hear = ({ data }: { data: string }) => {
        const answer = JSON.parse(data) as {
          id?: number
          result: { result: { value: string } }
          error?: unknown
        }
        if (answer.id !== id) return
        socket.removeEventListener('message', hear)
        if (answer.error === undefined) resolve(answer.result)
        else reject(new Error(JSON.stringify(answer.error)))
      }
      socket.addEventListener('message', hear)
      socket.send(JSON.stringify({ id, method, params }))
    })
  try {
    // Twice: what finalizers let go of is garbage only then.
    for (let round = 0; round < 2; round++) await call('HeapProfiler.collectGarbage')
    const { result } = await call('Runtime.evaluate', { expression: 'JSON.stringify(process.memoryUsage())' })
    const { heapUsed, external } = JSON.parse(result.value) as { heapUsed: number; external: number }
    return { heapBytes: heapUsed, externalBytes: external }
  } finally {
    socket.close()
  }
}
