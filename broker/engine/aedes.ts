/**
 * The engine over Aedes: CONNECT, SUBSCRIBE, keep-alive and the wire are Aedes'; inbound PUBLISH is ours.
 *
 * Aedes acknowledges a PUBLISH before anybody has stored it, and then routes it through persistence and emitter,
 * where nobody listens: devices publish only to ingest. So a PUBLISH is taken off the parser, given to the gate,
 * and acknowledged when the gate says so, one write for all PUBACKs of a connection in a turn. Nothing is routed.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { Aedes, type Client, type ConnectPacket } from 'aedes'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import {
  type AedesInternals,
  connack,
  connectFault,
  forgetPassword,
  grantedQos,
  hasRoomFor,
  type InboundPacket,
  internalsOf,
  limitGrants,
  limitPacketSize,
  packetFault,
  publishFault,
} from './aedes-guards.ts'
import type { Arrival, ConnectRequest, Delivered, Engine, EngineHooks, Link, Taken } from './engine.ts'
import { publishPacket } from './publish-packet.ts'

export interface AedesEngineOptions {
  /** From the accepted socket to a whole CONNECT. */
  readonly connectTimeoutMs: number
  /** From there to the decision on it. */
  readonly authenticationTimeoutMs: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export async function createAedesEngine<Peer>(
  hooks: EngineHooks<Peer>,
  options: AedesEngineOptions,
): Promise<Engine> {
  /** Those that are open. */
  const links = new Set<AedesLink<Peer>>()
  /** Aedes asks its hooks a turn later, when the connection may be gone already: its link is known for as long as it is. */
  const linkByClient = new WeakMap<Client, AedesLink<Peer>>()
  const acknowledgements = new Acknowledgements<Peer>()
  let isReading = true
  const house: House<Peer> = {
    acknowledgements,
    isReading: () => isReading,
    mayReceive: (peer, topic, qos) => hooks.mayReceive(peer, topic, qos),
  }

  const linkOf = (client: Client): AedesLink<Peer> => {
    const link = linkByClient.get(client)
    if (link === undefined) throw new Error('packet of a connection that was never accepted')
    return link
  }

  const broker = await Aedes.createBroker({
    connectTimeout: options.connectTimeoutMs,
    drainTimeout: drainMs,
    keepaliveLimit: 120,
    queueLimit: 10,
    maxTopicLevels: 8,
    preConnect(client, packet, done) {
      const link = linkOf(client)
      link.heard()
      const fault = connectFault(packet)
      if (fault !== undefined) {
        link.refuse(packet.clientId, fault.returnCode, new FleetError('connect.refused', fault.reason))
        return done(new Error(fault.reason), false)
      }
      link.request = requestOf(packet, link.remoteAddress)
      // Whatever the device asked for: nothing of a session outlives its connection.
      packet.clean = true
      done(null, true)
    },
    authenticate(client, _username, _password, done) {
      const link = linkOf(client)
      link.admit(hooks, options.authenticationTimeoutMs).then(
        () => done(null, true),
        (error: unknown) => {
          const returnCode =
            isFleetError(error) && error.kind === 'unavailable' ? connack.unavailable : connack.refused
          link.refusal = error
          done(Object.assign(new Error('refused'), { returnCode }), null)
        },
      )
    },
    // Inbound PUBLISH never reaches Aedes' own handler; should one, it is denied.
    authorizePublish: (_client, _packet, done) => done(new Error('publish is handled by the gate')),
    authorizeSubscribe(client, subscription, done) {
      const { peer, client: inside } = linkOf(client)
      const isAllowed =
        peer !== undefined &&
        hasRoomFor(inside, subscription.topic) &&
        hooks.maySubscribe(peer, subscription.topic, subscription.qos)
      done(null, isAllowed ? subscription : null)
    },
    // Nothing is routed, so nothing is forwarded; should it be, it is denied.
    authorizeForward: () => null,
  })
  // Aedes announces connects on $SYS topics; nobody may subscribe to them, so nothing is published inside.
  broker.publish = (_packet: unknown, clientOrDone: unknown, done?: (error?: Error) => void) => {
    const callback = typeof clientOrDone === 'function' ? (clientOrDone as (error?: Error) => void) : done
    if (callback !== undefined) setImmediate(callback)
  }
  broker.on('subscribe', (subscriptions, client) => {
    const link = linkByClient.get(client)
    // [MQTT-3.9.3]: what was refused stands here with 0x80.
    const granted = subscriptions.filter(({ qos }) => (qos as number) < 128).map(({ topic }) => topic)
    // A connection that has ended meanwhile would be kept for its device's next one to replace.
    if (link?.peer !== undefined && link.isOpen && granted.length > 0) hooks.subscribed(link.peer, granted)
  })
  // A failure of Aedes itself: the process must not go on, and must not die without a stack.
  ;(broker as NodeJS.EventEmitter).on('error', (error: Error) => {
    throw error
  })

  return {
    accept(socket, arrival) {
      const client = broker.handle(socket)
      const link = new AedesLink<Peer>(internalsOf(client), arrival, house)
      linkByClient.set(client, link)
      links.add(link)
      limitPacketSize(link.client)
      takePublishes(link, hooks)
      client.on('error', (error: Error) => link.note(error.message))
      socket.once('close', () => {
        links.delete(link)
        link.ended(hooks)
      })
    },
    setReading(shouldRead) {
      isReading = shouldRead
      // Reading may bring the pressure back at once: each link looks at what holds by then.
      for (const link of links) link.readOn()
    },
    async stop() {
      acknowledgements.flush()
      const gone = Promise.all([...links].map((link) => link.gone))
      // Not all at once: those who come back at once would come together.
      const spreadMs = links.size * goodbyeEachMs
      for (const link of links)
        setTimeout(() => link.end('broker stops'), Math.min(spreadMs, goodbyeSpreadMsMax) * options.random())
      const lastMs = Math.min(spreadMs, goodbyeSpreadMsMax) + goodbyeMs
      await Promise.race([gone, delay(lastMs, undefined, { ref: false })])
      for (const link of links) link.close('broker stops')
      await gone
      await new Promise<void>((resolve) => broker.close(resolve))
    },
  }
}

