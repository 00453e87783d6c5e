import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  enoughRoom,
  flightSpanMax,
  Outbox,
  type OutboxContents,
  type OutboxLimits,
  type Room,
  type WhenFull,
} from '../../../agent/outbox.ts'
import type { OutboxRecord } from '../../../agent/outbox-record.ts'
import { type Epoch, parseEpoch } from '../../../core/contract/device.ts'
import {
  type DroppedRange,
  parseReadingsMessage,
  payloadBytesMax,
  payloadReadingsMax,
  type ReadingsEnvelope,
} from '../../../core/contract/payload.ts'
import type { Reading } from '../../../core/contract/reading.ts'
import { placeOf, takenOf } from './taken.ts'

const epoch = parseEpoch('9f0c3a77d1e2b465') as Epoch
const fresh: OutboxContents = {
  epoch,
  nextSeq: 0,
  firstSeq: 0,
  queued: 0,
  queuedBytes: 0,
  place: placeOf(),
  undatedFrom: undefined,
  thinFrom: undefined,
  dropped: [],
  previous: undefined,
}
const roomy = { windowMessages: 50, bytesMax: 2 ** 30, whenFull: 'drop_oldest' as WhenFull }
const observation = (timestampMs: number) => ({ timestampMs, occupied: timestampMs % 500, capacity: 500 })
const observations = (fromMs: number, count: number) =>
  Array.from({ length: count }, (_, i) => observation(fromMs + i))

/** Keeps and commits, with nothing on disk but what fits into memory. */
function filled(count: number, limits = roomy): Outbox {
  const outbox = new Outbox(fresh, limits)
  outbox.committed(outbox.keep(takenOf(observations(0, count)), placeOf()))
  return outbox
}

function read(payload: string): Omit<ReadingsEnvelope, 'readings'> & { readings: readonly Reading[] } {
  const envelope = parseReadingsMessage(payload)
  if (typeof envelope === 'string') throw new Error(envelope)
  return { ...envelope, readings: envelope.readings as readonly Reading[] }
}

