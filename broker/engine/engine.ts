/**
 * The port to the MQTT machinery: sockets and packets on its side, decisions on ours.
 * `Peer` is what the gate keeps for an admitted connection; the engine hands it back with everything that connection does.
 */
import type { Duplex } from 'node:stream'

/** What a CONNECT asks for, already checked for form: 3.1.1, clean, no will, identifier and keep-alive in bounds. */
export interface ConnectRequest {
  readonly mqttClientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  /** 15 to 120. */
  readonly keepAliveSec: number
  readonly remoteAddress: string
}

/** One connection as the gate may act on it. */
export interface Link {
  readonly remoteAddress: string
  readonly isOpen: boolean
  /** Sends PUBACK. Grouped: what is acknowledged in one turn of the event loop leaves in one write. */
  acknowledge(packetId: number): void
  /**
   * Sends a PUBLISH to the device, with the QoS of its subscription. A device that leaves what was written unread for
   * long is closed; how much may wait for its PUBACK at once is the caller's to limit.
   * @param acknowledged called once, when PUBACK has come; never when it is `told`
   */
  deliver(topic: string, payload: Uint8Array, acknowledged: () => void): Delivered
  /** Closes the socket at once; nothing that connection sent and that was not handed to the gate is handled. */
  close(reason: string): void
  /** Resolves when the connection is gone from the engine. */
  readonly gone: Promise<void>
}

/**
 * `sent`: PUBACK will tell. `told`: with QoS 0, so nobody will know whether it arrived. `unheard`: the device has no
 * subscription that matches, or may not receive there, or is gone.
 */
export type Delivered = 'sent' | 'told' | 'unheard'

/**
 * How a PUBLISH is counted until it is acknowledged: one that is `held` holds up what follows when there are many,
 * one that is `apart` may take its time and is the gate's to limit.
 */
export type Taken = 'held' | 'apart'

export interface EngineHooks<Peer> {
  /**
   * Decides on a CONNECT.
   * @returns the peer to hand back with each packet
   * @throws FleetError kind `unavailable` → return code 3, everything else → 5
   */
  connect(request: ConnectRequest, link: Link): Promise<Peer>
  /**
   * A PUBLISH of QoS 0 or 1. The gate calls `link.acknowledge(packetId)` when it is settled.
   * `payload` is only valid during the call.
   * @param packetId 0 for QoS 0, which is never acknowledged
   */
  publish(
    peer: Peer,
    topic: string,
    payload: Uint8Array,
    packet: { packetId: number; qos: 0 | 1; retain: boolean },
  ): Taken
  maySubscribe(peer: Peer, filter: string, qos: 0 | 1 | 2): boolean
  /** SUBACK is on its way: these filters were granted, again perhaps. */
  subscribed(peer: Peer, filters: readonly string[]): void
  /** Asked again for each delivery, with the QoS it is to have: rights may have gone since the SUBSCRIBE. */
  mayReceive(peer: Peer, topic: string, qos: 0 | 1): boolean
  /** The connection is gone, for whatever reason; called once per admitted peer. */
  closed(peer: Peer, reason: string): void
  /** A connection ended before it was admitted. */
  refused(refusal: { mqttClientId: string | undefined; remoteAddress: string; error: unknown }): void
}

/** What is known of a socket before anything was read from it. */
export interface Arrival {
  /** The device's own, also behind a load balancer. */
  readonly remoteAddress: string
  /** Called when a whole CONNECT has come. */
  heard?(): void
}

export interface Engine {
  /** Takes over a socket that has just been accepted (after the TLS handshake, where there is one). */
  accept(socket: Duplex, arrival: Arrival): void
  /** False: stops reading every socket, so that TCP holds the devices back; acknowledgements still go out. */
  setReading(isReading: boolean): void
  /** Closes every connection and stops. */
  stop(): Promise<void>
}
