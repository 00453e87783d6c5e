/** What keeps the readings in the store's benchmarks: the real ingest over DuckDB, and Debian's InfluxDB 1.6 beside it. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { handoverMediaType } from '../../core/contract/handover.ts'
import { audiences } from '../../core/contract/principal.ts'
import { startInflux } from '../../test/kit/influx.ts'
import { startIngest } from '../../test/kit/ingest.ts'
import { findCommand } from '../../test/kit/needs.ts'
import { type Batch, handoverBody, linesBody, places } from './generated.ts'

export interface Contender {
  readonly name: string
  readonly pid: number | undefined
  readonly folder: string
  bodyOf(batch: Batch): Uint8Array<ArrayBuffer>
  /** @returns what was answered to each reading, where it is answered */
  write(body: Uint8Array<ArrayBuffer>): Promise<string>
  /** To be called now and then: tokens end. One that is still good is kept, since a new one has to be verified. */
  renew(): Promise<void>
  /** The answer to a question, as it comes, whole. */
  ask(question: string): Promise<string>
  stop(): Promise<void>
}

const renewAfterMs = 60_000

export async function startOurs(folder: string, nodeOptions: readonly string[] = []): Promise<Contender> {
  mkdirSync(folder, { recursive: true })
  const ingest = await startIngest({
    snapshot: places(),
    dataDir: folder,
    nodeOptions,
    env: { LOTWATCH_INGEST_LOG_LEVEL: 'warn' },
  })
  ingest.program().process.once('exit', (code, signal) => {
    if (signal !== 'SIGTERM' && code !== 0)
      process.stderr.write(
        `ingest ended with ${code ?? signal}:\n${ingest.program().lines.slice(-20).join('\n')}\n`,
      )
  })
  const tokens = { read: '', write: '', sinceMs: Number.NEGATIVE_INFINITY }
  const contender: Contender = {
    name: 'lotwatch',
    pid: ingest.program().process.pid,
    folder,
    bodyOf: handoverBody,
    async renew() {
      if (performance.now() - tokens.sinceMs < renewAfterMs) return
      tokens.sinceMs = performance.now()
      tokens.read = await ingest.issuer.token(audiences.ingest, 'read:readings')
      tokens.write = await ingest.writeToken()
    },
    async write(body) {
      const response = await fetch(`${ingest.url()}/v1/readings`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tokens.write}`, 'content-type': handoverMediaType },
        body,
      })
      if (response.status === 503) return contender.write(body)
      if (response.status !== 200) throw new Error(`ingest: ${response.status} ${await response.text()}`)
      return ((await response.json()) as { verdicts: string[] }).verdicts.join('')
    },
    async ask(question) {
      const response = await ingest.ask(question, { token: tokens.read })
      const body = await response.text()
      if (response.status !== 200) throw new Error(`ingest: ${response.status} ${body}`)
      return body
    },
    stop: () => ingest.stop(),
  }
  await contender.renew()
  return contender
}

export const isPeerThere = () => findCommand('influxd') !== undefined

export async function startPeer(folder: string): Promise<Contender> {
  const isNew = !existsSync(folder)
  mkdirSync(folder, { recursive: true })
  const influx = await startInflux(folder)
  if (isNew) await influx.query('', 'CREATE DATABASE bench')
  return {
    name: 'influxdb',
    pid: influx.pid,
    folder: join(folder, 'data'),
    bodyOf: linesBody,
    async renew() {
      // It asks nobody who they are.
    },
    async write(body) {
      const response = await fetch(`${influx.url}/write?db=bench`, { method: 'POST', body })
      if (response.status !== 204) throw new Error(`influxdb: ${response.status} ${await response.text()}`)
      return ''
    },
    async ask(question) {
      const body = new URLSearchParams({ db: 'bench', q: question, epoch: 'ms' })
      return (await fetch(`${influx.url}/query`, { method: 'POST', body })).text()
    },
    stop: () => influx.stop(),
  }
}

/** Bytes of all files in a folder. */
export function bytesOf(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce(
      (sum, entry) =>
        sum + (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    )
}

/** Readings are made in blocks before the time of writing them is taken. */
const blockBatches = 40

/**
 * Writes batches, so many on their way at once.
 * @returns readings per second while they were written; making them is not counted
 */
export async function writeAll(
  contender: Contender,
  batches: { readonly count: number; readonly of: (index: number) => Batch },
  { inFlight, verdict }: { readonly inFlight: number; readonly verdict: string },
): Promise<number> {
  let tookMs = 0
  let readings = 0
  for (let from = 0; from < batches.count; from += blockBatches) {
    const block = Array.from({ length: Math.min(blockBatches, batches.count - from) }, (_, i) =>
      batches.of(from + i),
    )
    const bodies = block.map((batch) => contender.bodyOf(batch))
    await contender.renew()
    const startMs = performance.now()
    let next = 0
    const worker = async () => {
      for (let i = next++; i < bodies.length; i = next++) {
        const letters = await contender.write(bodies[i] as Uint8Array<ArrayBuffer>) // i < length
        const wrong = [...letters].find((letter) => letter !== verdict)
        if (wrong !== undefined)
          throw new Error(`${contender.name} answered ${wrong} where ${verdict} was right`)
      }
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
    tookMs += performance.now() - startMs
    readings += block.reduce((sum, batch) => sum + batch.reduce((of, { length }) => of + length, 0), 0)
  }
  return (readings / tookMs) * 1000
}
