/**
 * The sockets from which no CONNECT has come yet: so many per address, so many in all. Pure; the caller closes.
 * When there are too many, one that has had time enough makes room for the newcomer, so that sockets held open in
 * silence lock nobody out; when none has, the newcomer is turned away.
 */
import { networkOf } from '../core/runtime/network.ts'

export interface PendingLimits {
  readonly perAddressMax: number
  readonly max: number
}

/** Time enough for a CONNECT to come over a slow line, when others want the place. */
const graceMs = 1000

interface Waiting {
  readonly network: string
  readonly sinceMs: number
}

export class Pending<Socket> {
  readonly #limits: PendingLimits
  /** Longest waiting first. */
  readonly #waiting = new Map<Socket, Waiting>()
  readonly #byNetwork = new Map<string, Set<Socket>>()

  constructor(limits: PendingLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#waiting.size
  }

  /**
   * Enters a socket.
   * @param nowMs monotonic
   * @returns the socket that has to be closed for it, which may be itself
   */
  enter(socket: Socket, address: string, nowMs: number): Socket | undefined {
    const network = networkOf(address)
    const neighbours = this.#byNetwork.get(network) ?? new Set<Socket>()
    const isCrowded = neighbours.size >= this.#limits.perAddressMax
    let outgoing: Socket | undefined
    if (isCrowded || this.#waiting.size >= this.#limits.max) {
      const [longest] = isCrowded ? neighbours : this.#waiting.keys()
      const since = longest === undefined ? undefined : this.#waiting.get(longest)?.sinceMs
      if (longest === undefined || since === undefined || nowMs - since < graceMs) return socket
      this.leave(longest)
      outgoing = longest
    }
    neighbours.add(socket)
    this.#byNetwork.set(network, neighbours)
    this.#waiting.set(socket, { network, sinceMs: nowMs })
    return outgoing
  }

  /** Its CONNECT has come, or it is gone. */
  leave(socket: Socket): void {
    const waiting = this.#waiting.get(socket)
    if (waiting === undefined) return
    this.#waiting.delete(socket)
    const neighbours = this.#byNetwork.get(waiting.network)
    neighbours?.delete(socket)
    if (neighbours?.size === 0) this.#byNetwork.delete(waiting.network)
  }
}
