/**
 * A thread that signs for the event loop: what is asked for while it is at work goes over as one message and comes back
 * as one. Node's thread pool is woken for each signature instead, and on a busy machine that costs the event loop more than
 * anything else a token needs. Keys stay in the process.
 */
import type { KeyObject } from 'node:crypto'
import { Worker } from 'node:worker_threads'

export interface SigningThread {
  /**
   * @param hash `sha256`, or null where the algorithm hashes by itself
   * @returns the signature, base64url; of an EC key as R and S (RFC 7518 §3.4)
   */
  sign(key: KeyObject, hash: 'sha256' | null, input: string): Promise<string>
  stop(): Promise<void>
}

/** Small enough to be text here: a file of its own would have to be found again from the bundle. */
const program = `
const { parentPort } = require('node:worker_threads')
const { sign } = require('node:crypto')
const keys = new Map()
parentPort.on('message', ({ newKeys, batch }) => {
  for (const [id, key] of newKeys) keys.set(id, { key, dsaEncoding: 'ieee-p1363' })
  parentPort.postMessage(batch.map(([id, hash, input]) =>
    sign(hash, Buffer.from(input, 'latin1'), keys.get(id)).toString('base64url')))
})
`

type Asked = readonly [keyId: number, hash: 'sha256' | null, input: string]

export function startSigningThread(): SigningThread {
  const worker = new Worker(program, { eval: true })
  worker.unref()
  const ids = new WeakMap<KeyObject, number>()
  /** Answers come in the order of the questions. */
  const waiting: ((signature: string) => void)[] = []
  let lastId = 0
  let newKeys: [number, KeyObject][] = []
  let batch: Asked[] = []
  /** Batches under way: one that is signed, and one that waits, so that the thread never does. */
  let atWork = 0

  worker.on('message', (signatures: readonly string[]) => {
    const served = waiting.splice(0, signatures.length)
    atWork--
    send()
    served.forEach((resolve, i) => {
      resolve(signatures[i] as string) // one for each
    })
  })
  // A thread that fails is a bug: without a listener, its error ends the program, and the supervisor starts it again.

  const send = () => {
    if (atWork >= 2 || batch.length === 0) return
    atWork++
    worker.postMessage({ newKeys, batch })
    newKeys = []
    batch = []
  }
  const idOf = (key: KeyObject): number => {
    const known = ids.get(key)
    if (known !== undefined) return known
    ids.set(key, ++lastId)
    newKeys.push([lastId, key])
    return lastId
  }
  return {
    sign(key, hash, input) {
      if (batch.length === 0) setImmediate(send)
      batch.push([idOf(key), hash, input])
      return new Promise((resolve) => {
        waiting.push(resolve)
      })
    },
    async stop() {
      await worker.terminate()
    },
  }
}
