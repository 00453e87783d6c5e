/**
 * The verdict on each reading, from the ledger and from what is stored at its instant. Pure but for what it stages
 * in the ledger; nothing is written here.
 *
 * What is released from quarantine is decided on as if it had no outcome yet; what is still wrong stays as it is.
 * In this order: an identity with an outcome is redelivered; what can never be right is quarantined; an identity that
 * the store has and the ledger has not (a commit broke off between the two) is redelivered; the same instant with the
 * same values is a duplicate, with others a conflict; the rest is stored.
 */
import type { DeviceId, Epoch } from '../core/contract/device.ts'
import {
  futureMsMax,
  type Outcome,
  type QuarantineReason,
  type Reading,
  timestampMsMin,
  type Verdict,
  verdictLetters,
} from '../core/contract/reading.ts'
import type { Arrival, ArrivedReading } from './arrivals.ts'
import type { DeviceLedger, EpochEnd, Ledger } from './ledger.ts'
import { type Hash, QuarantineList, safeIntegerOf, seqOf } from './quarantine.ts'
import type { DeviceStatus, Instant, QuarantineEntry, StoredReading } from './store/store.ts'

/** What has to be committed before the verdicts may be told. The ledger's part is staged in the ledger. */
export interface Decision {
  /** A string per message, a letter per reading. */
  readonly verdicts: readonly string[]
  readonly readings: readonly StoredReading[]
  readonly ends: readonly EpochEnd[]
  readonly quarantine: readonly QuarantineEntry[]
  /** The newest of each device. */
  readonly statuses: readonly DeviceStatus[]
}

type ReadingsArrival = Extract<Arrival, { kind: 'readings' }>

/** The instants that have to be looked up in the store first: new identities where their device may have something already. */
export function instantsToLookUp(arrivals: readonly Arrival[], ledger: Ledger): Instant[] {
  const instants: Instant[] = []
  for (const arrival of arrivals) {
    if (arrival.kind !== 'readings') continue
    const { deviceId } = arrival.message
    const device = ledger.device(deviceId)
    for (const arrived of arrival.readings) {
      if (arrived.fault !== undefined || device.isNews(arrived.reading.timestampMs)) continue
      const { timestampMs, seq } = arrived.reading
      const epoch = arrival.epoch === undefined ? undefined : ledger.find(deviceId, arrival.epoch)
      if (seq !== undefined && isSettledFor(arrival, epoch?.outcomeOf(seq))) continue
      instants.push({ deviceId, timestampMs })
    }
  }
  return instants
}

/**
 * @param parts.stored what the store has at the instants of `instantsToLookUp`
 * @param parts.hash names what has no identity of its own
 * @param parts.isGone whether the readings of that time are kept nowhere any more
 */
export function decide(
  arrivals: readonly Arrival[],
  parts: {
    ledger: Ledger
    stored: readonly StoredReading[]
    hash: Hash
    isGone?: ((timestampMs: number) => boolean) | undefined
  },
): Decision {
  return new Deciding(parts).decide(arrivals)
}

/** `dropped` is no outcome of a reading that came after all. */
function isSettled(outcome: Outcome | undefined): outcome is Exclude<Outcome, 'dropped'> {
  return outcome !== undefined && outcome !== 'dropped'
}

/** What was set aside is open again for what is released. */
function isSettledFor(
  { isReleased }: ReadingsArrival,
  outcome: Outcome | undefined,
): outcome is Exclude<Outcome, 'dropped'> {
  const isSetAside = outcome === 'quarantined' || outcome === 'conflict'
  return isSettled(outcome) && !(isReleased === true && isSetAside)
}

class Deciding {
  readonly #ledger: Ledger
  readonly #quarantine: QuarantineList
  readonly #isGone: (timestampMs: number) => boolean
  readonly #stored = new Map<DeviceId, Map<number, StoredReading>>()
  /** The instants this batch adds, only for devices that need them: see `#at`. */
  readonly #added = new Map<DeviceId, Map<number, StoredReading>>()
  readonly #readings: StoredReading[] = []
  readonly #ends: EpochEnd[] = []
  readonly #statuses = new Map<DeviceId, DeviceStatus>()

