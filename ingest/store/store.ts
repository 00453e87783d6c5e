/**
 * The port to the store: what ingest asks of whatever keeps the readings.
 * Times are Unix milliseconds. Rows come back as stored; what they mean (lots, flags, windows of several devices)
 * is said above, the same for every store.
 */
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import type { Presence } from '../../core/contract/downlink.ts'
import type { QuarantineReason, Reading } from '../../core/contract/reading.ts'
import type { Assignment, Device, Lot } from '../../core/contract/registry.ts'
import type { EpochEnd, LedgerRow } from '../ledger.ts'
import type { WindowRun } from '../windows.ts'

/** A reading with where it came from, on its way into the store and out of it. */
export interface StoredReading {
  readonly deviceId: DeviceId
  readonly credentialId: string
  readonly receivedAtMs: number
  readonly epoch: Epoch | undefined
  readonly reading: Reading
}

export interface Instant {
  readonly deviceId: DeviceId
  readonly timestampMs: number
}

export interface QuarantineEntry {
  /** The same for the same thing: its identity, or what came. */
  readonly id: string
  readonly deviceId: DeviceId
  readonly credentialId: string
  readonly receivedAtMs: number
  readonly reason: QuarantineReason
  readonly epoch: Epoch | undefined
  readonly seq: number | undefined
  readonly timestampMs: number | undefined
  /** How often it came in this batch. */
  readonly count: number
  readonly content: string
  readonly contentHash: string
  readonly storedOccupied: number | null | undefined
}

/** As it is stored: `content` is null where the device's share was full. */
export interface QuarantineRecord extends Omit<QuarantineEntry, 'content'> {
  readonly content: string | null
}

export interface DeviceStatus {
  readonly deviceId: DeviceId
  readonly receivedAtMs: number
  /** JSON as it came. */
  readonly body: string
  /** Whether it stays when a newer one comes: because something has changed, or for the regular record of how it is. */
  readonly history?: 'change' | 'beat' | undefined
}

/** When a device takes readings, from an instant on: cron in UTC, as its status says. */
export interface ScheduleChange {
  readonly deviceId: DeviceId
  readonly sinceMs: number
  readonly cron: string
}

/** What has left quarantine, and who let it. */
export interface QuarantineRelease {
  readonly id: string
  readonly deviceId: DeviceId
  readonly releasedAtMs: number
  /** The subject of the token. */
  readonly releasedBy: string
}

/** Everything one commit makes durable. */
export interface StoreBatch {
  readonly readings: readonly StoredReading[]
  readonly ledger: Iterable<LedgerRow>
  readonly ends: readonly EpochEnd[]
  readonly quarantine: readonly QuarantineEntry[]
  readonly statuses: readonly DeviceStatus[]
  /** In quarantine no longer: kept with who released them, and found no more. Durable only with all the rest. */
  readonly released?: readonly QuarantineRelease[] | undefined
  /** Kept for ever. */
  readonly schedules: readonly ScheduleChange[]
}

/** What ingest keeps in memory, as the store has it. */
export interface StoredState {
  readonly ledger: readonly LedgerRow[]
  readonly ends: readonly EpochEnd[]
  /** The highest instant of each device. */
  readonly highs: readonly Instant[]
  /** Stretches in which devices have readings, both ends included: all of them, or undefined when that is not known. */
  readonly covered?: readonly DeviceSpan[] | undefined
  /** The newest status of each device. */
  readonly statuses: readonly DeviceStatus[]
  readonly schedules: readonly ScheduleChange[]
  /** The newest presence of each device. */
  readonly presence: readonly Presence[]
}

/** What provisioning says of places and of who is there. */
export interface StoredPlaces {
  readonly lots: readonly Lot[]
  readonly assignments: readonly Assignment[]
  readonly devices: readonly Device[]
}

/** A stretch of time in which a device counts; `toMs` exclusive. */
export interface DeviceSpan {
  readonly deviceId: DeviceId
  readonly fromMs: number
  readonly toMs: number
}

/** The readings of a span in a window, summed up. Windows without a reading are left out. */
export interface SpanWindow {
  /** Index into the spans asked for. */
  readonly span: number
  /** Number of the window, as the runs count. */
  readonly window: number
  /** Readings with a count. */
  readonly count: number
  /** Readings whose sensor was silent. */
  readonly silent: number
  readonly sum: number
  readonly min: number | null
  readonly max: number | null
  readonly first: number | null
  readonly last: number | null
  /** Readings that came over an hour after their instant. */
  readonly late: number
  /** The highest capacity that a reading of the window brings; null when none does. */
  readonly capacity: number | null
}

/** The windows of a span by number; undefined where there is no reading. */
export interface WindowsOfSpan {
  get(window: number): SpanWindow | undefined
}

/** In order of spans and windows. */
export interface SpanWindows extends Iterable<SpanWindow> {
  of(span: number): WindowsOfSpan
}

export interface ReadingsQuestion {
  readonly fromMs: number
  /** Exclusive. */
  readonly toMs: number
  /** Only what brokers had from then on; undefined: whenever. */
  readonly receivedFromMs?: number | undefined
  /** Undefined: every device, at any time. */
  readonly spans: readonly DeviceSpan[] | undefined
  readonly order: 'asc' | 'desc'
  readonly limit: number
  /** Only what comes after this one in the order asked for. */
  readonly after: Instant | undefined
}

export interface QuarantineQuestion {
  /** Undefined: every device. */
  readonly deviceIds: readonly DeviceId[] | undefined
  readonly reason: string | undefined
  /** Only these entries. */
  readonly ids?: readonly string[] | undefined
  readonly limit: number
  /** Newest first; only what comes after this one. */
  readonly after: { readonly receivedAtMs: number; readonly id: string } | undefined
}

