/**
 * The raw load generator: MQTT 3.1.1 connections that publish QoS 1 readings with a fixed window, as cheaply as
 * Node allows, so that the machine's two cores go to what is measured. Packets are written once and their digits
 * patched in place. A process of its own; told what to do and asked for results over IPC.
 */
import { connect, type Socket } from 'node:net'
import { generate } from 'mqtt-packet'

export interface LoadOrder {
  readonly port: number
  /** One connection each; the password is the access token. */
  readonly devices: readonly { readonly deviceId: string; readonly epoch: string; readonly token?: string }[]
  readonly window: number
  /** Publish at most this many a second over all connections; absent: as many as are acknowledged. */
  readonly perSec?: number
  /** The stamp of each device's first reading, Unix milliseconds; each next one is one millisecond later. */
  readonly firstTimestampMs: number
  readonly firstSeq: number
}

export interface LoadReport {
  readonly acknowledged: number
  /** From PUBLISH to PUBACK, milliseconds. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor time of the generator itself, seconds. */
  readonly cpuSec: number
}

/** 0.1 ms steps up to 10 s. */
const latencySteps = 100_000
const latencies = new Uint32Array(latencySteps)
let acknowledged = 0
let isMeasuring = false
let isStopping = false

const seqDigits = 12
const stampDigits = 13

/** One device's connection with its own ring of packets. */
class Publisher {
  readonly #socket: Socket
  readonly #order: LoadOrder
  readonly #packet: Buffer
  readonly #seqAt: number
  readonly #stampAt: number
  readonly #idAt: number
  readonly #sentAt: Float64Array
  readonly #opened: Promise<void>
  #seq: number
  #stampMs: number
  #pending: Buffer = Buffer.alloc(0)
  inFlight = 0

  constructor(order: LoadOrder, device: LoadOrder['devices'][number]) {
    this.#order = order
    this.#seq = order.firstSeq
    this.#stampMs = order.firstTimestampMs
    this.#sentAt = new Float64Array(order.window + 1)
    const payload = JSON.stringify({
      v: 1,
      epoch: device.epoch,
      readings: [
        {
          seq: 10 ** (seqDigits - 1),
          timestampMs: 10 ** (stampDigits - 1),
          occupied: 412,
          capacity: 577,
          clock: 'synced',
          sensor: 'ok',
        },
      ],
    })
    this.#packet = generate({
      cmd: 'publish',
      topic: `devices/${device.deviceId}/readings`,
      payload,
      qos: 1,
      messageId: 1,
      dup: false,
      retain: false,
    }) as Buffer
    this.#seqAt = this.#packet.indexOf('"seq":') + '"seq":'.length
    this.#stampAt = this.#packet.indexOf('"timestampMs":') + '"timestampMs":'.length
    this.#idAt = this.#packet.indexOf(payload) - 2
    const socket = connect({ port: order.port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    this.#opened = new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.once('close', () => {
        if (!isStopping) throw new Error(`${device.deviceId} was disconnected`)
      })
      socket.once('data', (connack) => {
        if (connack[3] !== 0) reject(new Error(`${device.deviceId}: CONNACK ${connack[3]}`))
        socket.on('data', (chunk) => this.#read(chunk))
        resolve()
      })
    })
    socket.write(
      generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clean: true,
        clientId: device.deviceId,
        keepalive: 60,
        ...(device.token === undefined
          ? {}
          : { username: device.deviceId, password: Buffer.from(device.token) }),
      } as Parameters<typeof generate>[0]),
    )
  }

  opened(): Promise<void> {
    return this.#opened
  }

  /** Publishes `count` readings in one write. */
  send(count: number): void {
    const size = this.#packet.length
    const bytes = Buffer.allocUnsafe(size * count)
    const nowMs = performance.now()
    for (let i = 0; i < count; i++) {
      const at = i * size
      this.#packet.copy(bytes, at)
      // Sequence and stamp count up by one: digits are patched, nothing is formatted.
      writeDigits(bytes, at + this.#seqAt, seqDigits, 10 ** (seqDigits - 1) + this.#seq++)
      writeDigits(bytes, at + this.#stampAt, stampDigits, this.#stampMs++)
      const id = (this.#seq % this.#order.window) + 1
      bytes.writeUInt16BE(id, at + this.#idAt)
      this.#sentAt[id] = nowMs
    }
    this.inFlight += count
    this.#socket.write(bytes)
  }

  #read(chunk: Buffer): void {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const whole = bytes.length - (bytes.length % 4)
    const nowMs = performance.now()
    let count = 0
    for (let at = 0; at < whole; at += 4) {
      if (bytes[at] !== 0x40) throw new Error(`unexpected packet 0x${bytes[at]?.toString(16)}`)
      count++
      if (isMeasuring) {
        const tookMs = nowMs - (this.#sentAt[bytes.readUInt16BE(at + 2)] as number) // window + 1 entries
        const step = Math.min(latencySteps - 1, Math.floor(tookMs * 10))
        latencies[step] = (latencies[step] as number) + 1 // step < latencySteps
      }
    }
    this.#pending = bytes.subarray(whole)
    this.inFlight -= count
    if (isMeasuring) acknowledged += count
    if (!isStopping && this.#order.perSec === undefined && count > 0) this.send(count)
  }

  end(): void {
    this.#socket.destroy()
  }
}

function writeDigits(bytes: Buffer, at: number, digits: number, value: number): void {
  let rest = value
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(rest / 10)
    bytes[i] = 48 + rest - next * 10
    rest = next
  }
}

function percentile(share: number): number {
  const total = latencies.reduce((sum, count) => sum + count, 0)
  let seen = 0
  for (let step = 0; step < latencySteps; step++) {
    seen += latencies[step] as number // step < latencySteps
    if (seen >= total * share) return step / 10
  }
  return 0
}

async function run(order: LoadOrder): Promise<void> {
  const publishers = order.devices.map((device) => new Publisher(order, device))
  await Promise.all(publishers.map((publisher) => publisher.opened()))
  if (order.perSec === undefined) {
    for (const publisher of publishers) publisher.send(order.window)
  } else {
    pace(publishers, order.perSec, order.window)
  }
  process.send?.({ connected: publishers.length })
  let cpu = process.cpuUsage()
  process.on('message', (message: { do: 'measure' | 'report' | 'stop' }) => {
    if (message.do === 'measure') {
      latencies.fill(0)
      acknowledged = 0
      cpu = process.cpuUsage()
      isMeasuring = true
    } else if (message.do === 'report') {
      isMeasuring = false
      const used = process.cpuUsage(cpu)
      const report: LoadReport = {
        acknowledged,
        p50Ms: percentile(0.5),
        p99Ms: percentile(0.99),
        cpuSec: (used.user + used.system) / 1e6,
      }
      process.send?.({ report })
    } else {
      isStopping = true
      for (const publisher of publishers) publisher.end()
      process.exit(0)
    }
  })
}

/** A fixed rate in the same shape as the full one: whole windows, by turns, to connections that have nothing in flight. */
function pace(publishers: readonly Publisher[], perSec: number, window: number): void {
  const startMs = performance.now()
  let sent = 0
  let next = 0
  setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) / 1000) * perSec)
    for (let tries = 0; sent + window <= due && tries < publishers.length; tries++) {
      const publisher = publishers[next++ % publishers.length] as Publisher // the remainder is in range
      if (publisher.inFlight > 0) continue
      publisher.send(window)
      sent += window
    }
  }, 5)
}

process.once('message', (order: LoadOrder) => {
  void run(order)
})