  constructor(parts: Parameters<typeof decide>[1]) {
    this.#ledger = parts.ledger
    this.#quarantine = new QuarantineList(parts.hash)
    this.#isGone = parts.isGone ?? (() => false)
    for (const stored of parts.stored)
      instantsOf(this.#stored, stored.deviceId).set(stored.reading.timestampMs, stored)
  }

  decide(arrivals: readonly Arrival[]): Decision {
    const verdicts = arrivals.map((arrival) => this.#arrival(arrival))
    return {
      verdicts,
      readings: this.#readings,
      ends: this.#ends,
      quarantine: this.#quarantine.entries(),
      statuses: [...this.#statuses.values()],
    }
  }

  #arrival(arrival: Arrival): string {
    switch (arrival.kind) {
      case 'readings':
        return this.#message(arrival)
      case 'status': {
        const { deviceId, receivedAtMs } = arrival.message
        const known = this.#statuses.get(deviceId)
        if (known === undefined || known.receivedAtMs <= receivedAtMs)
          this.#statuses.set(deviceId, { deviceId, receivedAtMs, body: arrival.body })
        return verdictLetters.stored
      }
      case 'unreadable':
        this.#quarantine.addMessage(arrival.message, arrival.reason)
        return verdictLetters.quarantined
      default: {
        const never: never = arrival
        return never
      }
    }
  }

  #message(arrival: ReadingsArrival): string {
    const { message, epoch, dropped, previous } = arrival
    const device = this.#ledger.device(message.deviceId)
    let verdicts = ''
    for (const arrived of arrival.readings)
      verdicts += verdictLetters[this.#reading(arrival, arrived, device)]
    if (epoch !== undefined)
      for (const range of dropped)
        if (!this.#ledger.stage(message.deviceId, epoch, { ...range, outcome: 'dropped' }))
          this.#quarantine.addReading(message, {
            epoch,
            value: range,
            text: JSON.stringify({ epoch, dropped: [range] }),
            reason: 'ledger.full',
            storedOccupied: undefined,
          })
    if (previous !== undefined) {
      const end = { deviceId: message.deviceId, ...previous }
      if (this.#ledger.stageEnd(end)) this.#ends.push(end)
    }
    return verdicts
  }

  #reading(arrival: ReadingsArrival, arrived: ArrivedReading, device: DeviceLedger): Verdict {
    const { message, epoch } = arrival
    const seq = arrived.fault === undefined ? arrived.reading.seq : seqOf(arrived.value)
    const known =
      epoch === undefined || seq === undefined ? undefined : device.epochs.get(epoch)?.outcomeOf(seq)
    if (isSettledFor(arrival, known)) {
      if (known === 'stored' || known === 'duplicate') return 'redelivered'
      this.#setAside(arrival, arrived, arrived.fault ?? 'reading.conflict')
      return known
    }
    const fault = arrived.fault ?? (this.#isGone(arrived.reading.timestampMs) ? 'reading.expired' : undefined)
    if (fault !== undefined && arrival.isReleased === true) return 'quarantined'
    if (arrived.fault !== undefined || fault !== undefined) {
      const value = arrived.fault === undefined ? arrived.reading : arrived.value
      const atMs = instantOf(value, message.receivedAtMs)
      const isKept = this.#keep(arrival, { seq, atMs }, 'quarantined')
      this.#setAside(arrival, arrived, isKept && fault !== undefined ? fault : 'ledger.full')
      return 'quarantined'
    }
    const { reading } = arrived
    const at = { seq, atMs: reading.timestampMs }
    const there = this.#at(device, message.deviceId, reading.timestampMs)
    if (there !== undefined && isSameIdentity(there, epoch, seq)) {
      this.#keep(arrival, at, 'stored')
      this.#ledger.stageInstant(device, reading.timestampMs)
      return 'redelivered'
    }
    const outcome = there === undefined ? 'stored' : isSame(there.reading, reading) ? 'duplicate' : 'conflict'
    if (outcome === 'conflict' && arrival.isReleased === true) return outcome
    if (!this.#keep(arrival, at, outcome)) {
      if (arrival.isReleased === true) return 'quarantined'
      this.#setAside(arrival, arrived, 'ledger.full')
      return 'quarantined'
    }
    if (outcome === 'stored') this.#store(arrival, reading, device)
    if (outcome === 'conflict') this.#setAside(arrival, arrived, 'reading.conflict', there?.reading.occupied)
    return outcome
  }

  /** @returns false when the ledger has no room; what has no identity needs none */
  #keep(
    { message, epoch }: ReadingsArrival,
    { seq, atMs }: { seq: number | undefined; atMs: number },
    outcome: Outcome,
  ): boolean {
    if (epoch === undefined || seq === undefined) return true
    const instants = { fromMs: Math.floor(atMs), toMs: Math.floor(atMs) }
    return this.#ledger.stage(message.deviceId, epoch, { fromSeq: seq, toSeq: seq, outcome, ...instants })
  }

  #store({ message, epoch }: ReadingsArrival, reading: Reading, device: DeviceLedger): void {
    const { deviceId, credentialId, receivedAtMs } = message
    const stored = { deviceId, credentialId, receivedAtMs, epoch, reading }
    this.#readings.push(stored)
    this.#added.get(deviceId)?.set(reading.timestampMs, stored)
    this.#ledger.stageInstant(device, reading.timestampMs)
  }

