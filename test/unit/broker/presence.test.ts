import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type PresenceBatch, PresenceBook } from '../../../broker/presence.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import type { Presence, PresenceAnswer } from '../../../core/contract/downlink.ts'
import { judgePresence } from '../../../provisioning/presence.ts'
import { emptySnapshot } from '../../kit/issuer.ts'

const deviceId = parseDeviceId('gate-1') as DeviceId

/** One broker with its connections, each closed when the book says so. */
class TestBroker {
  readonly brokerId: string
  readonly book: PresenceBook
  readonly takeovers: unknown[] = []
  live: string | undefined
  #serial = 0

  constructor(brokerId: string, now: () => number) {
    this.brokerId = brokerId
    this.book = new PresenceBook({
      brokerId,
      now,
      onSuperseded: (_device, connectionId) => this.close(connectionId),
      onTakenOver: (between) => this.takeovers.push(between),
      onNews: () => undefined,
    })
  }

  /** As the gate does it: a connection here replaces the one that is here. */
  connect(): void {
    this.close(this.live)
    this.live = String(++this.#serial)
    this.book.connected(this.here(this.live))
  }
  close(connectionId: string | undefined): void {
    if (connectionId === undefined || this.live !== connectionId) return
    this.live = undefined
    this.book.closed(this.here(connectionId))
  }
  here = (connectionId: string) => ({ deviceId, connectionId, remoteAddress: `at-${this.brokerId}` })
}

/** Provisioning, in short: it judges reports one after the other, and what is news goes on the feed. */
class TestRegistry {
  readonly feed: Presence[] = []
  known: Presence | undefined
  readonly #heard = new Map<string, number>()

  report(brokerId: string, sentAtMs: number, batch: PresenceBatch, nowMs: number): PresenceAnswer {
    const before = this.#heard.get(brokerId)
    if (before !== undefined && before >= sentAtMs) return { superseded: [], isNew: false }
    this.#heard.set(brokerId, sentAtMs)
    const superseded: string[] = []
    for (const news of batch.presence) {
      const said = { ...news, brokerId, atMs: news.atMs + nowMs - sentAtMs }
      const verdict = judgePresence(this.known, said)
      if (verdict === 'superseded') superseded.push(said.connectionId)
      if (verdict === 'news') this.#note(said)
    }
    return { superseded, isNew: before === undefined }
  }
  /** It was silent for too long. */
  forget(brokerId: string, nowMs: number): void {
    this.#heard.delete(brokerId)
    if (this.known?.connected && this.known.brokerId === brokerId)
      this.#note({ ...this.known, connected: false, atMs: nowMs })
  }
  snapshot = () => ({ ...emptySnapshot, presence: this.known?.connected ? [this.known] : [] })
  #note(said: Presence): void {
    this.known = said
    this.feed.push(said)
  }
}

const brokerCount = 3
const which = fc.nat({ max: brokerCount - 1 })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('connect' as const), at: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), at: which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('report' as const), at: which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('hear' as const), at: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose request' as const), at: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose answer' as const), at: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), at: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('snapshot' as const), at: which }) },
)

/** Everything that may go wrong on the way, in any order; at the end all that is left arrives. */
function play(steps: readonly { do: string; at: number }[], skewsMs: readonly number[]): TestBroker[] {
  let nowMs = 1_000_000
  const registry = new TestRegistry()
  const brokers = skewsMs.map((skewMs, i) => new TestBroker(`b${i}`, () => nowMs + skewMs))
  const heard = brokers.map(() => 0)
  const exchange = (at: number, arrives: 'whole' | 'no request' | 'no answer') => {
    const { book, brokerId } = brokers[at] as TestBroker // at is one of them
    const batch = book.take()
    const sentAtMs = nowMs + (skewsMs[at] ?? 0)
    nowMs += 2
    if (arrives === 'no request') return book.failed(batch)
    const answer = registry.report(brokerId, sentAtMs, batch, nowMs)
    if (arrives === 'no answer') book.failed(batch)
    else book.answered(answer)
  }
  const hear = (at: number) => {
    const data = registry.feed[heard[at] ?? 0]
    if (data === undefined) return
    heard[at] = (heard[at] ?? 0) + 1
    brokers[at]?.book.hear({ type: 'presence', data })
  }
  for (const { do: what, at } of steps) {
    nowMs += 1
    if (what === 'connect') brokers[at]?.connect()
    if (what === 'close') brokers[at]?.close(brokers[at]?.live)
    if (what === 'report') exchange(at, 'whole')
    if (what === 'lose request') exchange(at, 'no request')
    if (what === 'lose answer') exchange(at, 'no answer')
    if (what === 'forget') registry.forget(`b${at}`, nowMs)
    if (what === 'hear') hear(at)
    if (what === 'snapshot') {
      heard[at] = registry.feed.length
      brokers[at]?.book.hear({ type: 'snapshot', data: registry.snapshot() })
    }
  }
  for (let round = 0; round < 10; round++) {
    for (const at of brokers.keys()) {
      exchange(at, 'whole')
      while ((heard[at] ?? 0) < registry.feed.length) hear(at)
    }
  }
  const alive = brokers.filter(({ live }) => live !== undefined)
  const known = registry.known?.connected
    ? `${registry.known.brokerId}/${registry.known.connectionId}`
    : undefined
  expect(alive.map(({ brokerId, live }) => `${brokerId}/${live}`)).toEqual(known === undefined ? [] : [known])
  return alive
}

