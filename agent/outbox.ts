/**
 * Store-and-forward as a state machine: what happened goes in, what to write, send and forget comes out.
 * It gives readings their identity (epoch, sequence), gathers them into messages within a window, and knows what
 * PUBACK has settled. It touches neither disk nor network and holds no more than the window needs: the rest of the
 * queue stays on disk and is asked for by `wants`.
 *
 * The queue, by sequence: settled │ in flight (told to the broker, may be stored already) │ read ahead │ on disk.
 * Only the last two may be dropped: of what is in flight nobody here knows whether it is stored.
 */
import type { Epoch } from '../core/contract/device.ts'
import { type DroppedRange, payloadBytesMax, payloadReadingsMax } from '../core/contract/payload.ts'
import {
  bytesOf,
  dropReasons,
  mergeRanges,
  type OutboxRecord,
  recordOf,
  type Taken,
  thinnedOf,
} from './outbox-record.ts'
import type { StampState } from './stamps.ts'

/** What is made durable together with readings, of those who made them. */
export interface Place {
  /** Where the sensor stands. */
  readonly position: string | undefined
  readonly stamps: StampState
}

/** Names the epoch before this one: its database could not be read any more. */
export interface PreviousEpoch {
  readonly epoch: Epoch
  readonly lastSeq: number
}

/** What the store found on disk. */
export interface OutboxContents {
  readonly epoch: Epoch
  /** No sequence from here on was ever given away. */
  readonly nextSeq: number
  /** The oldest reading there is; `nextSeq` when there is none. */
  readonly firstSeq: number
  /** How many readings there are. */
  readonly queued: number
  /** About how large they are. */
  readonly queuedBytes: number
  /** At the last append. */
  readonly place: Place
  /** Readings from here on have no stamp yet; undefined: all have. */
  readonly undatedFrom: number | undefined
  /** Where thinning goes on; undefined: none of what is there was thinned. */
  readonly thinFrom: number | undefined
  /** Let go of, and not yet known to have been told. */
  readonly dropped: readonly DroppedRange[]
  /** Not yet known to have been told. */
  readonly previous: PreviousEpoch | undefined
}

/** What must become durable in one step. */
export interface Append {
  readonly records: readonly OutboxRecord[]
  readonly nextSeq: number
  readonly place: Place
  readonly undatedFrom: number | undefined
  readonly thinFrom: number | undefined
  /** What must go first for these to fit, in bytes; 0 mostly. */
  readonly overflowBytes: number
  /** Readings were let go of with it, and the notes say which. */
  readonly isTold: boolean
}

/** What makes room for an append, in the same step. */
export interface Room {
  readonly deleted: readonly number[]
  readonly rewritten: readonly OutboxRecord[]
}

/** What happens at the byte limit. */
export type WhenFull = 'thin_oldest' | 'drop_oldest' | 'stop'

/** One message on its way. */
export interface Outgoing {
  /** Names the message until it is settled; never used again. */
  readonly id: number
  readonly payload: string
}

/** What PUBACK allows to be forgotten. */
export interface Settled {
  readonly sequences: readonly number[]
  /** Notes (`dropped`, `previous`) were told too: write what is left of them. */
  readonly notesChanged: boolean
}

/** What is still to be told besides readings. */
export interface Notes {
  readonly dropped: readonly DroppedRange[]
  readonly previous: PreviousEpoch | undefined
}

/** What to read from disk next: at most `limit` readings with `fromSeq ≤ seq < toSeq`. */
export interface ReadAhead {
  readonly fromSeq: number
  readonly toSeq: number
  readonly limit: number
}

export interface OutboxLimits {
  /** Messages without PUBACK at a time. */
  readonly windowMessages: number
  /** Beyond this readings are let go of, and said to be: which ones, `whenFull` says. */
  readonly bytesMax: number
  readonly whenFull: WhenFull
}

