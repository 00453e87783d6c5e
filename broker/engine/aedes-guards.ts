/**
 * What Aedes 1.2.0 leaves open before and around its hooks, closed here: packet size, the form of a CONNECT.
 * Reaches into members Aedes does not document; `test/contract/engine.test.ts` fails when a new version moves them.
 */

import type { Duplex } from 'node:stream'
import type { Client, ConnectPacket } from 'aedes'
import { parseDeviceId } from '../../core/contract/device.ts'
import { packetBytesMax } from '../../core/contract/payload.ts'
import { isWithin } from '../../core/contract/topic.ts'

/** A CONNECT with a token of 4 KiB fits; nothing else may come before CONNACK. */
export const connectBytesMax = 8 * 1024
export const keepAliveSecMin = 15
export const keepAliveSecMax = 120

/** A device has two topics to listen to: what is more is no device's wish, and each costs memory. */
export const filtersPerPacketMax = 8
export const filtersPerConnectionMax = 16

/** The parser as it is inside: `packet.length` is the Remaining Length of the packet that has begun. */
interface Parser {
  packet: { length: number }
  /** The CONNECT, once it has come. */
  settings: { password?: unknown }
  _parseLength(): boolean
  _emitError(error: Error): void
  on(event: 'packet', listener: (packet: InboundPacket) => void): void
  listeners(event: 'packet'): ((this: Parser, packet: InboundPacket) => void)[]
  removeAllListeners(event: 'packet'): void
}

export type InboundPacket = {
  cmd: string
  topic: string
  payload: Uint8Array
  messageId?: number
  qos: number
  retain: boolean
  dup: boolean
  subscriptions?: readonly { qos: number }[]
  unsubscriptions?: readonly string[]
}

/** The members of an Aedes client this engine relies on. */
export interface AedesInternals {
  readonly _parser: Parser
  readonly _keepaliveTimer: NodeJS.Timeout | null
  /** Packets of the current chunk that are still being handled; the socket is read again at zero. */
  _parsingBatch: number
  _paused: boolean | undefined
  _nextBatch(): void
  once(event: 'connected', listener: () => void): void
  readonly conn: Duplex & { remoteAddress?: string }
  readonly id: string | null
  readonly closed: boolean
  readonly connecting: boolean
  readonly connected: boolean
  readonly connackSent: boolean
  /** By filter. */
  readonly subscriptions: Readonly<Record<string, { readonly qos: number }>>
}

/** @throws when this is not the Aedes this engine was written for */
export function internalsOf(client: Client): AedesInternals {
  const internals = client as unknown as AedesInternals
  const isKnown =
    typeof internals._parser?._parseLength === 'function' &&
    typeof internals._parsingBatch === 'number' &&
    typeof internals._nextBatch === 'function' &&
    typeof internals._parser.settings === 'object' &&
    typeof internals.subscriptions === 'object' &&
    internals._parser.listeners('packet').length === 1
  if (!isKnown) throw new Error('aedes has changed inside: the engine must be checked against this version')
  return internals
}

/** Closes a connection as soon as a packet announces more bytes than it may have, before they are buffered. */
export function limitPacketSize(client: AedesInternals): void {
  const parser = client._parser
  const parseLength = parser._parseLength
  parser._parseLength = function (this: Parser) {
    const isComplete = parseLength.call(this)
    if (isComplete && this.packet.length > (client.connackSent ? packetBytesMax : connectBytesMax)) {
      this._emitError(new Error('packet is too large'))
      return false
    }
    return isComplete
  }
}

/** The parser keeps the CONNECT for as long as the connection lives; the token in it is not for that long. */
export function forgetPassword(client: AedesInternals): void {
  delete client._parser.settings.password
}

/** Why a packet that is no PUBLISH ends its connection, where Aedes would let it pass; undefined when it may go on. */
export function packetFault(packet: InboundPacket): string | undefined {
  // [MQTT-4.8.0-1]: these belong to QoS 2, which is not offered.
  if (packet.cmd === 'pubrel' || packet.cmd === 'pubrec') return 'QoS 2 is not offered'
  const filters = packet.subscriptions ?? packet.unsubscriptions
  if (filters === undefined) return undefined
  // [MQTT-2.3.1-1]
  if (packet.messageId === 0) return 'no packet identifier'
  // [MQTT-3.10.3-2]
  if (filters.length === 0) return 'no filter in the packet'
  return filters.length > filtersPerPacketMax ? 'too many filters in a packet' : undefined
}

/** Why a PUBLISH ends its connection, whatever it says; undefined when it may go on. */
export function publishFault({ qos, dup, messageId }: InboundPacket): string | undefined {
  if (qos === 2) return 'QoS 2 is not offered'
  // [MQTT-2.3.1-1], [MQTT-3.3.1-2]
  if (qos === 1) return messageId ? undefined : 'PUBLISH without a packet identifier'
  return dup ? 'a duplicate of QoS 0' : undefined
}

/** [MQTT-3.8.4-6]: grants no more than QoS 1, since nothing is sent with more. */
export function limitGrants({ subscriptions }: InboundPacket): void {
  for (const subscription of subscriptions ?? []) subscription.qos = Math.min(subscription.qos, 1)
}

/** Whether a connection may have one filter more; one that it has is none more. */
export function hasRoomFor(client: AedesInternals, filter: string): boolean {
  return filter in client.subscriptions || Object.keys(client.subscriptions).length < filtersPerConnectionMax
}

/** The QoS with which the device wants what is published to a topic; undefined when it does not want it at all. */
export function grantedQos(client: AedesInternals, topic: string): 0 | 1 | undefined {
  let granted: 0 | 1 | undefined
  for (const [filter, { qos }] of Object.entries(client.subscriptions)) {
    if (!isWithin(topic, filter)) continue
    // [MQTT-3.3.5-1]: of overlapping subscriptions the highest counts.
    if (qos > 0) return 1
    granted = 0
  }
  return granted
}

/** CONNACK return codes of MQTT 3.1.1 §3.2.2.3. */
export const connack = { protocol: 1, identifier: 2, unavailable: 3, refused: 5 } as const

/** Why a CONNECT is not even looked at, with its return code; undefined when its form is right. */
export function connectFault(packet: ConnectPacket): { returnCode: number; reason: string } | undefined {
  // [MQTT-3.1.2-2]
  if ((packet.protocolVersion as number) !== 4)
    return { returnCode: connack.protocol, reason: 'only MQTT 3.1.1' }
  if (parseDeviceId(packet.clientId) === undefined)
    return { returnCode: connack.identifier, reason: 'client identifier breaks the grammar' }
  // Presence comes from connections; a will would speak for a device that has lost its rights.
  if (packet.will !== undefined && packet.will !== null)
    return { returnCode: connack.refused, reason: 'wills are not offered' }
  const keepAliveSec = packet.keepalive ?? 0
  if (keepAliveSec < keepAliveSecMin || keepAliveSec > keepAliveSecMax) {
    return {
      returnCode: connack.refused,
      reason: `keep-alive must be ${keepAliveSecMin} to ${keepAliveSecMax} s`,
    }
  }
  return undefined
}