function requestOf(packet: ConnectPacket, remoteAddress: string): ConnectRequest {
  return {
    mqttClientId: packet.clientId,
    username: packet.username,
    password: packet.password?.toString('latin1'),
    keepAliveSec: packet.keepalive ?? 0,
    remoteAddress,
  }
}

/** [MQTT-3.1.4-5]: a client need not wait for CONNACK; this many of its PUBLISHes may come before. */
const earlyMax = 10
/**
 * A connection with this many messages unsettled is not read any further until all of them are. That bounds what it can
 * hold, and keeps a window together: read at every chance, it falls apart into ever smaller packets. Fewer hold up nothing.
 */
const heldMax = 16
/** A PUBACK of four bytes for each packet identifier there is: who leaves more of them unread is not waiting for any. */
const unreadBytesMax = 65_535 * 4
/** How long a device may leave what was written to it unread. */
const drainMs = 5000
/** Connections are closed at random moments within so much for each of them, and no more than so much in all. */
const goodbyeEachMs = 0.25
const goodbyeSpreadMsMax = 3000
/** For the last PUBACKs to reach their devices before sockets are destroyed. */
const goodbyeMs = 300

/** Puts the gate before Aedes' own handling of PUBLISH; every other packet goes the way it came. */
function takePublishes<Peer>(link: AedesLink<Peer>, hooks: EngineHooks<Peer>): void {
  const { client } = link
  const parser = client._parser
  const [toAedes] = parser.listeners('packet')
  const early: InboundPacket[] = []

  const take = (packet: InboundPacket) => {
    // What follows in a chunk whose connection was closed meanwhile is not handled any more.
    if (link.peer === undefined || !link.isOpen) return
    const { topic, payload, messageId = 0, qos, retain } = packet
    const fault = publishFault(packet)
    if (fault !== undefined) return link.close(fault)
    client._keepaliveTimer?.refresh()
    const taken = hooks.publish(link.peer, topic, payload, { packetId: messageId, qos: qos as 0 | 1, retain })
    if (qos === 1) link.take(messageId, taken)
  }
  const takeEarly = () => early.splice(0).forEach(take)

  parser.removeAllListeners('packet')
  parser.on('packet', (packet: InboundPacket) => {
    if (packet.cmd === 'puback' && client.connackSent) {
      // Nothing is sent by Aedes itself: what a device acknowledges is ours.
      client._keepaliveTimer?.refresh()
      link.acknowledged(packet.messageId ?? 0)
    } else if (packet.cmd !== 'publish') {
      const fault = packetFault(packet)
      if (fault !== undefined) return link.close(fault)
      limitGrants(packet)
      toAedes?.call(parser, packet)
    } else if (client.connackSent) {
      takeEarly()
      take(packet)
    } else if (client.connecting && early.length < earlyMax) {
      early.push(packet)
    } else {
      link.close('PUBLISH before CONNACK')
    }
  })
  client.once('connected', () => {
    takeEarly()
    link.readOn()
  })
}

/** What all links have of the engine they belong to. */
interface House<Peer> {
  readonly acknowledgements: Acknowledgements<Peer>
  readonly isReading: () => boolean
  readonly mayReceive: EngineHooks<Peer>['mayReceive']
}

class AedesLink<Peer> implements Link {
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
class Acknowledgements<Peer> {
  #links: AedesLink<Peer>[] = []

  add(link: AedesLink<Peer>): void {
    if (this.#links.length === 0) process.nextTick(() => this.flush())
    this.#links.push(link)
  }

  flush(): void {
    for (const link of this.#links.splice(0)) link.flush()
  }
}