/** Nothing has to go. */
export const enoughRoom: Room = { deleted: [], rewritten: [] }

/**
 * Sequences between the oldest in flight and the newest at most: holes that PUBACKs in any order leave on disk
 * lie within it, so that opening need not look further to count them.
 */
export const flightSpanMax = 32_768
const readAheadRecords = 4 * payloadReadingsMax
/** Ranges told in one message; more wait for the next. */
const droppedPerMessage = 100
/** Each may tell of others that were thinned away before it. */
const readingsPerMessage = payloadReadingsMax - droppedPerMessage
/** About how large a range is in a message. */
const rangeBytes = 80

interface Flight {
  readonly sequences: readonly number[]
  readonly bytes: number
  readonly dropped: readonly DroppedRange[]
  readonly tellsPrevious: boolean
}

export class Outbox {
  readonly epoch: Epoch
  readonly #limits: OutboxLimits
  /** The next sequence to give away. */
  #nextSeq: number
  /** Everything below is durable. */
  #durableSeq: number
  /** Everything below has been taken or is read ahead. */
  #cursor: number
  #ahead: OutboxRecord[] = []
  /** First of `#ahead` that is not taken yet. */
  #aheadFrom = 0
  readonly #flights = new Map<number, Flight>()
  #nextId: number
  /** What is being read for `wants`; another order since then makes it worthless. */
  #wanted: ReadAhead | undefined
  #thinFrom: number | undefined
  /** None from here on is sent. */
  #undatedFrom: number | undefined
  #queued: number
  #queuedBytes: number
  #dropped: readonly DroppedRange[]
  #droppedReadings: number
  #previous: PreviousEpoch | undefined
  #previousIsTold = false

  /** @param firstId of its messages, which tells them from those of another outbox on the same connection */
  constructor(contents: OutboxContents, limits: OutboxLimits, firstId = 1) {
    this.epoch = contents.epoch
    this.#nextId = firstId
    this.#thinFrom = contents.thinFrom
    this.#limits = limits
    this.#nextSeq = contents.nextSeq
    this.#durableSeq = contents.nextSeq
    this.#cursor = contents.firstSeq
    this.#undatedFrom = contents.undatedFrom
    this.#queued = contents.queued
    this.#queuedBytes = contents.queuedBytes
    this.#dropped = contents.dropped
    this.#droppedReadings = contents.dropped.reduce((sum, { fromSeq, toSeq }) => sum + toSeq - fromSeq + 1, 0)
    this.#previous = contents.previous
  }

  /** Every sequence below it was given to a reading that is durable, or was. */
  get nextSeq(): number {
    return this.#durableSeq
  }

  /** Readings let go of since the outbox was opened, and those before that had not been told yet. */
  get droppedReadings(): number {
    return this.#droppedReadings
  }

