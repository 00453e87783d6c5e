/**
 * Token requests with `client_secret_basic` over keep-alive connections, one in flight on each: raw sockets, so that
 * the machine goes to the servers. Any answer but 200 with a token ends the benchmark. A process of its own, told what
 * to do and asked for results over IPC.
 */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { Latencies } from './latencies.ts'

export interface TokenLoadOrder {
  readonly port: number
  readonly path: string
  readonly body: string
  /** Lines of `oauthClientId:secret`. */
  readonly credentialsFile: string
  readonly connections: number
}

export interface TokenLoadReport {
  readonly issued: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor time of the generator itself, seconds. */
  readonly cpuSec: number
}

const latencies = new Latencies()
let isMeasuring = false
let isStopping = false

class Requester {
  readonly #socket: Socket
  readonly #next: () => string
  #sentAtMs = 0
  #pending = ''

  constructor(order: TokenLoadOrder, next: () => string) {
    this.#next = next
    this.#socket = connect({
      port: order.port,
      host: '127.0.0.1',
      noDelay: true,
      // Read into one buffer over and over: the machine is for the servers.
      onread: {
        buffer: Buffer.allocUnsafe(16 * 1024),
        callback: (bytes, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, bytes).toString('latin1'))
          return true
        },
      },
    })
    this.#socket.once('close', () => {
      if (!isStopping) throw new Error('a connection was closed')
    })
  }

  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once('error', reject).once('connect', () => resolve())
    })
  }

  send(): void {
    this.#sentAtMs = performance.now()
    this.#socket.write(this.#next(), 'latin1')
  }

  #read(chunk: string): void {
    const text = this.#pending === '' ? chunk : this.#pending + chunk
    const bodyAt = text.indexOf('\r\n\r\n') + 4
    const length = bodyAt < 4 ? undefined : /^content-length: (\d+)/im.exec(text)?.[1]
    if (bodyAt >= 4 && length === undefined) throw new Error(`no length: ${text.slice(0, 400)}`)
    if (length === undefined || text.length < bodyAt + Number(length)) {
      this.#pending = text
      return
    }
    this.#pending = ''
    if (!text.startsWith('HTTP/1.1 200') || !text.includes('"access_token"', bodyAt))
      throw new Error(`no token: ${text.slice(0, 1000)}`)
    if (isMeasuring) latencies.add(performance.now() - this.#sentAtMs)
    if (!isStopping) this.send()
  }
}

/** Every client in turn, far apart from one to the next. */
function requestsOf({ path, body, credentialsFile }: TokenLoadOrder): () => string {
  const credentials = readFileSync(credentialsFile, 'latin1').trimEnd().split('\n')
  const stride = 7919 // prime, so that all come round
  let at = Math.floor(Math.random() * credentials.length)
  return () => {
    at = (at + stride) % credentials.length
    const basic = Buffer.from(credentials[at] as string, 'latin1').toString('base64') // the remainder is in range
    return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic ${basic}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  }
}

async function run(order: TokenLoadOrder): Promise<void> {
  const next = requestsOf(order)
  const requesters = Array.from({ length: order.connections }, () => new Requester(order, next))
  await Promise.all(requesters.map((requester) => requester.opened()))
  for (const requester of requesters) requester.send()
  process.send?.({ connected: requesters.length })
  let cpu = process.cpuUsage()
  process.on('message', (message: { do: 'measure' | 'report' | 'stop' }) => {
    if (message.do === 'measure') {
      latencies.clear()
      cpu = process.cpuUsage()
      isMeasuring = true
    } else if (message.do === 'report') {
      const used = process.cpuUsage(cpu)
      const report: TokenLoadReport = {
        issued: latencies.total,
        p50Ms: latencies.percentile(0.5),
        p99Ms: latencies.percentile(0.99),
        cpuSec: (used.user + used.system) / 1e6,
      }
      process.send?.({ report })
    } else {
      isStopping = true
      process.exit(0)
    }
  })
}

process.once('message', (order: TokenLoadOrder) => {
  void run(order)
})
