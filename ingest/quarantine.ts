/**
 * What can never be stored, gathered for one batch: an entry per identity, or per content where there is none,
 * and a count of how often it came. The store adds up the counts and keeps the content only up to a device's share.
 */
import type { DeviceId, Epoch } from '../core/contract/device.ts'
import type { HandoverMessage } from '../core/contract/handover.ts'
import type { QuarantineReason } from '../core/contract/reading.ts'
import type { QuarantineEntry } from './store/store.ts'

/** In hex. */
export type Hash = (data: string | Uint8Array) => string

export interface UnfitReading {
  readonly epoch: Epoch | undefined
  /** As it came from JSON. */
  readonly value: unknown
  /** The same as JSON. */
  readonly text: string
  readonly reason: QuarantineReason
  /** For a conflict: what is stored at that instant. */
  readonly storedOccupied: number | null | undefined
}

export class QuarantineList {
  readonly #hash: Hash
  readonly #entries = new Map<string, QuarantineEntry>()

  constructor(hash: Hash) {
    this.#hash = hash
  }

  addMessage(message: HandoverMessage, reason: QuarantineReason): void {
    const content = new TextDecoder().decode(message.payload)
    const contentHash = this.#hash(message.payload)
    this.#add(message, {
      id: this.#idOf(message.deviceId, contentHash),
      reason,
      epoch: undefined,
      seq: undefined,
      timestampMs: undefined,
      content,
      contentHash,
      storedOccupied: undefined,
    })
  }

  addReading(message: HandoverMessage, { epoch, value, text, reason, storedOccupied }: UnfitReading): void {
    const contentHash = this.#hash(text)
    const seq = epoch === undefined ? undefined : seqOf(value)
    this.#add(message, {
      id: this.#idOf(message.deviceId, seq === undefined ? contentHash : `${epoch}/${seq}`),
      reason,
      epoch,
      seq,
      timestampMs: safeIntegerOf(value, 'timestampMs'),
      content: text,
      contentHash,
      storedOccupied,
    })
  }

  entries(): QuarantineEntry[] {
    return [...this.#entries.values()]
  }

  /** Names what was set aside: the same thing has the same name whenever it comes again. */
  #idOf(deviceId: DeviceId, what: string): string {
    return this.#hash(`${deviceId}/${what}`).slice(0, 32)
  }

  #add(
    { deviceId, credentialId, receivedAtMs }: HandoverMessage,
    what: Omit<QuarantineEntry, 'deviceId' | 'credentialId' | 'receivedAtMs' | 'count'>,
  ): void {
    const known = this.#entries.get(what.id)
    this.#entries.set(
      what.id,
      known === undefined
        ? { ...what, deviceId, credentialId, receivedAtMs, count: 1 }
        : { ...known, count: known.count + 1 },
    )
  }
}

/** The sequence of a reading that may be anything. */
export function seqOf(value: unknown): number | undefined {
  const seq = safeIntegerOf(value, 'seq')
  return seq === undefined || seq < 0 ? undefined : seq
}

export function safeIntegerOf(value: unknown, member: string): number | undefined {
  const found = (value as Record<string, unknown> | null)?.[member]
  return Number.isSafeInteger(found) ? (found as number) : undefined // just checked
}
