/** MQTT as bytes: packets put together by hand, right or wrong, and every byte that comes back. */
import type { Socket } from 'node:net'
import { openSocket } from './broker.ts'
import { eventually } from './program.ts'

/** One connection; what was read is taken out. */
export class Wire {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #isClosed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
    })
    socket.on('error', () => undefined) // a reset is one way to be closed
    socket.once('close', () => {
      this.#isClosed = true
    })
  }

  static async open(port: number): Promise<Wire> {
    return new Wire(await openSocket(port))
  }

  send(...packets: Uint8Array[]): void {
    this.#socket.write(Buffer.concat(packets))
  }

  /** Waits for so many bytes, and takes them out. @returns as hexadecimal digits */
  async read(bytes: number): Promise<string> {
    await eventually(() => this.#received.length >= bytes || this.#isClosed, 10_000, 2)
    const taken = this.#received.subarray(0, bytes).toString('hex')
    this.#received = this.#received.subarray(bytes)
    return taken
  }

  /** Waits for the end. @returns what came before it and was not read, as hexadecimal digits */
  async end(deadlineMs = 10_000): Promise<string> {
    await eventually(() => this.#isClosed, deadlineMs, 2)
    return this.#received.toString('hex')
  }

  close(): void {
    this.#socket.destroy()
  }
}

/** A packet: its first byte, its Remaining Length, and what follows. */
export function packet(firstByte: number, ...parts: (Uint8Array | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  const length: number[] = []
  for (let rest = body.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  return Buffer.concat([Buffer.from([firstByte, ...length]), body])
}

export const pair = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])

/** §1.5.3: two bytes of length, then UTF-8 (or bytes that are none). */
export function text(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([pair(bytes.length), bytes])
}

export interface ConnectParts {
  readonly firstByte?: number
  readonly name?: string
  readonly level?: number
  /** User name, password and clean session. */
  readonly flags?: number
  readonly keepAliveSec?: number
  /** Of MQTT 5, between keep-alive and identifier. */
  readonly properties?: readonly number[]
  readonly id?: string | Uint8Array
  /** After the identifier; absent: user name and password. */
  readonly rest?: readonly Uint8Array[]
}

/** §3.1 */
export function connectBytes(deviceId: string, token: string, parts: ConnectParts = {}): Buffer {
  const { firstByte = 0x10, name = 'MQTT', level = 4, flags = 0xc2, keepAliveSec = 60 } = parts
  const { properties = [], id = deviceId, rest = [text(deviceId), text(token)] } = parts
  const head = [text(name), [level, flags], pair(keepAliveSec), properties]
  return packet(firstByte, ...head, text(id), ...rest)
}

/** §3.3: QoS 1 unless the first byte says otherwise. */
export function publishBytes(
  topic: string | Uint8Array,
  id: number | undefined,
  payload = '{}',
  firstByte = 0x32,
): Buffer {
  return packet(firstByte, text(topic), id === undefined ? [] : pair(id), Buffer.from(payload))
}

/** §3.8 */
export function subscribeBytes(
  id: number,
  filters: readonly (readonly [string | Uint8Array, number])[],
  firstByte = 0x82,
): Buffer {
  const parts = filters.map(([filter, qos]) => Buffer.concat([text(filter), Buffer.from([qos])]))
  return packet(firstByte, pair(id), ...parts)
}

/** §3.10 */
export function unsubscribeBytes(id: number, filters: readonly string[], firstByte = 0xa2): Buffer {
  return packet(firstByte, pair(id), ...filters.map(text))
}

export const pingreq = Buffer.from([0xc0, 0])
export const pingresp = 'd000'
export const disconnect = Buffer.from([0xe0, 0])
