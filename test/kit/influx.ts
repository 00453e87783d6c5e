/** Debian's real InfluxDB 1.6, a process of the test's own with a folder of its own, and a proxy that can fail. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createFetch } from '../../core/runtime/fetch.ts'
import type { InfluxOptions } from '../../ingest/store/influx-client.ts'
import { findCommand } from './needs.ts'
import { eventually, freePort, makeDataDir } from './program.ts'

export interface Influx {
  readonly url: string
  readonly pid: number | undefined
  /** A new, empty database. */
  createDatabase(): Promise<string>
  /** InfluxQL as an operator would type it; the answer as it comes. */
  query(database: string, statement: string): Promise<unknown>
  /** Lines, as another program would write them. */
  write(database: string, lines: string): Promise<void>
  stop(): Promise<void>
}

/** With a hundred million points it was seen to take longer than ten seconds. */
const openMs = 300_000

/** @param kept a folder that stays; absent: one that goes with it */
export async function startInflux(kept?: string): Promise<Influx> {
  const folder = kept === undefined ? makeDataDir() : { path: kept, remove: () => undefined }
  const [port, backupPort] = [await freePort(), await freePort()]
  const config = join(folder.path, 'influxdb.conf')
  writeFileSync(config, configOf(folder.path, port, backupPort))
  const child = spawn(findCommand('influxd') ?? 'influxd', ['-config', config], { stdio: 'ignore' })
  const url = `http://127.0.0.1:${port}`
  // One that was kept reads its index first.
  await eventually(
    async () => (await fetch(`${url}/ping`)).status === 204,
    kept === undefined ? undefined : openMs,
  )
  let databases = 0

  async function query(database: string, statement: string): Promise<unknown> {
    const body = new URLSearchParams({ db: database, q: statement, epoch: 'ms' })
    return (await fetch(`${url}/query`, { method: 'POST', body })).json()
  }

  return {
    url,
    pid: child.pid,
    query,
    async write(database, body) {
      await fetch(`${url}/write?db=${database}`, { method: 'POST', body })
    },
    async createDatabase() {
      const name = `test_${databases++}`
      await query('', `CREATE DATABASE ${name}`)
      return name
    },
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'exit')
      folder.remove()
    },
  }
}

/**
 * A new, empty bucket in an InfluxDB 2 that somebody else runs; Debian has none.
 * @returns undefined unless `LOTWATCH_TEST_INFLUX2_URL` and `LOTWATCH_TEST_INFLUX2_TOKEN` say where it is
 */
export function influx2Buckets(env = process.env): (() => Promise<InfluxOptions>) | undefined {
  const { LOTWATCH_TEST_INFLUX2_URL: url, LOTWATCH_TEST_INFLUX2_TOKEN: token } = env
  if (url === undefined || token === undefined) return undefined
  const org = 'lotwatch'
  const headers = { authorization: `Token ${token}`, 'content-type': 'application/json' }
  return async () => {
    const found = (await (await fetch(`${url}/api/v2/orgs?org=${org}`, { headers })).json()) as {
      orgs: { id: string }[]
    }
    const bucket = `test_${randomUUID()}`
    const body = JSON.stringify({ orgID: found.orgs[0]?.id, name: bucket, retentionRules: [] })
    const made = await fetch(`${url}/api/v2/buckets`, { method: 'POST', headers, body })
    if (made.status !== 201) throw new Error(`no bucket: ${made.status} ${await made.text()}`)
    return { url, version: 2, org, bucket, token, fetch: createFetch(), timeoutMs: 15_000 }
  }
}

/**
 * A new, empty database in an InfluxDB 3 that somebody else runs.
 * @returns undefined unless `LOTWATCH_TEST_INFLUX3_URL` and `LOTWATCH_TEST_INFLUX3_TOKEN` say where it is
 */
