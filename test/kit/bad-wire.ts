/** The way between devices and their broker, as bad networks are: it cuts, swallows PUBACKs, and as a control lies. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { generate, type Packet, parser } from 'mqtt-packet'

export interface BadWire {
  readonly port: number
  /** Where it leads; nobody gets through before. */
  leadsTo: number | undefined
  /** PUBACKs do not arrive, everything else does: a connection that looks alive. */
  swallows: boolean
  /** So many times more a connection is cut when the broker has sent a PUBACK, which does not arrive. */
  cutsAtPuback: number
  /** Readings are acknowledged by the wire itself and go nowhere: what a test of loss must notice. */
  lies: boolean
  /** PUBACKs that did not arrive. */
  readonly swallowed: number
  /** Connections accepted so far. */
  readonly accepted: number
  /** Cuts each connection with this probability. */
  cut(share?: number, random?: () => number): void
  stop(): Promise<void>
}

export async function startBadWire(): Promise<BadWire> {
  const pairs = new Set<() => void>()
  let swallowed = 0
  let accepted = 0
  const server = createServer((device) => {
    accepted++
    device.on('error', () => undefined)
    if (wire.leadsTo === undefined) return device.destroy()
    const broker = connect({ port: wire.leadsTo, host: '127.0.0.1', noDelay: true })
    broker.on('error', () => undefined)
    const end = () => {
      pairs.delete(end)
      device.destroy()
      broker.destroy()
    }
    pairs.add(end)
    device.on('close', end)
    broker.on('close', end)
    pass(device, broker, (packet) => {
      if (packet.cmd !== 'publish' || !wire.lies || !packet.topic.endsWith('/readings')) return true
      device.write(generate({ cmd: 'puback', messageId: packet.messageId ?? 0 }))
      return false
    })
    pass(broker, device, (packet) => {
      if (packet.cmd !== 'puback' || !(wire.swallows || wire.cutsAtPuback > 0)) return true
      swallowed++
      if (!wire.swallows) {
        wire.cutsAtPuback--
        end()
      }
      return false
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const wire = {
    port: (server.address() as AddressInfo).port,
    leadsTo: undefined as number | undefined,
    swallows: false,
    cutsAtPuback: 0,
    lies: false,
    get swallowed() {
      return swallowed
    },
    get accepted() {
      return accepted
    },
    cut(share = 1, random = Math.random) {
      for (const end of [...pairs]) if (random() < share) end()
    },
    async stop() {
      wire.cut()
      server.close()
      await once(server, 'close')
    },
  }
  return wire
}

/** Packet by packet, those that may. */
function pass(from: Socket, to: Socket, may: (packet: Packet) => boolean): void {
  const packets = parser({ protocolVersion: 4 })
  packets.on('packet', (packet: Packet) => {
    if (may(packet) && !to.destroyed) to.write(generate(packet))
  })
  from.on('data', (bytes) => packets.parse(bytes))
}
