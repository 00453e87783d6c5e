/** An admitted connection: whose it is, what it may do, and where its acknowledgements go. */
import type { ConnectionView } from '../core/contract/connection.ts'
import type { DeviceId } from '../core/contract/device.ts'
import { frameHead } from '../core/contract/handover.ts'
import { authzInfoTopic } from '../core/contract/topic.ts'
import type { DevicePrincipal } from './authenticate.ts'
import { type Rights, rightsOf } from './authorize.ts'
import type { Receiver } from './downlink.ts'
import type { Delivered, Link } from './engine/engine.ts'
import type { HandoverOwner } from './handover.ts'
import type { Here } from './presence.ts'

export class Peer implements HandoverOwner, Receiver, Here {
  readonly deviceId: DeviceId
  readonly link: Link
  /** Tells it from every other of this broker. */
  readonly connectionId: string
  readonly connectedAtMs: number
  #principal: DevicePrincipal
  #rights: Rights
  /** Replies that provisioning has not answered for. */
  replies = 0
  /** A token that it has sent is looked at. */
  isRenewing = false
  /** The frame head of each topic it has published to; at most the two kinds that ingest gets. */
  readonly #heads = new Map<string, Uint8Array>()

  constructor(principal: DevicePrincipal, link: Link, of: { connectionId: string; nowMs: number }) {
    this.deviceId = principal.deviceId
    this.link = link
    this.connectionId = of.connectionId
    this.connectedAtMs = of.nowMs
    this.#principal = principal
    this.#rights = rightsOf(principal)
  }

  get remoteAddress(): string {
    return this.link.remoteAddress
  }

  get principal(): DevicePrincipal {
    return this.#principal
  }

  get rights(): Rights {
    return this.#rights
  }

  /** From now on this connection stands on another token: rights and credential are those of the new one. */
  stand(principal: DevicePrincipal): void {
    this.#principal = principal
    this.#rights = rightsOf(principal)
    this.#heads.clear()
  }

  /** @returns undefined when it may not publish there, or when the topic is not one that ingest gets */
  headFor(topic: string, packet: { qos: 0 | 1; retain: boolean }): Uint8Array | undefined {
    const known = packet.qos === 1 && !packet.retain ? this.#heads.get(topic) : undefined
    if (known !== undefined) return known
    if (topic === authzInfoTopic || topic.endsWith('/replies')) return undefined
    if (!this.#rights.mayPublish(topic, packet)) return undefined
    const head = frameHead({
      deviceId: this.deviceId,
      credentialId: this.#principal.credentialId ?? '',
      topic,
    })
    if (packet.qos === 1) this.#heads.set(topic, head)
    return head
  }

  deliver(topic: string, payload: Uint8Array, acknowledged: () => void): Delivered {
    return this.link.deliver(topic, payload, acknowledged)
  }

  settled(packetId: number): void {
    this.link.acknowledge(packetId)
  }

  failed(reason: string): void {
    this.link.close(reason)
  }
}

/** As operators see it. */
export function viewOf(peer: Peer): ConnectionView {
  const { deviceId, connectionId, remoteAddress, connectedAtMs } = peer
  const { expiresAtSec, credentialId } = peer.principal
  return {
    deviceId,
    connectionId,
    remoteAddress,
    connectedAtMs,
    tokenExpiresAtMs: expiresAtSec * 1000,
    ...(credentialId === undefined ? {} : { credentialId }),
  }
}