describe('outbox', () => {
  it('sends nothing that is not durable yet', () => {
    const outbox = new Outbox(fresh, roomy)
    const append = outbox.keep(takenOf([observation(1)]), placeOf())
    expect(outbox.take()).toBeUndefined()
    outbox.committed(append)
    expect(outbox.take()?.payload).toContain('"seq":0')
  })

  it('says nothing of what a silent sensor did not count, and never zero', () => {
    const outbox = new Outbox(fresh, roomy)
    outbox.committed(outbox.keep(takenOf([{ timestampMs: 1, occupied: null, sensor: 'silent' }]), placeOf()))
    expect(read(outbox.take()?.payload ?? '').readings).toEqual([
      { seq: 0, timestampMs: 1, occupied: null, clock: 'synced', sensor: 'silent' },
    ])
  })

  it('gathers a backlog into messages within the limits of the contract', () => {
    const outbox = filled(1700)
    const sizes: number[] = []
    for (let message = outbox.take(); message !== undefined; message = outbox.take()) {
      expect(Buffer.byteLength(message.payload)).toBeLessThanOrEqual(payloadBytesMax)
      sizes.push(read(message.payload).readings.length)
    }
    expect(sizes.reduce((sum, size) => sum + size)).toBe(1700)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(payloadReadingsMax)
    expect(sizes.length).toBeLessThan(6)
  })

  it('has no more messages in flight than the window', () => {
    const outbox = new Outbox(fresh, { ...roomy, windowMessages: 2 })
    const ids: number[] = []
    for (let i = 0; i < 4; i++) {
      outbox.committed(outbox.keep(takenOf([observation(i)]), placeOf()))
      const message = outbox.take()
      if (message !== undefined) ids.push(message.id)
    }
    expect(ids).toHaveLength(2)
    outbox.settle(ids[1] ?? 0)
    expect(read(outbox.take()?.payload ?? '').readings.map(({ seq }) => seq)).toEqual([2, 3])
  })

  it('forgets exactly what a PUBACK settles, in whatever order they come', () => {
    const outbox = filled(1200)
    const first = outbox.take()
    const second = outbox.take()
    const late = outbox.settle(second?.id ?? 0)?.sequences ?? []
    expect(late[0]).toBe(read(second?.payload ?? '').readings[0]?.seq)
    expect(outbox.settle(second?.id ?? 0)).toBeUndefined()
    expect(outbox.settle(first?.id ?? 0)?.sequences[0]).toBe(0)
    expect(outbox.queued).toBe(1200 - late.length - read(first?.payload ?? '').readings.length)
  })

  it('sends again, in order, what was in flight when the connection failed', () => {
    const outbox = filled(3)
    const lost = outbox.take()
    outbox.fail()
    expect(outbox.settle(lost?.id ?? 0)).toBeUndefined()
    const want = outbox.wants()
    expect(want).toMatchObject({ fromSeq: 0, toSeq: 3 })
    if (want === undefined) return
    outbox.loaded(
      want,
      read(lost?.payload ?? '').readings.map((reading) => ({
        seq: reading.seq ?? 0,
        json: JSON.stringify(reading),
      })),
    )
    expect(outbox.take()?.payload).toBe(lost?.payload)
  })

  it('drops the oldest when it is full, never what is in flight, and tells in the next message', () => {
    const outbox = filled(20)
    const bytes = outbox.queuedBytes
    const full = new Outbox(fresh, { ...roomy, windowMessages: 1, bytesMax: bytes })
    const append = full.keep(takenOf(observations(0, 20)), placeOf())
    full.committed(append)
    const sent = full.take()
    full.committed(full.keep(takenOf(observations(20, 20)), placeOf()))
    const next = full.keep(takenOf(observations(40, 5)), placeOf())
    expect(next.overflowBytes).toBeGreaterThan(0)
    const oldest: OutboxRecord[] = observations(20, 3).map((o) => ({
      seq: o.timestampMs,
      json: 'x'.repeat(80),
    }))
    expect(full.drop(full.droppableFrom, [{ seq: 19, json: '' }, ...oldest])).toMatchObject({
      deleted: [20, 21, 22],
    })
    full.committed(next)
    full.settle(sent?.id ?? 0)
    const told = full.take()
    expect(read(told?.payload ?? '').dropped).toEqual([{ fromSeq: 20, toSeq: 22, reason: 'outbox_full' }])
    expect(read(told?.payload ?? '').readings[0]?.seq).toBe(23)
    expect(full.notes().dropped).toHaveLength(1)
    expect(full.settle(told?.id ?? 0)?.notesChanged).toBe(true)
    expect(full.notes().dropped).toEqual([])
  })

  it('names the epoch before it until that is known to have been heard', () => {
    const previous = { epoch: parseEpoch('00aa11bb22cc33dd') as Epoch, lastSeq: 40_211 }
    const outbox = new Outbox({ ...fresh, previous }, roomy)
    outbox.committed(outbox.keep(takenOf(observations(0, 1000)), placeOf()))
    const first = outbox.take()
    expect(read(first?.payload ?? '').previous).toEqual(previous)
    const second = outbox.take()
    expect(read(second?.payload ?? '').previous).toBeUndefined()
    outbox.settle(second?.id ?? 0)
    expect(outbox.notes().previous).toEqual(previous)
    expect(outbox.settle(first?.id ?? 0)?.notesChanged).toBe(true)
    expect(outbox.notes().previous).toBeUndefined()
  })

  it('keeps what is in flight within a span, so that opening finds every hole near the front', () => {
    const outbox = new Outbox(
      { ...fresh, nextSeq: 100_000, queued: 100_000, queuedBytes: 1e7 },
      { ...roomy, windowMessages: 1000 },
    )
    const taken: number[] = []
    for (;;) {
      const want = outbox.wants()
      if (want !== undefined)
        outbox.loaded(
          want,
          observations(want.fromSeq, want.limit).map((o) => ({ seq: o.timestampMs, json: '{}' })),
        )
      const message = outbox.take()
      if (message === undefined) break
      // All but the oldest are settled at once.
      const sequences = taken.length === 0 ? [0] : (outbox.settle(message.id)?.sequences ?? [])
      taken.push(...sequences)
    }
    expect(Math.max(...taken)).toBeLessThan(flightSpanMax)
    expect(Math.max(...taken)).toBeGreaterThan(flightSpanMax - payloadReadingsMax)
  })
})

/** `expect` for what is checked a million times. */
function must(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise)
}

