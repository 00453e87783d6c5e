/**
 * The brake on guessing at the token endpoint: it holds back refusals, by what the client id and the address failed
 * of late, and never a right credential. So nobody is locked out, however hard a stranger guesses at their client id
 * or from behind their address. What it costs the guesser: connections that stand, and at most 5 s for each answer;
 * beyond the places to wait, refusals come at once as 429, so that guessing holds no memory of ours either. What it
 * does not do: bound the guesses of many connections. Secrets of 256 random bits need no such bound.
 * Each process brakes by itself.
 */
import { networkOf } from '../../../core/runtime/network.ts'
import { type FailurePolicy, Failures } from './failures.ts'

export interface Brake {
  /**
   * To be called with each failed client authentication, before it is answered.
   * @param oauthClientId as claimed, whether there is such a client or not: both look alike from outside
   * @returns when the refusal may be sent; with seconds to come back after, when there is no place left to wait
   */
  failed(oauthClientId: string | undefined, address: string): Promise<BrakeVerdict>
  /** Hears of each authentication that succeeded. */
  succeeded(oauthClientId: string): void
  /** Refusals that wait now. */
  readonly waiting: number
  /** Lets everything go that waits, and holds nothing back any more. */
  stop(): void
}

export type BrakeVerdict = { readonly answer: 'refuse' } | { readonly answer: 'later'; retryAfterSec: number }

export interface BrakeOptions {
  /** Milliseconds, of a clock that goes forward. */
  readonly nowMs: () => number
  readonly setTimer?: (callback: () => void, ms: number) => { unref?(): unknown }
  readonly client?: FailurePolicy
  readonly address?: FailurePolicy
  readonly waitingMax?: number
  readonly waitingPerAddressMax?: number
}

const quietMs = 15 * 60_000
const delayMsMax = 5000
export const clientPolicy: FailurePolicy = { free: 3, firstMs: 250, delayMsMax, quietMs, namesMax: 20_000 }
/** Many devices may share an address; only those that fail are held. */
export const addressPolicy: FailurePolicy = { free: 10, firstMs: 250, delayMsMax, quietMs, namesMax: 20_000 }

export function createBrake(options: BrakeOptions): Brake {
  const { nowMs, setTimer = setTimeout, waitingMax = 1000, waitingPerAddressMax = 20 } = options
  const clients = new Failures(options.client ?? clientPolicy)
  const addresses = new Failures(options.address ?? addressPolicy)
  const waiting = new Set<() => void>()
  const waitingBy = new Map<string, number>()
  let isStopped = false

  function hold(network: string, ms: number): Promise<BrakeVerdict> {
    waitingBy.set(network, (waitingBy.get(network) ?? 0) + 1)
    return new Promise((resolve) => {
      const go = () => {
        if (!waiting.delete(go)) return
        const left = (waitingBy.get(network) ?? 1) - 1
        if (left === 0) waitingBy.delete(network)
        else waitingBy.set(network, left)
        resolve({ answer: 'refuse' })
      }
      waiting.add(go)
      setTimer(go, ms).unref?.()
    })
  }

  return {
    async failed(oauthClientId, address) {
      const network = networkOf(address)
      const now = nowMs()
      const ms = Math.max(
        addresses.note(network, now),
        oauthClientId === undefined ? 0 : clients.note(oauthClientId, now),
      )
      if (ms === 0 || isStopped) return { answer: 'refuse' }
      if (waiting.size >= waitingMax || (waitingBy.get(network) ?? 0) >= waitingPerAddressMax)
        return { answer: 'later', retryAfterSec: Math.ceil(ms / 1000) }
      return hold(network, ms)
    },
    succeeded(oauthClientId) {
      // Not the address: a guesser may have a credential of their own.
      clients.forget(oauthClientId)
    },
    get waiting() {
      return waiting.size
    },
    stop() {
      isStopped = true
      for (const go of [...waiting]) go()
    },
  }
}
