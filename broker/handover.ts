/**
 * Gathers the messages of all connections into batches, hands them to ingest, and settles them in arrival order.
 * Nothing is kept here once it is settled, and a message that was not settled is still in its device's outbox:
 * on failure the connection is closed and the device sends again.
 *
 * Batches form by themselves: while `batchesInFlightMax` are under way, what arrives goes into the next one.
 */
import { createHash } from 'node:crypto'
import {
  frameBytes,
  frameHead,
  type HandoverMessage,
  readFrames,
  writeFrame,
} from '../core/contract/handover.ts'

/** Who is told what became of a message. */
export interface HandoverOwner {
  /** Ingest has it. */
  settled(packetId: number): void
  /** It could not be handed over: the connection has to go, and the device comes again. */
  failed(reason: string): void
}

/** What ingest said to a batch. */
export type Delivery =
  | { readonly outcome: 'settled'; readonly verdicts: readonly string[] }
  /** 400, 413: something in it is not acceptable, sending it again would not help. */
  | { readonly outcome: 'refused'; readonly status: number }
  | { readonly outcome: 'unavailable'; readonly error: unknown }

/** The way to ingest. `deliver` never rejects. */
export interface IngestLink {
  deliver(body: Uint8Array, timeoutMs: number): Promise<Delivery>
  isReady(): Promise<boolean>
}

export interface HandoverOptions {
  readonly link: IngestLink
  readonly batchMessagesMax: number
  readonly batchBytesMax: number
  readonly batchesInFlightMax: number
  /** How long a batch is tried from its first sending; then its connections are closed. Below the shortest keep-alive. */
  readonly deadlineMs: number
  /** Beyond this many bytes in memory, reading stops (`onPressure(true)`) until half of it is gone. */
  readonly bufferBytesSoft: number
  /** Beyond this the newest message's connection is closed. */
  readonly bufferBytesHard: number
  readonly onPressure: (isPressed: boolean) => void
  readonly onBatch?: (batch: { messages: number; bytes: number; tookMs: number }) => void
  /** For each batch whose messages are settled: how long the first of them was here. */
  readonly onSettled?: (waitedMs: number) => void
  /** Once when ingest goes away, once when it is back. */
  readonly onAvailability?: (isAvailable: boolean, error?: unknown) => void
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
  readonly wait: (ms: number) => Promise<unknown>
}

const retryMs = { first: 50, max: 1000 }
const probeMs = 250

export class Handover {
  readonly #options: HandoverOptions
  /** Buffers that are free for the next batch. */
  readonly #spare: Uint8Array[] = []
  #open: Batch
  #waiting: Batch[] = []
  /** In the order in which they arrived, which is the order in which they settle. */
  #flying: Batch[] = []
  #bytes = 0
  #isPressed = false
  #isScheduled = false
  #isAvailable = true
  #whenIdle: (() => void)[] = []

  constructor(options: HandoverOptions) {
    this.#options = options
    this.#open = this.#newBatch()
  }

  /** False from a missed deadline until ingest is ready again: new connections are then asked to come back later. */
  get isAvailable(): boolean {
    return this.#isAvailable
  }

  get bufferedBytes(): number {
    return this.#bytes
  }