/**
 * A day (UTC) whose readings are in a file of their own, its segment, and summed up in rollups.
 * It stays where it is in the table, too, until retention takes it out.
 */
export interface ClosedDay {
  /** Whole days since 1970-01-01. */
  readonly day: number
  /** Counts how often it was closed: readings that come later make it stale, and closing it again makes another segment. */
  readonly generation: number
  /** Its segment, relative to the folder of segments; empty when it had no readings left to keep. */
  readonly file: string
  readonly rows: number
  readonly bytes: number
  /** Of the segment, in hex. */
  readonly sha256: string
  /** Readings came since: they are in the table alone. */
  readonly isStale: boolean
  /** The generation that the archive holds. */
  readonly archived: number | undefined
  /** Where its readings are: in the table, too; in the segment alone (which the archive holds); nowhere any more. */
  readonly kept: 'table' | 'segment' | 'nothing'
}

/** Days as wholes: what is done with them when they are over. What changes them is asked one after the other, the rest at any time. */
export interface Days {
  /** Whether closed days have files; if not, nothing but sums is made of them. */
  readonly hasSegments: boolean
  /** Every closed day, oldest first. */
  closed(): readonly ClosedDay[]
  /** Days that have readings and were never closed, oldest first. */
  open(): readonly number[]
  /** Whether the readings of an instant's day are kept nowhere any more: what comes for it cannot be compared. */
  isGone(timestampMs: number): boolean
  /** Writes a day's segment and rollups; at the end, in one transaction, they take the place of those before. */
  close(day: number): Promise<ClosedDay>
  /** The archive holds this generation. */
  setArchived(day: number, generation: number): Promise<void>
  /**
   * Takes the readings of a day out of the table.
   * @returns false when readings have come since it was closed: then nothing is taken
   */
  evict(day: number, kept: 'segment' | 'nothing'): Promise<boolean>
  /**
   * Writes to a new Parquet file everything that the segments returned with it do not hold, as of one moment:
   * both together are all readings, each once. Columns as in a segment.
   */
  snapshot(file: string): Promise<readonly ClosedDay[]>
  /**
   * A file on this machine with the segment of a closed day.
   * @throws FleetError `store.unavailable` when it is not here and cannot be fetched
   */
  segmentFile(day: ClosedDay): Promise<string>
  /** Removes files of segments that nothing names any more and that are older than a day. */
  sweep(nowMs: number): Promise<void>
}

/** Some devices, and a stretch of time; `toMs` exclusive. */
export interface HistoryQuestion {
  readonly deviceIds: readonly DeviceId[]
  readonly fromMs: number
  readonly toMs: number
}

/** What a table was at one moment. */
export interface TableSum {
  readonly table: string
  readonly rows: number
  /** What the rows add up to, in whatever order they lie. */
  readonly sum: string
}

/** Reads are ended by the signal: the client has left. */
export interface StoreReader {
  /** What is stored at these instants; those without a reading are left out. */
  lookup(instants: readonly Instant[]): Promise<readonly StoredReading[]>
  readings(question: ReadingsQuestion, signal?: AbortSignal): Promise<readonly StoredReading[]>
  /** Readings of the spans before `toMs`, in windows of equal length, a run after the other. */
  windows(
    spans: readonly DeviceSpan[],
    runs: readonly WindowRun[],
    toMs: number,
    signal?: AbortSignal,
  ): Promise<SpanWindows>
  quarantine(question: QuarantineQuestion, signal?: AbortSignal): Promise<readonly QuarantineRecord[]>
  /** The statuses that were kept, in order of time. */
  statuses(question: HistoryQuestion, signal?: AbortSignal): Promise<readonly DeviceStatus[]>
  /** When devices came and went, in order of time; before that, what held at the beginning. */
  presence(question: HistoryQuestion, signal?: AbortSignal): Promise<readonly Presence[]>
}

export interface Store extends StoreReader {
  /** Made with the store, and kept in it and in its backups: tells it from every other. */
  readonly storeId: string
  /** What was committed so far; once, at start. */
  load(): Promise<StoredState>
  /**
   * Writes a batch and resolves when it is durable: a crash after this loses nothing of it.
   * One at a time. The caller has made sure that nothing in it is stored already.
   * @throws FleetError `store.unavailable`: nothing of it may be believed. A store without transactions may have kept
   *   some of its readings, and never a row of the ledger without its readings: so what comes again is looked up.
   */
  commit(batch: StoreBatch): Promise<void>
  /** Writes the ledger anew with these rows alone, which say the same as those that are there. */
  compact(rows: Iterable<LedgerRow>): Promise<void>
  /** Rows of the ledger in the store: when they are many more than needed, it is time to compact. */
  readonly ledgerRowCount: number
  loadPlaces(): Promise<StoredPlaces>
  /** Replaces what is kept of lots, assignments and devices. */
  savePlaces(places: StoredPlaces): Promise<void>
  /** Adds what is news of the presence of devices. */
  savePresence(presence: readonly Presence[]): Promise<void>
  /** Forgets regular statuses before one instant, changes of status and presence before another. */
  pruneHistory(before: { readonly beatsMs: number; readonly changesMs: number }): Promise<void>
  /** Undefined: this store closes no days. */
  readonly days: Days | undefined
  /**
   * Copies everything as of one moment to a file that is not there yet, and compares the two, while writing goes on.
   * Undefined: the store is backed up by its own means.
   * @returns what each table was
   */
  readonly backUp: ((file: string) => Promise<readonly TableSum[]>) | undefined
  /** Rejects with `store.unavailable` when nothing can be read. */
  check(): Promise<void>
  close(): Promise<void>
}