/** What LevelDB promises: synced appends stay, unsynced deletions may be lost from the newest on. */
class Disk {
  readonly records = new Map<number, OutboxRecord>()
  nextSeq = 0
  position: string | undefined
  dropped: readonly DroppedRange[] = []
  thinFrom: number | undefined
  #unsynced: { records: OutboxRecord[]; dropped: readonly DroppedRange[] }[] = []

  append(append: ReturnType<Outbox['keep']>, room: Room, notes: readonly DroppedRange[]): void {
    for (const seq of room.deleted) this.records.delete(seq)
    for (const record of [...append.records, ...room.rewritten]) this.records.set(record.seq, record)
    if (room.deleted.length > 0 || append.isTold) this.dropped = notes
    this.thinFrom = append.thinFrom
    this.nextSeq = append.nextSeq
    this.position = append.place.position
    this.#unsynced = []
  }

  forget(sequences: readonly number[], notes: readonly DroppedRange[] | undefined): void {
    const records = sequences.flatMap((seq) => this.records.get(seq) ?? [])
    this.#unsynced.push({ records, dropped: this.dropped })
    for (const seq of sequences) this.records.delete(seq)
    if (notes !== undefined) this.dropped = notes
  }

  powerCut(part: number): void {
    const from = Math.floor(this.#unsynced.length * part)
    for (const lost of this.#unsynced.splice(from).reverse()) {
      for (const record of lost.records) this.records.set(record.seq, record)
      this.dropped = lost.dropped
    }
  }

  sorted(fromSeq: number, toSeq = Number.POSITIVE_INFINITY): OutboxRecord[] {
    return [...this.records.values()]
      .filter(({ seq }) => seq >= fromSeq && seq < toSeq)
      .sort((a, b) => a.seq - b.seq)
  }

  open(): OutboxContents {
    const sorted = this.sorted(0)
    return {
      ...fresh,
      nextSeq: this.nextSeq,
      firstSeq: sorted[0]?.seq ?? this.nextSeq,
      queued: sorted.length,
      queuedBytes: sorted.reduce((sum, { json }) => sum + json.length, 0),
      place: placeOf(this.position),
      dropped: this.dropped,
      thinFrom: this.thinFrom,
    }
  }
}

/** A device whose disk, network and power do as they are told, and the server it reports to. */
class World {
  readonly disk = new Disk()
  readonly #limits: OutboxLimits
  #outbox: Outbox
  #flights: { id: number; payload: string }[] = []
  /** By sequence; the server must never see two values under one identity. */
  readonly stored = new Map<number, number>()
  readonly droppedTold = new Set<number>()

  constructor(limits: OutboxLimits) {
    this.#limits = limits
    this.#outbox = new Outbox(this.disk.open(), limits)
  }

  keep(count: number, crash: 'none' | 'before' | 'after'): void {
    // The source continues where the committed position says: an observation's time is its place in the source.
    const from = Number(this.disk.position ?? 0)
    const append = this.#outbox.keep(takenOf(observations(from, count)), placeOf(String(from + count)))
    const { thinFrom = append.thinFrom, ...room } =
      append.overflowBytes > 0 ? this.#makeRoom(append.overflowBytes) : { ...enoughRoom }
    if (crash !== 'before') this.disk.append({ ...append, thinFrom }, room, this.#outbox.notes().dropped)
    if (crash === 'none') this.#outbox.committed(append)
    else this.reopen()
  }

  #makeRoom(bytes: number): Room & { thinFrom?: number } {
    if (this.#limits.whenFull === 'thin_oldest') {
      const want = this.#outbox.thinnable(1000)
      if (want !== undefined) {
        const run = this.disk.sorted(want.fromSeq, want.toSeq).slice(0, want.limit)
        const room = this.#outbox.thin(want, run, bytes)
        if (room.deleted.length > 0) return room
      }
    }
    const fromSeq = this.#outbox.droppableFrom
    let found = 0
    const oldest = this.disk.sorted(fromSeq).filter(({ json }) => {
      found += json.length
      return found - json.length < bytes
    })
    return this.#outbox.drop(fromSeq, oldest)
  }

