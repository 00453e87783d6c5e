/**
 * One connection of the engine over Aedes: what was taken of it and is not settled, the PUBACKs that it is owed, what it was
 * sent and has not acknowledged, and why it ended. Everything of Aedes' own that is touched is in `aedes-guards.ts`.
 */
import { FleetError } from '../../core/contract/errors.ts'
import { type AedesInternals, forgetPassword, grantedQos } from './aedes-guards.ts'
import type { Arrival, ConnectRequest, Delivered, EngineHooks, Link, Taken } from './engine.ts'
import { publishPacket } from './publish-packet.ts'

/**
 * A connection with this many messages unsettled is not read any further until all of them are. That bounds what it can
 * hold, and keeps a window together: read at every chance, it falls apart into ever smaller packets. Fewer hold up nothing.
 */
const heldMax = 16
/** A PUBACK of four bytes for each packet identifier there is: who leaves more of them unread is not waiting for any. */
const unreadBytesMax = 65_535 * 4
/** How long a device may leave what was written to it unread. */
export const drainMs = 5000

/** What all links have of the engine they belong to. */
export interface House<Peer> {
  readonly acknowledgements: Acknowledgements<Peer>
  readonly isReading: () => boolean
  readonly mayReceive: EngineHooks<Peer>['mayReceive']
}

export class AedesLink<Peer> implements Link {
  readonly client: AedesInternals
  readonly gone: Promise<void>
  request: ConnectRequest | undefined
  peer: Peer | undefined
  refusal: unknown
  readonly #arrival: Arrival
  readonly #house: House<Peer>
  #packetIds: number[] = []
  /** Messages given to the gate and not acknowledged yet, but for those that are apart. */
  #held = 0
  /** By packet identifier, and few: most devices have none. */
  #apart: Set<number> | undefined
  /** What the device has not acknowledged, by packet identifier; most devices have nothing. */
  #delivering: Map<number, () => void> | undefined
  #lastPacketId = 0
  #drainTimer: NodeJS.Timeout | undefined
  #reason: string | undefined
  #resolveGone: () => void = () => undefined

  constructor(client: AedesInternals, arrival: Arrival, house: House<Peer>) {
    this.client = client
    this.#arrival = arrival
    this.#house = house
    this.gone = new Promise((resolve) => {
      this.#resolveGone = resolve
    })
  }

  get remoteAddress(): string {
    return this.#arrival.remoteAddress
  }

  get isOpen(): boolean {
    return !this.client.closed && !this.client.conn.destroyed
  }

  heard(): void {
    this.#arrival.heard?.()
  }