  /**
   * Takes a message along in the next batch. `payload` is copied before this returns.
   * Exactly one of the owner's verbs is called for it, later.
   */
  offer(
    owner: HandoverOwner,
    message: { packetId: number; head: Uint8Array; receivedAtMs: number; payload: Uint8Array },
  ): void {
    const bytes = frameBytes(message.head, message.payload)
    if (!this.#isAvailable) {
      owner.failed('ingest is away')
      return
    }
    if (this.#bytes + bytes > this.#options.bufferBytesHard) {
      owner.failed('buffer is full')
      return
    }
    if (!this.#open.fits(bytes, this.#options.batchMessagesMax)) {
      this.#waiting.push(this.#open)
      this.#open = this.#newBatch()
    }
    if (this.#open.size === 0) this.#open.openedAtMs = this.#options.nowMs()
    this.#open.add(owner, message)
    this.#bytes += bytes
    if (!this.#isPressed && this.#bytes > this.#options.bufferBytesSoft) {
      this.#isPressed = true
      this.#options.onPressure(true)
    }
    this.#schedule()
  }

  /** Resolves when everything taken so far is settled or has failed. */
  async idle(): Promise<void> {
    if (this.#bytes === 0) return
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  #newBatch(): Batch {
    return new Batch(this.#spare.pop() ?? new Uint8Array(this.#options.batchBytesMax))
  }

  /** After this turn of the event loop, so that everything the sockets had goes along. */
  #schedule(): void {
    if (this.#isScheduled || this.#flying.length >= this.#options.batchesInFlightMax) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#launch()
    })
  }

  #launch(): void {
    while (this.#flying.length < this.#options.batchesInFlightMax) {
      let batch = this.#waiting.shift()
      if (batch === undefined) {
        if (this.#open.size === 0) return
        batch = this.#open
        this.#open = this.#newBatch()
      }
      this.#flying.push(batch)
      void this.#deliver(batch)
    }
  }

  async #deliver(batch: Batch): Promise<void> {
    const startMs = this.#options.nowMs()
    const verdicts = await this.#deliverBytes(batch.body(), startMs + this.#options.deadlineMs)
    // An answer that does not fit the batch says nothing about its messages.
    batch.isSettled = verdicts?.length === batch.size
    batch.isDone = true
    if (batch.isSettled) {
      this.#options.onBatch?.({
        messages: batch.size,
        bytes: batch.length,
        tookMs: this.#options.nowMs() - startMs,
      })
    }
    while (this.#flying[0]?.isDone) this.#complete(this.#flying.shift() as Batch) // the first is there: it is done
    this.#launch()
  }

  /**
   * @param isNote the body stands for a message that was refused: refusing that too is no answer
   * @returns the verdicts, or undefined when the deadline passed
   */
  async #deliverBytes(
    body: Uint8Array,
    deadlineMs: number,
    isNote = false,
  ): Promise<readonly string[] | undefined> {
    let waitMs = retryMs.first
    for (;;) {
      const remainingMs = Math.max(1, Math.ceil(deadlineMs - this.#options.nowMs()))
      const delivery = await this.#options.link.deliver(body, remainingMs)
      if (delivery.outcome === 'settled') return delivery.verdicts
      if (delivery.outcome === 'refused' && !isNote)
        return this.#deliverInParts(body, delivery.status, deadlineMs)
      if (this.#options.nowMs() + waitMs >= deadlineMs) {
        this.#becomeUnavailable(
          delivery.outcome === 'unavailable'
            ? delivery.error
            : new Error(`ingest answers ${delivery.status} to everything`),
        )
        return undefined
      }
      await this.#options.wait(waitMs)
      waitMs = Math.min(waitMs * 2, retryMs.max)
    }
  }

  /** Halves a refused body until the offender stands alone; that one goes on as a note of what it was, and ends in quarantine. */
  async #deliverInParts(
    body: Uint8Array,
    status: number,
    deadlineMs: number,
  ): Promise<readonly string[] | undefined> {
    const messages = readFrames(body)
    if (messages.length <= 1) {
      const [offender] = messages
      return offender === undefined ? [] : this.#deliverBytes(noteOf(offender, status), deadlineMs, true)
    }
    const middle = messages.length >> 1
    const verdicts: string[] = []
    for (const part of [messages.slice(0, middle), messages.slice(middle)]) {
      const partial = await this.#deliverBytes(bodyOf(part), deadlineMs)
      if (partial === undefined) return undefined
      verdicts.push(...partial)
    }
    return verdicts
  }

  #complete(batch: Batch): void {
    this.#bytes -= batch.length
    if (batch.isSettled) {
      batch.settle()
      this.#options.onSettled?.(this.#options.nowMs() - batch.openedAtMs)
    } else {
      batch.fail('ingest did not answer in time')
    }
    // Enough for what flies and what fills; more would only hold on to memory.
    if (this.#spare.length <= this.#options.batchesInFlightMax) this.#spare.push(batch.bytes)
    if (this.#isPressed && this.#bytes <= this.#options.bufferBytesSoft / 2) {
      this.#isPressed = false
      this.#options.onPressure(false)
    }
    if (this.#bytes === 0) for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  #becomeUnavailable(error: unknown): void {
    if (!this.#isAvailable) return
    this.#isAvailable = false
    this.#options.onAvailability?.(false, error)
    // What has not left yet would only meet the same deadline: let the devices keep it.
    const stranded = [...this.#waiting.splice(0), this.#open]
    this.#open = this.#newBatch()
    for (const batch of stranded) this.#complete(batch)
    void this.#probe()
  }

  async #probe(): Promise<void> {
    while (!(await this.#options.link.isReady())) await this.#options.wait(probeMs)
    this.#isAvailable = true
    this.#options.onAvailability?.(true)
  }
}

/** Frames in one buffer, and who waits for them. */
class Batch {
  readonly bytes: Uint8Array
  readonly #view: DataView
  readonly #owners: HandoverOwner[] = []
  readonly #packetIds: number[] = []
  length = 0
  /** When its first message came. */
  openedAtMs = 0
  isDone = false
  isSettled = false

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get size(): number {
    return this.#owners.length
  }

  fits(bytes: number, messagesMax: number): boolean {
    return this.length + bytes <= this.bytes.length && this.size < messagesMax
  }

  add(
    owner: HandoverOwner,
    message: { packetId: number; head: Uint8Array; receivedAtMs: number; payload: Uint8Array },
  ): void {
    this.length = writeFrame(this.bytes, this.#view, this.length, message)
    this.#owners.push(owner)
    this.#packetIds.push(message.packetId)
  }

  body(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  settle(): void {
    for (let i = 0; i < this.#owners.length; i++) {
      const owner = this.#owners[i] as HandoverOwner // i < length; both arrays grow together
      owner.settled(this.#packetIds[i] as number)
    }
  }

  fail(reason: string): void {
    for (const owner of new Set(this.#owners)) owner.failed(reason)
  }
}

function bodyOf(messages: readonly HandoverMessage[]): Uint8Array {
  const frames = messages.map((message) => ({ ...message, head: frameHead(message) }))
  const body = new Uint8Array(frames.reduce((sum, frame) => sum + frameBytes(frame.head, frame.payload), 0))
  const view = new DataView(body.buffer)
  let offset = 0
  for (const frame of frames) offset = writeFrame(body, view, offset, frame)
  return body
}

/** What stands for a message that ingest would not take: readable by people, and never a valid readings message. */
function noteOf(message: HandoverMessage, status: number): Uint8Array {
  const note = {
    refused: {
      status,
      bytes: message.payload.length,
      sha256: createHash('sha256').update(message.payload).digest('hex'),
    },
  }
  return bodyOf([{ ...message, payload: new TextEncoder().encode(JSON.stringify(note)) }])
}
