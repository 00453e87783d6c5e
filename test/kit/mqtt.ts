/** A raw MQTT client for tests: sends what it is told, right or wrong, and shows every packet that comes back. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet'
import { eventually } from './program.ts'

export class RawClient {
  readonly socket: Socket
  readonly packets: Packet[] = []
  isClosed = false

  private constructor(socket: Socket) {
    this.socket = socket
    const incoming = parser()
    incoming.on('packet', (packet) => this.packets.push(packet))
    socket.on('data', (chunk: Buffer) => incoming.parse(chunk))
    socket.on('error', () => undefined) // a reset is one way to be closed
    socket.once('close', () => {
      this.isClosed = true
    })
  }

  /** On a socket that is open already. */
  static over(socket: Socket): RawClient {
    return new RawClient(socket)
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** Opens and sends a CONNECT that is right unless `packet` says otherwise. */
  static async connect(port: number, packet: Partial<IConnectPacket> = {}): Promise<RawClient> {
    const client = await RawClient.open(port)
    client.connect(packet)
    return client
  }

  /** Sends a CONNECT that is right unless `packet` says otherwise. */
  connect(packet: Partial<IConnectPacket> = {}): void {
    this.send(connectPacket(packet))
  }

  send(...packets: Packet[]): void {
    this.write(Buffer.concat(packets.map((packet) => generate(packet))))
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  publish(messageId: number, topic: string, payload: string | Buffer = '{}'): void {
    this.send(publishPacket(messageId, topic, payload))
  }

  /** Waits for a packet of this kind and takes it out of `packets`. */
  async next<Cmd extends Packet['cmd']>(cmd: Cmd): Promise<Extract<Packet, { cmd: Cmd }>> {
    const packet = await eventually(() => this.packets.find((candidate) => candidate.cmd === cmd))
    this.packets.splice(this.packets.indexOf(packet), 1)
    return packet as Extract<Packet, { cmd: Cmd }>
  }

  async closed(): Promise<void> {
    await eventually(() => this.isClosed)
  }

  close(): void {
    this.socket.destroy()
  }
}

export function connectPacket(packet: Partial<IConnectPacket> = {}): IConnectPacket {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId: 'gate-1',
    keepalive: 60,
    username: 'gate-1',
    password: Buffer.from('token'),
    ...packet,
  } as IConnectPacket
}

export function publishPacket(
  messageId: number,
  topic: string,
  payload: string | Buffer = '{}',
  qos: 0 | 1 | 2 = 1,
): Packet {
  return { cmd: 'publish', topic, payload, qos, messageId, dup: false, retain: false }
}
