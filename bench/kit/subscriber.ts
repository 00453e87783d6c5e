/** The peer's one QoS 1 subscriber: acknowledges everything, keeps nothing, counts. A process of its own, driven over IPC. */
import { connect } from 'node:net'
import { generate } from 'mqtt-packet'

let received = 0

function run(order: { port: number; filter: string }): void {
  const socket = connect({ port: order.port, host: '127.0.0.1', noDelay: true })
  let pending: Buffer = Buffer.alloc(0)
  let isSubscribed = false
  socket.write(
    generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      clientId: 'subscriber',
      keepalive: 0,
    } as Parameters<typeof generate>[0]),
  )
  socket.on('data', (chunk: Buffer) => {
    const bytes = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    const acknowledgements: number[] = []
    let at = 0
    for (;;) {
      const packet = packetAt(bytes, at)
      if (packet === undefined) break
      const kind = (bytes[at] as number) >> 4 // packetAt saw at least two bytes
      if (kind === 2)
        socket.write(
          generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: order.filter, qos: 1 }] }),
        )
      else if (kind === 9) isSubscribed = true
      else if (kind === 3)
        acknowledgements.push(bytes.readUInt16BE(packet.bodyAt + 2 + bytes.readUInt16BE(packet.bodyAt)))
      at = packet.end
    }
    pending = bytes.subarray(at)
    received += acknowledgements.length
    if (acknowledgements.length > 0) {
      const answer = Buffer.allocUnsafe(acknowledgements.length * 4)
      acknowledgements.forEach((id, i) => {
        answer.writeUInt16BE(0x4002, i * 4)
        answer.writeUInt16BE(id, i * 4 + 2)
      })
      socket.write(answer)
    }
    if (isSubscribed) {
      isSubscribed = false
      process.send?.({ connected: 1 })
    }
  })
}

/** Where the packet at `at` has its body and its end, once all of it is there. MQTT 3.1.1 §2.2.3. */
function packetAt(bytes: Buffer, at: number): { bodyAt: number; end: number } | undefined {
  let length = 0
  for (let i = 0; i < 4; i++) {
    const digit = bytes[at + 1 + i]
    if (digit === undefined) return undefined
    length += (digit & 0x7f) * 128 ** i
    if (digit < 128) {
      const bodyAt = at + 2 + i
      return bodyAt + length <= bytes.length ? { bodyAt, end: bodyAt + length } : undefined
    }
  }
  throw new Error('malformed remaining length')
}

process.once('message', (order: { port: number; filter: string }) => {
  run(order)
  process.on('message', (message: { do: 'measure' | 'report' | 'stop' }) => {
    if (message.do === 'measure') received = 0
    else if (message.do === 'report') process.send?.({ report: { received } })
    else process.exit(0)
  })
})
