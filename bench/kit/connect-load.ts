/**
 * Connections of devices, opened as fast as so many at a time allow, and held open; says how long that took, and when
 * the broker closes one. A process of its own.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket } from 'node:tls'
import { generate } from 'mqtt-packet'

export interface ConnectOrder {
  readonly port: number
  readonly devices: readonly { readonly deviceId: string; readonly token: string }[]
  /** CONNECTs under way at most. */
  readonly concurrency: number
  /** With TLS, to a certificate nobody checks here. */
  readonly tls?: boolean
}

export interface ConnectReport {
  readonly tookMs: number
  /** CONNACKs that were not 0. */
  readonly refused: number
}

/** Wall clock in milliseconds with a fraction: shared with the process that asks. */
const nowMs = () => performance.timeOrigin + performance.now()
/** A port of the broker has at most so many ports of one address on its other side. */
const perAddress = 2000
let isStopping = false
const sockets: Socket[] = []

/** Resolves to the return code. */
function open(order: ConnectOrder, at: number): Promise<number> {
  const device = order.devices[at] as ConnectOrder['devices'][number] // at < length
  const localAddress = `127.0.6.${1 + Math.floor(at / perAddress)}`
  const target = { port: order.port, host: '127.0.0.1', localAddress, noDelay: true }
  const socket: Socket =
    order.tls === true ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target)
  sockets.push(socket)
  socket.write(
    generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      clientId: device.deviceId,
      keepalive: 120,
      username: device.deviceId,
      password: Buffer.from(device.token),
    } as Parameters<typeof generate>[0]),
  )
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('data', (connack: Buffer) => resolve(connack[3] ?? -1))
    socket.once('close', () => {
      // Turned away without a word, unless CONNACK had come.
      resolve(-1)
      if (!isStopping) process.send?.({ closed: { deviceId: device.deviceId, atMs: nowMs() } })
    })
  })
}

async function run(order: ConnectOrder): Promise<void> {
  const startMs = performance.now()
  let next = 0
  let refused = 0
  const opener = async () => {
    while (next < order.devices.length) if ((await open(order, next++)) !== 0) refused++
  }
  await Promise.all(Array.from({ length: order.concurrency }, opener))
  process.send?.({ connected: { tookMs: performance.now() - startMs, refused } satisfies ConnectReport })
}

process.once('message', (order: ConnectOrder) => {
  void run(order)
  process.on('message', (message: { do: string }) => {
    if (message.do !== 'stop') return
    isStopping = true
    // Reset: ports that linger would slow down the search for free ones in the next pass.
    for (const socket of sockets) {
      if (socket instanceof TLSSocket) socket.destroy()
      else socket.resetAndDestroy()
    }
    setImmediate(() => process.exit(0))
  })
})