export function influx3Databases(env = process.env): (() => Promise<InfluxOptions>) | undefined {
  const { LOTWATCH_TEST_INFLUX3_URL: url, LOTWATCH_TEST_INFLUX3_TOKEN: token } = env
  if (url === undefined || token === undefined) return undefined
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return async () => {
    const bucket = `test_${randomUUID().replaceAll('-', '')}`
    const body = JSON.stringify({ db: bucket })
    const made = await fetch(`${url}/api/v3/configure/database`, { method: 'POST', headers, body })
    if (!made.ok) throw new Error(`no database: ${made.status} ${await made.text()}`)
    return { url, version: 3, org: '', bucket, token, fetch: createFetch(), timeoutMs: 15_000 }
  }
}

/** To reach a database as ingest does. */
export function influxOptions(url: string, database: string): InfluxOptions {
  return { url, version: 1, org: '', bucket: database, fetch: createFetch(), timeoutMs: 15_000 }
}

export interface VictoriaMetrics {
  readonly url: string
  /** A field of a device, as it was written: values with their Unix milliseconds. */
  fieldOf(device: string, name: string): Promise<{ values: number[]; timestamps: number[] }>
  stop(): Promise<void>
}

/** Debian's VictoriaMetrics: it takes lines where InfluxDB 2 does, and knows no InfluxQL. */
export async function startVictoriaMetrics(): Promise<VictoriaMetrics> {
  const folder = makeDataDir()
  const address = `127.0.0.1:${await freePort()}`
  const url = `http://${address}`
  const child = spawn(
    findCommand('victoria-metrics') ?? 'victoria-metrics',
    [`-storageDataPath=${folder.path}`, `-httpListenAddr=${address}`, '-retentionPeriod=100y'],
    { stdio: 'ignore' },
  )
  await eventually(async () => (await fetch(`${url}/health`)).ok)
  return {
    url,
    async fieldOf(device, name) {
      await fetch(`${url}/internal/force_flush`)
      const body = new URLSearchParams({ 'match[]': `{__name__="${name}",device="${device}"}` })
      return (await fetch(`${url}/api/v1/export`, { method: 'POST', body })).json() as Promise<{
        values: number[]
        timestamps: number[]
      }>
    },
    async stop() {
      child.kill('SIGKILL')
      await once(child, 'exit')
      folder.remove()
    },
  }
}

function configOf(folder: string, port: number, backupPort: number): string {
  return `reporting-disabled = true
bind-address = "127.0.0.1:${backupPort}"
[meta]
dir = "${folder}/meta"
[data]
dir = "${folder}/data"
wal-dir = "${folder}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:${port}"
log-enabled = false
[continuous_queries]
enabled = false
`
}

/** What happens to a request: it goes through; it is answered with this status; nobody answers it; it arrives and the answer is lost. */
export type Fate = 'pass' | 'slow' | number | 'hang' | 'lose the answer'

/** What a slow answer takes. */
const slowMs = 500

export type FateOf = (request: IncomingMessage, body: string) => Fate

export interface InfluxProxy {
  readonly url: string
  /** Decides on each request from now on. */
  decide(fate: FateOf): void
  stop(): Promise<void>
}

/** A way to InfluxDB on which requests get lost; over TLS with a certificate. */
export async function startInfluxProxy(
  target: string,
  tls?: { cert: string; key: string },
): Promise<InfluxProxy> {
  let fateOf: FateOf = () => 'pass'
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer) // no encoding is set
    const body = Buffer.concat(chunks)
    const isZipped = request.headers['content-encoding'] === 'gzip'
    const fate = fateOf(request, (isZipped ? gunzipSync(body) : body).toString())
    if (fate === 'hang') return
    if (typeof fate === 'number') {
      response.writeHead(fate, { 'content-type': 'application/json' }).end('{"error":"as the test wants it"}')
      return
    }
    const passed = httpRequest(
      target + request.url,
      { method: request.method, headers: request.headers },
      (answer) => {
        if (fate === 'lose the answer') {
          answer.resume().on('end', () => request.socket.destroy())
          return
        }
        const pass = () => {
          response.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(response)
        }
        if (fate === 'slow') setTimeout(pass, slowMs)
        else pass()
      },
    )
    passed.on('error', () => request.socket.destroy())
    passed.end(body)
  }

  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    decide(fate) {
      fateOf = fate
    },
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