  /** What is stored at an instant, by an earlier batch or by this one. */
  #at(device: DeviceLedger, deviceId: DeviceId, timestampMs: number): StoredReading | undefined {
    // The usual case: newer than everything. So this batch's instants are gathered only once one is not.
    if (device.isNews(timestampMs)) return undefined
    let added = this.#added.get(deviceId)
    if (added === undefined) {
      added = instantsOf(this.#added, deviceId)
      for (const stored of this.#readings)
        if (stored.deviceId === deviceId) added.set(stored.reading.timestampMs, stored)
    }
    return added.get(timestampMs) ?? this.#stored.get(deviceId)?.get(timestampMs)
  }

  #setAside(
    { message, epoch }: ReadingsArrival,
    arrived: ArrivedReading,
    reason: QuarantineReason,
    storedOccupied?: number | null,
  ): void {
    const { value, text } =
      arrived.fault === undefined
        ? { value: arrived.reading, text: JSON.stringify(arrived.reading) }
        : arrived
    this.#quarantine.addReading(message, { epoch, value, text, reason, storedOccupied })
  }
}

/** The instant of a reading that may be anything: what it says, where that can be, otherwise when it came. */
function instantOf(value: unknown, receivedAtMs: number): number {
  const timestampMs = safeIntegerOf(value, 'timestampMs')
  const canBe =
    timestampMs !== undefined && timestampMs >= timestampMsMin && timestampMs <= receivedAtMs + futureMsMax
  return canBe ? timestampMs : receivedAtMs
}

function instantsOf(
  instants: Map<DeviceId, Map<number, StoredReading>>,
  deviceId: DeviceId,
): Map<number, StoredReading> {
  let ofDevice = instants.get(deviceId)
  if (ofDevice === undefined) {
    ofDevice = new Map()
    instants.set(deviceId, ofDevice)
  }
  return ofDevice
}

function isSameIdentity(there: StoredReading, epoch: Epoch | undefined, seq: number | undefined): boolean {
  return epoch !== undefined && there.epoch === epoch && there.reading.seq === seq
}

function isSame(a: Reading, b: Reading): boolean {
  return (
    a.occupied === b.occupied &&
    a.capacity === b.capacity &&
    a.entriesTotal === b.entriesTotal &&
    a.exitsTotal === b.exitsTotal
  )
}
