/**
 * The ledger: which sequences of which device and epoch have which outcome, and how far each device has come in time.
 * Pure and in memory; the store holds the same as rows and gives them back at start.
 *
 * What a batch adds is *staged* until its commit has succeeded: `settle` makes it part of the ledger, `discard`
 * leaves the ledger as it was. Between the two, questions are answered from both. Only where a device may have readings
 * (`coverage.ts`) grows with what was tried.
 */
import type { DeviceId, Epoch } from '../core/contract/device.ts'
import type { Outcome } from '../core/contract/reading.ts'
import { Coverage } from './coverage.ts'
import { Ranges, type SequenceRange } from './ranges.ts'

export interface LedgerLimits {
  /** Ranges a device may have in one epoch: beyond it, what would make another is refused. */
  readonly rangesPerEpochMax: number
  readonly epochsPerDeviceMax: number
}

/** One row as it is stored. */
export interface LedgerRow extends SequenceRange {
  readonly deviceId: DeviceId
  readonly epoch: Epoch
}

/** An epoch of which its device said where it ended. */
export interface EpochEnd {
  readonly deviceId: DeviceId
  readonly epoch: Epoch
  readonly lastSeq: number
}

export class EpochLedger {
  readonly settled = new Ranges()
  staged: Ranges | undefined
  /** Undefined while the epoch lasts, as far as is known. */
  endSeq: number | undefined
  stagedEndSeq: number | undefined

  outcomeOf(seq: number): Outcome | undefined {
    const staged = this.staged?.outcomeOf(seq)
    return staged !== undefined && staged !== 'dropped' ? staged : (this.settled.outcomeOf(seq) ?? staged)
  }

  get rangeCount(): number {
    return this.settled.count + (this.staged?.count ?? 0)
  }
}

export class DeviceLedger {
  readonly epochs = new Map<Epoch, EpochLedger>()
  /** The highest instant stored, Unix milliseconds. */
  highMs = Number.NEGATIVE_INFINITY
  /** The same, with what is staged. */
  stagedHighMs = Number.NEGATIVE_INFINITY
  /** Where it may have readings, by commits that failed, too: of those the store may have what nobody was told of. */
  readonly covered = new Coverage()

  /** Whether nothing can be stored at this instant, by any commit so far or by what is staged. */
  isNews(timestampMs: number): boolean {
    return !this.covered.has(timestampMs)
  }
}

export class Ledger {
  readonly #limits: LedgerLimits
  readonly #devices = new Map<DeviceId, DeviceLedger>()
  readonly #stagedEpochs = new Map<EpochLedger, { deviceId: DeviceId; epoch: Epoch }>()
  readonly #stagedDevices = new Set<DeviceLedger>()

  constructor(limits: LedgerLimits) {
    this.#limits = limits
  }

  /** A row from the store, at start. */
  load(row: LedgerRow): void {
    this.#epochOf(row.deviceId, row.epoch).settled.add(row)
  }

  loadEnd(end: EpochEnd): void {
    const epoch = this.#epochOf(end.deviceId, end.epoch)
    epoch.endSeq = Math.max(epoch.endSeq ?? 0, end.lastSeq)
  }

  loadHigh(deviceId: DeviceId, highMs: number): void {
    const device = this.device(deviceId)
    device.highMs = highMs
    device.stagedHighMs = highMs
    device.covered.add(Number.NEGATIVE_INFINITY, highMs)
  }

  /** In place of `loadHigh`, where the store knows in which stretches a device has readings. */
  loadCovered(deviceId: DeviceId, fromMs: number, toMs: number): void {
    const device = this.device(deviceId)
    device.covered.add(fromMs, toMs)
    device.highMs = Math.max(device.highMs, toMs)
    device.stagedHighMs = device.highMs
  }

  device(deviceId: DeviceId): DeviceLedger {
    let device = this.#devices.get(deviceId)
    if (device === undefined) {
      device = new DeviceLedger()
      this.#devices.set(deviceId, device)
    }
    return device
  }

  find(deviceId: DeviceId, epoch: Epoch): EpochLedger | undefined {
    return this.#devices.get(deviceId)?.epochs.get(epoch)
  }