  send(): boolean {
    const want = this.#outbox.wants()
    if (want !== undefined)
      this.#outbox.loaded(want, this.disk.sorted(want.fromSeq, want.toSeq).slice(0, want.limit))
    const message = this.#outbox.take()
    if (message === undefined) return want !== undefined
    expect(Buffer.byteLength(message.payload)).toBeLessThanOrEqual(payloadBytesMax)
    this.#flights.push(message)
    expect(this.#flights.length).toBeLessThanOrEqual(this.#limits.windowMessages)
    return true
  }

  /** The server has it; the PUBACK may get lost. */
  arrive(which: number, pubackArrives: boolean): void {
    const [message] = this.#flights.splice(which % Math.max(1, this.#flights.length), 1)
    if (message === undefined) return
    const { readings, dropped } = read(message.payload)
    for (const { seq = -1, timestampMs } of readings) {
      must((this.stored.get(seq) ?? timestampMs) === timestampMs, 'one identity has two values')
      must(seq < this.disk.nextSeq, 'a reading was sent before it was durable')
      this.stored.set(seq, timestampMs)
    }
    for (const { fromSeq, toSeq } of dropped)
      for (let seq = fromSeq; seq <= toSeq; seq++) this.droppedTold.add(seq)
    if (!pubackArrives) {
      this.fail()
      return
    }
    const settled = this.#outbox.settle(message.id)
    if (settled === undefined) throw new Error('a PUBACK settles nothing')
    this.disk.forget(settled.sequences, settled.notesChanged ? this.#outbox.notes().dropped : undefined)
  }

  fail(): void {
    this.#flights = []
    this.#outbox.fail()
  }

  reopen(): void {
    this.#flights = []
    this.#outbox = new Outbox(this.disk.open(), this.#limits)
  }

  drain(): void {
    while (!this.#outbox.isEmpty) {
      if (!this.send() && this.#flights.length === 0) throw new Error('the outbox is stuck')
      while (this.#flights.length > 0) this.arrive(0, true)
    }
  }

  get queued(): number {
    return this.#outbox.queued
  }
}

const keep = fc.record({
  do: fc.constant('keep' as const),
  count: fc.integer({ min: 1, max: 700 }),
  crash: fc.constantFrom(
    'none' as const,
    'none' as const,
    'none' as const,
    'before' as const,
    'after' as const,
  ),
})
const send = fc.record({ do: fc.constant('send' as const) })
const arrive = fc.record({ do: fc.constant('arrive' as const), which: fc.nat(9), puback: fc.boolean() })
const fail = fc.record({ do: fc.constant('fail' as const) })
const kill = fc.record({ do: fc.constant('kill' as const) })
const powerCut = fc.record({
  do: fc.constant('powerCut' as const),
  part: fc.double({ min: 0, max: 1, noNaN: true }),
})
const step = fc.oneof(
  { arbitrary: keep, weight: 4 },
  { arbitrary: send, weight: 5 },
  { arbitrary: arrive, weight: 3 },
  { arbitrary: fail, weight: 1 },
  { arbitrary: kill, weight: 1 },
  { arbitrary: powerCut, weight: 1 },
)

describe('outbox, whatever happens', () => {
  it('loses nothing that was durable, doubles nothing, and says what it dropped', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 50, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(20_000, 80_000, 2 ** 30),
        fc.constantFrom<WhenFull>('thin_oldest', 'drop_oldest', 'stop'),
        (steps, windowMessages, bytesMax, whenFull) => {
          const world = new World({ windowMessages, bytesMax, whenFull })
          for (const now of steps) {
            if (now.do === 'keep') world.keep(now.count, now.crash)
            else if (now.do === 'send') world.send()
            else if (now.do === 'arrive') world.arrive(now.which, now.puback)
            else if (now.do === 'fail') world.fail()
            else {
              if (now.do === 'powerCut') world.disk.powerCut(now.part)
              world.reopen()
            }
            expect(world.queued).toBe(world.disk.records.size)
          }
          world.drain()

          expect(world.disk.records.size).toBe(0)
          for (let seq = 0; seq < world.disk.nextSeq; seq++) {
            // Position and sequence never part: no observation of the source is skipped or repeated.
            must((world.stored.get(seq) ?? seq) === seq, 'the source was skipped or repeated')
            must(world.stored.has(seq) || world.droppedTold.has(seq), `${seq} is lost without a word`)
          }
          expect(world.stored.size).toBeLessThanOrEqual(world.disk.nextSeq)
        },
      ),
      { numRuns: 100 },
    )
  })
})
