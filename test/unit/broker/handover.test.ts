import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type Delivery,
  Handover,
  type HandoverOptions,
  type HandoverOwner,
  type IngestLink,
} from '../../../broker/handover.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import { frameHead, readFrames } from '../../../core/contract/handover.ts'

const head = frameHead({
  deviceId: parseDeviceId('gate-1') as DeviceId,
  credentialId: 'cred_1',
  topic: 'devices/gate-1/readings',
})
const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** The far side of the wire, answering when the test says so. */
class ScriptedLink implements IngestLink {
  readonly calls: { payloads: string[]; answer: (delivery: Delivery) => void }[] = []
  ready = false
  respond: ((payloads: string[]) => Delivery) | undefined

  deliver(body: Uint8Array): Promise<Delivery> {
    const payloads = readFrames(body.slice()).map((message) => decode(message.payload))
    return new Promise((answer) => {
      this.calls.push({ payloads, answer })
      if (this.respond !== undefined) answer(this.respond(payloads))
    })
  }

  async isReady(): Promise<boolean> {
    return this.ready
  }
}

class Owner implements HandoverOwner {
  readonly settledIds: number[] = []
  readonly failures: string[] = []
  readonly order: string[]
  constructor(order: string[] = []) {
    this.order = order
  }
  settled(packetId: number): void {
    this.settledIds.push(packetId)
    this.order.push(`settled ${packetId}`)
  }
  failed(reason: string): void {
    this.failures.push(reason)
  }
}

const settled = (payloads: string[]): Delivery => ({ outcome: 'settled', verdicts: payloads.map(() => 's') })

function setUp(overrides: Partial<HandoverOptions> = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] })
  const link = new ScriptedLink()
  const pressure: boolean[] = []
  const availability: boolean[] = []
  const handover = new Handover({
    link,
    batchMessagesMax: 100,
    batchBytesMax: 64 * 1024,
    batchesInFlightMax: 2,
    deadlineMs: 7000,
    bufferBytesSoft: 1_000_000,
    bufferBytesHard: 2_000_000,
    onPressure: (isPressed) => pressure.push(isPressed),
    onAvailability: (isAvailable) => availability.push(isAvailable),
    nowMs: () => performance.now(),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    ...overrides,
  })
  const offer = (owner: HandoverOwner, packetId: number, text = `m${packetId}`) =>
    handover.offer(owner, { packetId, head, receivedAtMs: 1, payload: encode(text) })
  return { link, handover, offer, pressure, availability }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a message', () => {
  it('is settled only after ingest has answered', async () => {
    const { link, offer } = setUp()
    const owner = new Owner()
    offer(owner, 1)
    await vi.advanceTimersByTimeAsync(3000)
    expect(owner.settledIds).toEqual([])
    link.calls[0]?.answer(settled(['m1']))
    await vi.advanceTimersByTimeAsync(0)
    expect(owner.settledIds).toEqual([1])
  })

  it('goes along with everything else of the same turn', async () => {
    const { link, offer } = setUp()
    for (let id = 1; id <= 5; id++) offer(new Owner(), id)
    await vi.advanceTimersByTimeAsync(0)
    expect(link.calls.map((call) => call.payloads)).toEqual([['m1', 'm2', 'm3', 'm4', 'm5']])
  })

  it('keeps its bytes although the caller reuses its own', async () => {
    const { link, handover } = setUp()
    const payload = encode('right')
    handover.offer(new Owner(), { packetId: 1, head, receivedAtMs: 1, payload })
    payload.fill(0)
    await vi.advanceTimersByTimeAsync(0)
    expect(link.calls[0]?.payloads).toEqual(['right'])
  })

  it('is settled in arrival order though a later batch is answered first', async () => {
    const { link, offer } = setUp()
    const order: string[] = []
    offer(new Owner(order), 1)
    await vi.advanceTimersByTimeAsync(0)
    offer(new Owner(order), 2)
    await vi.advanceTimersByTimeAsync(0)
    link.calls[1]?.answer(settled(['m2']))
    await vi.advanceTimersByTimeAsync(0)
    expect(order).toEqual([])
    link.calls[0]?.answer(settled(['m1']))
    await vi.advanceTimersByTimeAsync(0)
    expect(order).toEqual(['settled 1', 'settled 2'])
  })
})