  /** Readings that are durable and not settled. */
  get queued(): number {
    return this.#queued
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Messages without PUBACK. */
  get inFlight(): number {
    return this.#flights.size
  }

  /** Nothing is left to send or to hear of. */
  get isEmpty(): boolean {
    return this.#queued === 0 && this.#flights.size === 0 && this.#dropped.length === 0
  }

  /** Nothing is left that could be read, of an outbox whose readings nobody has counted. */
  get isDrained(): boolean {
    const isRead = this.#cursor >= this.#durableSeq && this.#aheadCount === 0
    return isRead && this.#flights.size === 0 && this.#dropped.length === 0
  }

  /**
   * Gives sequences. One append at a time: the next only after `committed`.
   * @param lost how many were taken before these and had to be forgotten; their sequences say so
   */
  keep(taken: readonly Taken[], place: Place, lost = 0): Append {
    const droppedBefore = this.#droppedReadings
    this.#letGo(lost, dropReasons.unwritten)
    if (this.#queued === 0) this.#thinFrom = undefined
    const fromSeq = this.#nextSeq
    const records = taken.map((one, i) => recordOf(fromSeq + i, one))
    const excess = this.#queuedBytes + bytesOf(records) - this.#limits.bytesMax
    if (excess > 0 && this.#limits.whenFull === 'stop') {
      this.#letGo(taken.length, dropReasons.full)
      return { ...this.#append([], place, 0), isTold: true }
    }
    this.#nextSeq += taken.length
    const undated = taken.findIndex(({ since }) => since !== undefined)
    if (undated >= 0) this.#undatedFrom ??= fromSeq + undated
    const isTold = this.#droppedReadings > droppedBefore
    return { ...this.#append(records, place, Math.max(0, excess)), isTold }
  }

  #append(records: readonly OutboxRecord[], place: Place, overflowBytes: number): Append {
    const { undatedFrom, thinFrom } = { undatedFrom: this.#undatedFrom, thinFrom: this.#thinFrom }
    return { records, nextSeq: this.#nextSeq, place, undatedFrom, thinFrom, overflowBytes, isTold: false }
  }

  /** The next sequences stand for readings that nobody will have. */
  #letGo(readings: number, reason: string): void {
    if (readings === 0) return
    const fromSeq = this.#nextSeq
    this.#nextSeq += readings
    this.#droppedReadings += readings
    this.#dropped = mergeRanges([...this.#dropped, { fromSeq, toSeq: this.#nextSeq - 1, reason }])
  }

  /** Readings without a stamp, to be read from disk and dated in runs; undefined: there are none. */
  undated(limit: number): ReadAhead | undefined {
    if (this.#undatedFrom === undefined) return undefined
    return { fromSeq: this.#undatedFrom, toSeq: this.#durableSeq, limit }
  }

  /**
   * Readings of an undated run, with their stamps: to be made durable like an append, then `dated`.
   * One run at a time, in order, and no append meanwhile.
   * @param limit what the run was read with
   */
  date(run: readonly OutboxRecord[], limit: number, place: Place): Append {
    const next = (run.at(-1)?.seq ?? this.#durableSeq) + 1
    const undatedFrom = run.length < limit || next >= this.#durableSeq ? undefined : next
    return { ...this.#append(run, place, 0), undatedFrom }
  }

  /** The run is durable: it may be sent. */
  dated(run: Append): void {
    this.#undatedFrom = run.undatedFrom
  }

  /** The oldest sequence that may be dropped. */
  get droppableFrom(): number {
    return this.#ahead[this.#aheadFrom]?.seq ?? this.#cursor
  }

  /**
   * Lets go of readings and remembers to tell. What was taken meanwhile stays; nothing goes when the connection
   * failed meanwhile, because then older ones have come back.
   * @param fromSeq `droppableFrom` when they were looked up
   * @param oldest every reading from there on, until enough bytes are gone
   * @returns what makes room, in the same step as the append
   */
  drop(fromSeq: number, oldest: readonly OutboxRecord[]): Room {
    if (this.droppableFrom < fromSeq) return enoughRoom
    const victims = oldest.filter(({ seq }) => seq >= this.droppableFrom)
    const last = victims.at(-1)
    if (last === undefined) return enoughRoom
    this.#cursor = Math.max(this.#cursor, last.seq + 1)
    while ((this.#ahead[this.#aheadFrom]?.seq ?? Number.POSITIVE_INFINITY) <= last.seq) this.#aheadFrom++
    const ranges = victims.map(({ seq, thinnedBefore = 0 }) => ({
      fromSeq: seq - thinnedBefore,
      toSeq: seq,
      reason: dropReasons.full,
    }))
    this.#dropped = mergeRanges([...this.#dropped, ...ranges])
    this.#droppedReadings += victims.length
    this.#leave(victims.length, bytesOf(victims))
    return { deleted: victims.map(({ seq }) => seq), rewritten: [] }
  }

  /**
   * Where to look for readings to thin away: the older half of the queue, from where thinning stands, and from the
   * oldest again when it is through. Undefined: it is too short for that.
   */
  thinnable(limit: number): ReadAhead | undefined {
    this.#forgetAhead()
    const middle = this.#cursor + Math.ceil((this.#durableSeq - this.#cursor) / 2)
    const isThrough = this.#thinFrom === undefined || this.#thinFrom >= middle - 1
    const fromSeq = isThrough ? this.#cursor : Math.max(this.#cursor, this.#thinFrom ?? 0)
    return middle - fromSeq < 2 ? undefined : { fromSeq, toSeq: middle, limit }
  }

  /**
   * Lets go of every second reading until enough bytes are gone; the one after it will tell. Nothing goes when what was
   * read is in flight, or when the connection failed meanwhile.
   * @param run every reading of `want`, or as many as its limit
   */
  thin(want: ReadAhead, run: readonly OutboxRecord[], bytes: number): Room & { readonly thinFrom: number } {
    const deleted: OutboxRecord[] = []
    const rewritten: OutboxRecord[] = []
    if (this.droppableFrom > want.fromSeq) return { ...enoughRoom, thinFrom: want.fromSeq }
    let at = 0
    for (let freed = 0; at + 1 < run.length && freed < bytes; ) {
      const [victim, next] = [run[at], run[at + 1]] as [OutboxRecord, OutboxRecord] // within the run
      const { thinnedBefore = 0 } = next
      // Between them may be one that is settled; that one must not be told as gone.
      if (next.seq - thinnedBefore - 1 !== victim.seq) {
        at++
        continue
      }
      deleted.push(victim)
      rewritten.push({ ...next, thinnedBefore: thinnedBefore + 1 + (victim.thinnedBefore ?? 0) })
      freed += victim.json.length
      at += 2
    }
    this.#thinFrom = run[at]?.seq ?? want.toSeq
    this.#forgetAhead()
    this.#droppedReadings += deleted.length
    this.#leave(deleted.length, bytesOf(deleted))
    return { deleted: deleted.map(({ seq }) => seq), rewritten, thinFrom: this.#thinFrom }
  }

  /** The append is durable: from here on its readings may be sent. */
  committed(append: Append): void {
    this.#queued += append.records.length
    this.#queuedBytes += bytesOf(append.records)
    const follows =
      this.#cursor === this.#durableSeq &&
      this.#aheadCount < readAheadRecords &&
      this.#undatedFrom === undefined
    this.#durableSeq = append.nextSeq
    if (!follows) return
    this.#ahead.push(...append.records)
    this.#cursor = append.nextSeq
  }

  /** What to read from disk now, so that messages can be made; undefined while there is enough at hand. */
  wants(): ReadAhead | undefined {
    const toSeq = this.#undatedFrom ?? this.#durableSeq
    if (this.#cursor >= toSeq || this.#aheadCount >= readAheadRecords / 2) return undefined
    this.#wanted = { fromSeq: this.#cursor, toSeq, limit: readAheadRecords }
    return this.#wanted
  }

  /** What was read for `want`. Ignored when the connection failed or readings went since it was asked for. */
  loaded(want: ReadAhead, records: readonly OutboxRecord[]): void {
    if (want !== this.#wanted || want.fromSeq !== this.#cursor) return
    this.#ahead.push(...records)
    const last = records.at(-1)
    // Fewer than asked for: the rest of the range are holes.
    this.#cursor = records.length < want.limit || last === undefined ? want.toSeq : last.seq + 1
  }

  /** The next message within the window, as large as it may be; undefined when there is nothing to send now. */
  take(): Outgoing | undefined {
    if (this.#flights.size >= this.#limits.windowMessages) return undefined
    const dropped = this.#dropped.slice(0, droppedPerMessage)
    const previous = this.#previousIsTold ? undefined : this.#previous
    const notes = previous === undefined ? '' : `,"previous":${JSON.stringify(previous)}`
    const head = `{"v":1,"epoch":"${this.epoch}","readings":[`
    const frame = head.length + notes.length + ']}'.length
    const records = this.#takeAhead(payloadBytesMax - frame - rangeBytes * (dropped.length + 1))
    if (records.length === 0 && (dropped.length === 0 || this.#cursor < this.#durableSeq)) return undefined

    const id = this.#nextId++
    this.#dropped = this.#dropped.slice(dropped.length)
    if (previous !== undefined) this.#previousIsTold = true
    this.#flights.set(id, {
      sequences: records.map(({ seq }) => seq),
      bytes: bytesOf(records),
      dropped,
      tellsPrevious: previous !== undefined,
    })
    const ranges = [...dropped, ...thinnedOf(records)]
    const told = ranges.length === 0 ? '' : `,"dropped":${JSON.stringify(ranges)}`
    return { id, payload: `${head}${records.map(({ json }) => json).join(',')}]${told}${notes}}` }
  }

  /** PUBACK. @returns undefined for a message that is not in flight (any more) */
  settle(id: number): Settled | undefined {
    const flight = this.#flights.get(id)
    if (flight === undefined) return undefined
    this.#flights.delete(id)
    if (flight.tellsPrevious) this.#previous = undefined
    this.#leave(flight.sequences.length, flight.bytes)
    return { sequences: flight.sequences, notesChanged: flight.tellsPrevious || flight.dropped.length > 0 }
  }

  /** The connection is gone: what was in flight is to be sent again, in order. */
  fail(): void {
    const flights = [...this.#flights.values()]
    this.#flights.clear()
    this.#dropped = mergeRanges([...flights.flatMap(({ dropped }) => dropped), ...this.#dropped])
    this.#previousIsTold = false
    const sequences = flights.flatMap((flight) => flight.sequences.slice(0, 1))
    this.#forgetAhead()
    this.#cursor = Math.min(this.#cursor, ...sequences)
  }

  /** What is not taken is on disk, where it may change. */
  #forgetAhead(): void {
    this.#cursor = this.droppableFrom
    this.#ahead = []
    this.#aheadFrom = 0
    this.#wanted = undefined
  }

  /** Everything that is not known to have been told, whether in flight or not. */
  notes(): Notes {
    const inFlight = [...this.#flights.values()].flatMap(({ dropped }) => dropped)
    return { dropped: mergeRanges([...inFlight, ...this.#dropped]), previous: this.#previous }
  }

  get #aheadCount(): number {
    return this.#ahead.length - this.#aheadFrom
  }

  #takeAhead(bytesMax: number): OutboxRecord[] {
    const oldest = this.#oldestInFlight()
    let end = this.#aheadFrom
    for (let bytes = 0; end < this.#ahead.length && end - this.#aheadFrom < readingsPerMessage; end++) {
      const record = this.#ahead[end] as OutboxRecord // end < length
      bytes += record.json.length + 1 + (record.thinnedBefore === undefined ? 0 : rangeBytes)
      if (bytes > bytesMax || record.seq - oldest >= flightSpanMax) break
    }
    const taken = this.#ahead.slice(this.#aheadFrom, end)
    this.#aheadFrom = end
    if (this.#aheadFrom > readAheadRecords) {
      this.#ahead = this.#ahead.slice(this.#aheadFrom)
      this.#aheadFrom = 0
    }
    return taken
  }

  #oldestInFlight(): number {
    for (const { sequences } of this.#flights.values()) if (sequences[0] !== undefined) return sequences[0]
    return Number.POSITIVE_INFINITY
  }

  #leave(readings: number, bytes: number): void {
    this.#queued -= readings
    // Sizes found at opening are an estimate; an empty queue is known exactly.
    this.#queuedBytes = this.#queued === 0 ? 0 : Math.max(0, this.#queuedBytes - bytes)
  }
}