  async admit(hooks: EngineHooks<Peer>, timeoutMs: number): Promise<void> {
    const { request } = this
    if (request === undefined || !this.isOpen)
      throw new FleetError('connect.refused', 'closed before CONNECT was read')
    let timer: NodeJS.Timeout | undefined
    const overdue = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new FleetError('system.busy', 'the decision on a CONNECT took too long')),
        timeoutMs,
      )
    })
    const connecting = hooks.connect(request, this)
    try {
      const peer = await Promise.race([connecting, overdue])
      if (this.isOpen) this.peer = peer
      else hooks.closed(peer, 'closed before CONNACK')
    } catch (error) {
      // A decision that comes after all is for nobody; one that failed has been told.
      connecting.then(
        (peer) => hooks.closed(peer, 'decided too late'),
        () => undefined,
      )
      throw error
    } finally {
      clearTimeout(timer)
      // The token is in there; it is not needed any more.
      this.request = { ...request, password: undefined }
      forgetPassword(this.client)
    }
  }

  refuse(mqttClientId: string | undefined, returnCode: number, error: unknown): void {
    this.request = {
      mqttClientId: mqttClientId ?? '',
      username: undefined,
      password: undefined,
      keepAliveSec: 0,
      remoteAddress: this.remoteAddress,
    }
    this.refusal = error
    this.client.conn.write(Uint8Array.of(0x20, 2, 0, returnCode))
  }

  acknowledge(packetId: number): void {
    if (packetId === 0 || !this.isOpen) return
    if (this.#packetIds.length === 0) this.#house.acknowledgements.add(this)
    this.#packetIds.push(packetId)
  }

  /** Writes the PUBACKs of this turn, and reads on when all is settled. */
  flush(): void {
    const packetIds = this.#packetIds
    this.#packetIds = []
    if (!this.isOpen) return
    const bytes = Buffer.allocUnsafe(packetIds.length * 4)
    for (let i = 0; i < packetIds.length; i++) {
      bytes.writeUInt16BE(0x4002, i * 4)
      bytes.writeUInt16BE(packetIds[i] as number, i * 4 + 2) // i < length
    }
    this.client.conn.write(bytes)
    if (this.client.conn.writableLength > unreadBytesMax) {
      this.close('does not read its acknowledgements')
      return
    }
    const apart = this.#apart
    if (apart === undefined) this.#held -= packetIds.length
    else for (const packetId of packetIds) if (!apart.delete(packetId)) this.#held--
    if (this.#held === 0) this.readOn()
  }

  deliver(topic: string, payload: Uint8Array, acknowledged: () => void): Delivered {
    const { client, peer } = this
    if (peer === undefined || !this.isOpen) return 'unheard'
    const qos = grantedQos(client, topic)
    if (qos === undefined || !this.#house.mayReceive(peer, topic, qos)) return 'unheard'
    const packetId = qos === 0 ? 0 : this.#nextPacketId()
    if (packetId !== 0) {
      this.#delivering ??= new Map()
      this.#delivering.set(packetId, acknowledged)
    }
    client.conn.write(publishPacket(topic, payload, packetId))
    this.#watchDrain()
    return packetId === 0 ? 'told' : 'sent'
  }

  /** The device has it. What it acknowledges without having been sent it is passed over. */
  acknowledged(packetId: number): void {
    const tell = this.#delivering?.get(packetId)
    this.#delivering?.delete(packetId)
    tell?.()
  }

  /** [MQTT-2.3.1-2]: one that is not in use. */
  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1
    while (this.#delivering?.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  #watchDrain(): void {
    const { conn } = this.client
    if (!conn.writableNeedDrain || this.#drainTimer !== undefined) return
    const drained = () => {
      clearTimeout(this.#drainTimer)
      this.#drainTimer = undefined
    }
    conn.once('drain', drained)
    conn.once('close', drained)
    this.#drainTimer = setTimeout(() => this.close('does not read what it is sent'), drainMs)
  }

  /** A PUBLISH of QoS 1 was given to the gate. A packet identifier that is used twice at once is held in any case. */
  take(packetId: number, taken: Taken): void {
    if (taken === 'apart' && this.#apart?.has(packetId) !== true) {
      this.#apart ??= new Set()
      this.#apart.add(packetId)
    } else if (++this.#held >= heldMax) {
      this.client._paused = true
    }
  }

  /** Reads, or stops reading, as things are now: the engine's word, and how much of this connection is held. */
  readOn(): void {
    const { client } = this
    if (!client.connected || !this.isOpen) return
    const mayRead = this.#house.isReading() && this.#held < heldMax
    if (client._paused !== mayRead) return
    client._paused = !mayRead
    if (!mayRead) return
    // Nobody could be heard meanwhile, so nobody is overdue.
    client._keepaliveTimer?.refresh()
    // `_nextBatch` reads when its count of packets comes down to zero; what it counted while paused is off.
    client._parsingBatch = 1
    client._nextBatch()
  }

  /** Says goodbye: what was written is sent, then the connection closes. */
  end(reason: string): void {
    this.note(reason)
    this.client.conn.end()
  }

  close(reason: string): void {
    this.note(reason)
    this.client.conn.destroy()
  }

  /** The first reason is the cause, what follows are its effects. */
  note(reason: string): void {
    this.#reason ??= reason
  }

  ended(hooks: EngineHooks<Peer>): void {
    this.#resolveGone()
    if (this.peer !== undefined) {
      hooks.closed(this.peer, this.#reason ?? 'closed by the device')
      return
    }
    const error = this.refusal ?? new FleetError('connect.refused', this.#reason ?? 'closed before CONNECT')
    hooks.refused({ mqttClientId: this.request?.mqttClientId, remoteAddress: this.remoteAddress, error })
  }
}

/** The connections with PUBACKs to write at the end of this turn. */
export class Acknowledgements<Peer> {
  #links: AedesLink<Peer>[] = []

  add(link: AedesLink<Peer>): void {
    if (this.#links.length === 0) process.nextTick(() => this.flush())
    this.#links.push(link)
  }

  flush(): void {
    for (const link of this.#links.splice(0)) link.flush()
  }
}