  /** Every device of which anything is known. */
  deviceIds(): Iterable<DeviceId> {
    return this.#devices.keys()
  }

  /** Epochs of a device, in the order in which they became known. */
  epochsOf(deviceId: DeviceId): Iterable<[Epoch, EpochLedger]> {
    return this.#devices.get(deviceId)?.epochs ?? []
  }

  *rows(): Iterable<LedgerRow> {
    for (const [deviceId, device] of this.#devices)
      for (const [epoch, { settled }] of device.epochs)
        for (const range of settled) yield { deviceId, epoch, ...range }
  }

  /** @returns false when the device has no room for it: nothing is staged then */
  stage(deviceId: DeviceId, epoch: Epoch, range: SequenceRange): boolean {
    const ledger = this.#roomFor(deviceId, epoch)
    if (ledger === undefined) return false
    if (ledger.rangeCount >= this.#limits.rangesPerEpochMax) {
      const { staged, settled } = ledger
      // What prolongs the last range needs no room.
      if (!(staged !== undefined && staged.count > 0 ? staged : settled).isProlongedBy(range)) return false
    }
    if (ledger.staged === undefined) {
      ledger.staged = new Ranges()
      this.#stagedEpochs.set(ledger, { deviceId, epoch })
    }
    ledger.staged.add(range)
    return true
  }

  /** @returns false when it was known, or there is no room */
  stageEnd({ deviceId, epoch, lastSeq }: EpochEnd): boolean {
    const ledger = this.#roomFor(deviceId, epoch)
    if (ledger === undefined || Math.max(ledger.endSeq ?? -1, ledger.stagedEndSeq ?? -1) >= lastSeq)
      return false
    ledger.stagedEndSeq = lastSeq
    this.#stagedEpochs.set(ledger, { deviceId, epoch })
    return true
  }

  stageInstant(device: DeviceLedger, timestampMs: number): void {
    device.covered.add(timestampMs)
    if (timestampMs <= device.stagedHighMs) return
    device.stagedHighMs = timestampMs
    this.#stagedDevices.add(device)
  }

  *stagedRows(): Iterable<LedgerRow> {
    for (const [ledger, { deviceId, epoch }] of this.#stagedEpochs)
      for (const range of ledger.staged ?? []) yield { deviceId, epoch, ...range }
  }

  /** The commit succeeded. */
  settle(): void {
    for (const ledger of this.#stagedEpochs.keys()) {
      for (const range of ledger.staged ?? []) ledger.settled.add(range)
      ledger.staged = undefined
      ledger.endSeq = ledger.stagedEndSeq ?? ledger.endSeq
      ledger.stagedEndSeq = undefined
    }
    for (const device of this.#stagedDevices) device.highMs = device.stagedHighMs
    this.#clearStaged()
  }

  /** The commit failed: nothing of it counts, and what comes again at its instants is looked up first. */
  discard(): void {
    for (const [ledger, { deviceId, epoch }] of this.#stagedEpochs) {
      ledger.staged = undefined
      ledger.stagedEndSeq = undefined
      if (ledger.settled.count === 0 && ledger.endSeq === undefined)
        this.#devices.get(deviceId)?.epochs.delete(epoch)
    }
    for (const device of this.#stagedDevices) device.stagedHighMs = device.highMs
    this.#clearStaged()
  }

  #clearStaged(): void {
    this.#stagedEpochs.clear()
    this.#stagedDevices.clear()
  }

  #roomFor(deviceId: DeviceId, epoch: Epoch): EpochLedger | undefined {
    const device = this.device(deviceId)
    const known = device.epochs.get(epoch)
    if (known !== undefined) return known
    if (device.epochs.size >= this.#limits.epochsPerDeviceMax) return undefined
    return this.#epochOf(deviceId, epoch)
  }

  #epochOf(deviceId: DeviceId, epoch: Epoch): EpochLedger {
    const { epochs } = this.device(deviceId)
    let ledger = epochs.get(epoch)
    if (ledger === undefined) {
      ledger = new EpochLedger()
      epochs.set(epoch, ledger)
    }
    return ledger
  }
}
