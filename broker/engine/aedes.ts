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
  connack,
  connectFault,
  hasRoomFor,
  type InboundPacket,
  internalsOf,
  limitGrants,
  limitPacketSize,
  packetFault,
  publishFault,
} from './aedes-guards.ts'
import { Acknowledgements, AedesLink, drainMs, type House } from './aedes-link.ts'
import type { ConnectRequest, Engine, EngineHooks } from './engine.ts'

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