describe('when ingest fails', () => {
  it('the same bytes are sent again until it answers', async () => {
    const { link, offer } = setUp()
    const owner = new Owner()
    let answers = 0
    link.respond = (payloads) =>
      ++answers < 4 ? { outcome: 'unavailable', error: new Error('503') } : settled(payloads)
    offer(owner, 1)
    await vi.advanceTimersByTimeAsync(5000)
    expect(link.calls.map((call) => call.payloads)).toEqual([['m1'], ['m1'], ['m1'], ['m1']])
    expect(owner.settledIds).toEqual([1])
  })

  it('an answer that does not fit the batch settles nothing of it', async () => {
    const { link, offer } = setUp()
    const owner = new Owner()
    link.respond = () => ({ outcome: 'settled', verdicts: ['s'] })
    offer(owner, 1)
    offer(owner, 2)
    await vi.advanceTimersByTimeAsync(10)
    expect(owner.settledIds).toEqual([])
    expect(owner.failures).toHaveLength(1)
  })

  it('past the deadline the connections are closed, and nothing is settled', async () => {
    const { link, handover, offer, availability } = setUp()
    const owner = new Owner()
    const stranded = new Owner()
    link.respond = () => ({ outcome: 'unavailable', error: new Error('503') })
    offer(owner, 1)
    offer(owner, 2)
    await vi.advanceTimersByTimeAsync(6000)
    expect(owner.failures).toEqual([])
    offer(stranded, 3)
    await vi.advanceTimersByTimeAsync(2000)
    expect(owner.failures).toHaveLength(1)
    expect(stranded.failures).toEqual([])
    await vi.advanceTimersByTimeAsync(6000)
    expect(stranded.failures.length).toBeGreaterThan(0)
    expect([...owner.settledIds, ...stranded.settledIds]).toEqual([])
    expect(handover.isAvailable).toBe(false)
    expect(availability).toEqual([false])
  })

  it('what is offered meanwhile fails at once, until ingest is ready again', async () => {
    const { link, handover, offer } = setUp()
    link.respond = () => ({ outcome: 'unavailable', error: new Error('503') })
    offer(new Owner(), 1)
    await vi.advanceTimersByTimeAsync(8000)
    const early = new Owner()
    offer(early, 2)
    expect(early.failures).toEqual(['ingest is away'])
    link.ready = true
    link.respond = settled
    await vi.advanceTimersByTimeAsync(1000)
    expect(handover.isAvailable).toBe(true)
    const late = new Owner()
    offer(late, 3)
    await vi.advanceTimersByTimeAsync(10)
    expect(late.settledIds).toEqual([3])
  })
})

describe('when ingest refuses a batch', () => {
  it('the offender is found by halving and handed over as a note; its neighbours are settled', async () => {
    const { link, offer } = setUp()
    const owner = new Owner()
    const notes: string[] = []
    link.respond = (payloads) => {
      if (payloads.includes('poison')) return { outcome: 'refused', status: 413 }
      notes.push(...payloads.filter((payload) => payload.startsWith('{')))
      return settled(payloads)
    }
    for (let id = 1; id <= 8; id++) offer(owner, id, id === 6 ? 'poison' : `m${id}`)
    await vi.advanceTimersByTimeAsync(100)
    expect(owner.settledIds).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(notes).toHaveLength(1)
    expect(JSON.parse(notes[0] ?? '')).toMatchObject({ refused: { status: 413, bytes: 6 } })
  })
})

it('an ingest that refuses everything fails the batch at its deadline, after a bounded number of tries', async () => {
  const { link, offer } = setUp()
  const owner = new Owner()
  link.respond = () => ({ outcome: 'refused', status: 400 })
  for (let id = 1; id <= 4; id++) offer(owner, id)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(owner.settledIds).toEqual([])
  expect(owner.failures).toHaveLength(1)
  expect(link.calls.length).toBeLessThan(40)
})

it('a batch that had to wait for its turn has the whole deadline from then on', async () => {
  const { link, offer } = setUp({ batchesInFlightMax: 1 })
  const [first, second] = [new Owner(), new Owner()]
  offer(first, 1)
  await vi.advanceTimersByTimeAsync(10)
  offer(second, 2)
  await vi.advanceTimersByTimeAsync(6000)
  link.calls[0]?.answer(settled(['m1']))
  await vi.advanceTimersByTimeAsync(6000)
  link.calls[1]?.answer(settled(['m2']))
  await vi.advanceTimersByTimeAsync(10)
  expect([first.settledIds, second.settledIds]).toEqual([[1], [2]])
})

describe('memory', () => {
  it('at the soft limit reading stops, and goes on when half of it is gone', async () => {
    const { link, offer, pressure } = setUp({ bufferBytesSoft: 2000, bufferBytesHard: 100_000 })
    for (let id = 1; id <= 20; id++) offer(new Owner(), id, 'x'.repeat(100))
    expect(pressure).toEqual([true])
    link.respond = settled
    await vi.advanceTimersByTimeAsync(10)
    expect(pressure).toEqual([true, false])
  })

  it('at the hard limit the newest is turned away and the older ones are kept', async () => {
    const { link, offer, handover } = setUp({ bufferBytesSoft: 500, bufferBytesHard: 1000 })
    link.respond = settled
    const owners = Array.from({ length: 10 }, () => new Owner())
    for (const [i, owner] of owners.entries()) offer(owner, i + 1, 'x'.repeat(100))
    expect(handover.bufferedBytes).toBeLessThanOrEqual(1000)
    await vi.advanceTimersByTimeAsync(10)
    expect(owners[0]?.settledIds).toEqual([1])
    expect(owners[9]?.failures).toEqual(['buffer is full'])
  })

  it('is idle when everything is settled', async () => {
    const { link, offer, handover } = setUp()
    let isIdle = false
    offer(new Owner(), 1)
    void handover.idle().then(() => {
      isIdle = true
    })
    await vi.advanceTimersByTimeAsync(1)
    expect(isIdle).toBe(false)
    link.calls[0]?.answer(settled(['m1']))
    await vi.advanceTimersByTimeAsync(1)
    expect(isIdle).toBe(true)
  })
})