describe('of one device at several brokers', () => {
  const skews = fc.array(fc.integer({ min: -3_600_000, max: 3_600_000 }), {
    minLength: brokerCount,
    maxLength: brokerCount,
  })

  it('one connection is left at most, and everybody knows which, whatever is lost on the way', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), skews, (steps, skewsMs) => void play(steps, skewsMs)),
      { numRuns: 1000 },
    )
  })

  it('one connection is left at least: two that come at the same moment never end each other', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), skews, which, (steps, skewsMs, at) => {
        const staying = steps.filter(({ do: what }) => what !== 'close')
        expect(play([{ do: 'connect', at }, ...staying], skewsMs)).toHaveLength(1)
      }),
      { numRuns: 1000 },
    )
  })

  it('the newer stays when both have been heard of, by one clock whatever the brokers’ say', () => {
    const left = play(
      [
        { do: 'connect', at: 0 },
        { do: 'report', at: 0 },
        { do: 'hear', at: 0 },
        { do: 'connect', at: 1 },
      ],
      [3_600_000, -3_600_000, 0],
    )
    expect(left.map(({ brokerId }) => brokerId)).toEqual(['b1'])
  })
})

describe('the book of a broker', () => {
  const setUp = () => new TestBroker('here', () => 5)
  const elsewhere: Presence = {
    deviceId,
    connected: true,
    brokerId: 'there',
    connectionId: '9',
    address: 'at-there',
    atMs: 0,
  }

  it('tells of each device what holds now, and again what did not arrive, unless it has changed since', () => {
    const { book, ...broker } = setUp()
    void broker
    const here = { deviceId, connectionId: '1', remoteAddress: 'x' }
    book.connected(here)
    const first = book.take()
    expect(first.presence).toEqual([{ deviceId, connectionId: '1', connected: true, address: 'x', atMs: 5 }])
    expect(book.take().presence).toEqual([])
    book.failed(first)
    expect(book.take()).toEqual(first)
    book.closed(here)
    book.failed(first)
    expect(book.take().presence).toEqual([{ deviceId, connectionId: '1', connected: false, atMs: 5 }])
  })

  it('names both addresses of a takeover at other brokers, and counts none of its own twice', () => {
    const broker = setUp()
    broker.book.hear({ type: 'presence', data: elsewhere })
    broker.book.hear({ type: 'presence', data: { ...elsewhere, brokerId: 'third', address: 'at-third' } })
    const own = (connectionId: string) => ({
      ...elsewhere,
      brokerId: 'here',
      connectionId,
      address: 'at-here',
    })
    broker.book.hear({ type: 'presence', data: own('1') })
    broker.book.hear({ type: 'presence', data: own('2') })
    expect(broker.takeovers).toEqual([
      { deviceId, from: 'at-there', by: 'at-third' },
      { deviceId, from: 'at-third', by: 'at-here' },
    ])
  })

  it('says all its connections again to a provisioning that does not know it', () => {
    const broker = setUp()
    broker.connect()
    broker.book.take()
    broker.book.answered({ superseded: [], isNew: true })
    expect(broker.book.take().presence).toMatchObject([{ connectionId: '1', connected: true }])
  })

  it('says a contention until it has arrived', () => {
    const { book } = setUp()
    const contention = { deviceId, addresses: ['a', 'b'], holdMs: 60_000 }
    book.contended(contention)
    const batch = book.take()
    expect(batch.contended).toEqual([contention])
    book.failed(batch)
    expect(book.take().contended).toEqual([contention])
  })
})
