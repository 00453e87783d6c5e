import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Agent, type AgentParts, startAgent } from '../../../agent/agent.ts'
import { readBoot } from '../../../agent/boot.ts'
import { createSystemClock } from '../../../agent/clock.ts'
import type { WhenFull } from '../../../agent/outbox.ts'
import { createOutboxFolder } from '../../../agent/outbox-salvage.ts'
import type { OutboxStore } from '../../../agent/outbox-store.ts'
import type { Chunk, Observation, Sensor } from '../../../agent/sensors/sensor.ts'
import { timeAssumed } from '../../../agent/time-sync.ts'
import { createUplink } from '../../../agent/uplink.ts'
import { createTokenSource } from '../../../core/auth/token-source.ts'
import { type DeviceId, type Epoch, parseDeviceId, parseEpoch } from '../../../core/contract/device.ts'
import { FleetError } from '../../../core/contract/errors.ts'
import type { ReadingsMessage } from '../../../core/contract/payload.ts'
import { createFetch } from '../../../core/runtime/fetch.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'
import { startTestBroker, startTestIssuer, type TestBroker, type TestIssuer } from './peers.ts'

const deviceId = parseDeviceId('north-1') as DeviceId
const clock = createSystemClock()
/** Of the first outbox of a test. */
const firstEpoch = '9f0c3a77d1e2b460'
const limits = { windowMessages: 50, bytesMax: 1024 * 1024, whenFull: 'drop_oldest' as WhenFull }

let data: ReturnType<typeof makeDataDir>
let broker: TestBroker
let issuer: TestIssuer
let agents: Agent[]
let lines: string[]
let epochs: number

beforeEach(async () => {
  data = makeDataDir()
  broker = await startTestBroker()
  issuer = await startTestIssuer()
  agents = []
  lines = []
  epochs = 0
})
afterEach(async () => {
  for (const agent of agents) await agent.stop()
  await broker.stop()
  issuer.stop()
  data.remove()
})

/** A sensor that says what a test tells it to. */
function createToldSensor(canWait = false) {
  const waiting: Chunk[] = []
  let wake = () => {}
  const told = {
    /** Chunks that the agent has dealt with. */
    taken: 0,
    startedFrom: undefined as string | undefined,
    tell(...observations: readonly Observation[]) {
      waiting.push({ observations, position: String(observations.at(-1)?.timestampMs) })
      wake()
    },
    fail: undefined as Error | undefined,
    sensor: {
      canWait,
      async *observe({ position, signal }) {
        told.startedFrom = position
        signal.addEventListener('abort', () => wake())
        while (!signal.aborted) {
          if (told.fail !== undefined) throw told.fail
          const next = waiting.shift()
          if (next !== undefined) {
            yield next
            told.taken++
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve
            })
          }
        }
      },
    } satisfies Sensor,
    wake: () => wake(),
  }
  return told
}

async function start(sensor: Sensor, parts: Partial<AgentParts> = {}): Promise<Agent> {
  const log = createLog({ program: 'agent', level: 'debug', write: (line) => lines.push(line) })
  const tokens = createTokenSource({
    credential: {
      issuer: 'https://issuer.example',
      client_id: deviceId,
      client_secret: 'secret',
      token_endpoint_auth_method: 'client_secret_post',
      token_endpoint: issuer.tokenEndpoint,
    },
    audience: 'urn:lotwatch:broker',
    fetch: createFetch(),
    nowMs: clock.monotonicMs,
    random: Math.random,
  })
  const folder = createOutboxFolder(join(data.path, 'outbox'), {
    newEpoch: () => parseEpoch(`9f0c3a77d1e2b46${epochs++}`) as Epoch,
    nowMs: Date.now,
  })
  const agent = startAgent({
    opened: parts.opened ?? (await folder.open()),
    folder,
    uplink: createUplink({
      deviceId,
      broker: { url: broker.url, audience: 'urn:lotwatch:broker', renewal: 'in_band' },
      tokens,
      clock,
      random: Math.random,
      log,
      reconnectMinMs: 10,
      reconnectMaxMs: 50,
      refusedMinMs: 20,
      refusedMaxMs: 50,
      stableMs: 60_000,
      ackTimeoutMs: 15_000,
    }),
    sensor,
    ticks: async function* () {},
    clock,
    boot: readBoot(),
    sync: timeAssumed,
    random: Math.random,
    log,
    limits,
    flushReadings: 64,
    flushEveryMs: 0,
    ...parts,
  })
  agents.push(agent)
  return agent
}

const at = (timestampMs: number): Observation => ({ timestampMs, occupied: timestampMs % 100 })
const many = (fromMs: number, count: number) => Array.from({ length: count }, (_, i) => at(fromMs + i))
const messages = () => broker.published.map(({ payload }) => JSON.parse(payload) as ReadingsMessage)
const arrived = () => messages().flatMap(({ readings }) => readings)

describe('agent', () => {
  it('sends what its sensor observed and forgets it with the PUBACK', async () => {
    const told = createToldSensor()
    const agent = await start(told.sensor)
    told.tell({ timestampMs: 61_000, occupied: 1 })
    told.tell({ timestampMs: 62_000, occupied: 2 })
    await eventually(() => agent.progress().settled === 2)
    expect(arrived()).toEqual([
      { seq: 0, timestampMs: 61_000, occupied: 1, clock: 'synced' },
      { seq: 1, timestampMs: 62_000, occupied: 2, clock: 'synced' },
    ])
    expect(agent.progress()).toMatchObject({ connected: true, kept: 2, queued: 0, finished: false })
  })

  it('keeps what has no PUBACK, over a restart, and goes on with sequence and position', async () => {
    broker.acknowledges = false
    const told = createToldSensor()
    const first = await start(told.sensor)
    told.tell(at(1001))
    await eventually(() => broker.published.length === 1)
    await first.stop()
    expect(first.progress().queued).toBe(1)

    broker.acknowledges = true
    const again = createToldSensor()
    const second = await start(again.sensor)
    again.tell(at(1002))
    await eventually(() => second.progress().settled === 2)
    expect(again.startedFrom).toBe('1001')
    expect(arrived().map(({ seq }) => seq)).toEqual([0, 0, 1])
  })

  it('makes single readings durable in groups, by number', async () => {
    const told = createToldSensor()
    const agent = await start(told.sensor, { flushReadings: 3, flushEveryMs: 3600_000 })
    told.tell(at(1))
    told.tell(at(2))
    await eventually(() => agent.progress().connected && told.taken === 2)
    expect(agent.progress().kept).toBe(0)
    told.tell(at(3))
    await eventually(() => agent.progress().settled === 3)
    expect(messages()).toHaveLength(1)
  })

  it('makes a group durable when its first reading has waited long enough', async () => {
    const told = createToldSensor()
    const agent = await start(told.sensor, { flushEveryMs: 100 })
    told.tell(at(1))
    await eventually(() => agent.progress().settled === 1)
    expect(arrived()).toHaveLength(1)
  })

  it('makes durable what it sampled before it stops', async () => {
    const told = createToldSensor()
    const agent = await start(told.sensor, { flushEveryMs: 3600_000 })
    told.tell(at(1))
    await eventually(() => told.taken === 1)
    await agent.stop()
    expect(agent.progress().kept).toBe(1)
  })

  it('drops the oldest of a sensor that cannot wait, and tells the store which', async () => {
    broker.connack = 3
    const told = createToldSensor()
    const agent = await start(told.sensor, { limits: { ...limits, bytesMax: 4000 } })
    for (let i = 0; i < 10; i++) told.tell(...many(i * 10, 10))
    await eventually(() => agent.progress().kept === 100)
    broker.connack = 0
    await eventually(() => agent.progress().queued === 0)
    const seqs = arrived().map(({ seq = -1 }) => seq)
    const dropped = messages().flatMap((message) => message.dropped ?? [])
    expect(dropped).toEqual([{ fromSeq: 0, toSeq: (seqs[0] ?? 0) - 1, reason: 'outbox_full' }])
    expect(seqs.at(-1)).toBe(99)
    expect(lines.join('')).toContain('outbox.dropped')
  })

  it('keeps every second of the oldest when it is full, and tells the store of those between', async () => {
    broker.connack = 3
    const told = createToldSensor()
    const thinning = { ...limits, bytesMax: 4000, whenFull: 'thin_oldest' as const }
    const agent = await start(told.sensor, { limits: thinning })
    for (let i = 0; i < 20; i++) {
      told.tell(...many(i * 10_000, 10))
      await eventually(() => told.taken > i && agent.progress().kept === 10 * (i + 1))
    }
    broker.connack = 0
    await eventually(() => agent.progress().queued === 0)
    const seqs = arrived().map(({ seq = -1 }) => seq)
    const dropped = messages().flatMap((message) => message.dropped ?? [])
    const gone = dropped.flatMap(({ fromSeq, toSeq }) =>
      Array.from({ length: toSeq - fromSeq + 1 }, (_, i) => fromSeq + i),
    )
    expect([...seqs, ...gone].sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, seq) => seq))
    expect(dropped.every(({ reason }) => reason === 'outbox_thinned')).toBe(true)
    // Some of the oldest are left, and all of the newest.
    expect(seqs.filter((seq) => seq < 50).length).toBeGreaterThan(1)
    expect(seqs.filter((seq) => seq >= 180)).toHaveLength(20)
  })

  it('keeps the oldest when it is full and is told to stop, and tells the store of what came after', async () => {
    broker.connack = 3
    const told = createToldSensor()
    const agent = await start(told.sensor, { limits: { ...limits, bytesMax: 4000, whenFull: 'stop' } })
    for (let i = 0; i < 20; i++) told.tell(...many(i * 10_000, 10))
    await eventually(() => told.taken === 20)
    await agent.stop()
    const first = agent.progress().queued
    expect(first).toBeGreaterThan(0)
    broker.connack = 0
    const again = await start(createToldSensor().sensor, { limits: { ...limits, whenFull: 'stop' } })
    await eventually(
      () => again.progress().queued === 0 && messages().some(({ dropped }) => dropped !== undefined),
    )
    expect(arrived().map(({ seq }) => seq)).toEqual(Array.from({ length: first }, (_, seq) => seq))
    expect(messages().flatMap((message) => message.dropped ?? [])).toEqual([
      { fromSeq: first, toSeq: 199, reason: 'outbox_full' },
    ])
  })

  it('sends what can be read of a damaged outbox as what it was, beside the new epoch that names it', async () => {
    broker.acknowledges = false
    const told = createToldSensor()
    const first = await start(told.sensor)
    told.tell(...many(0, 300))
    await eventually(() => first.progress().kept === 300)
    await first.stop()
    rmSync(join(data.path, 'outbox', 'CURRENT'))
    broker.published.length = 0
    broker.acknowledges = true

    const again = createToldSensor()
    const second = await start(again.sensor)
    again.tell({ timestampMs: 61_000, occupied: 1 })
    await eventually(() => second.progress().settled === 1 && arrived().length === 301)
    const [salvaged, fresh] = [
      messages().filter(({ epoch }) => epoch === firstEpoch),
      messages().filter(({ epoch }) => epoch !== firstEpoch),
    ]
    expect(salvaged.flatMap(({ readings }) => readings).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 300 }, (_, seq) => seq),
    )
    expect(fresh[0]?.previous).toEqual({ epoch: firstEpoch, lastSeq: 299 })
    await eventually(() => lines.some((line) => line.includes('outbox.salvaged')))
    expect(readdirSync(data.path).filter((name) => name.includes('salvage'))).toEqual([])
  })

  it('begins anew when its outbox turns out to be damaged while it runs, and loses nothing that can be read', async () => {
    broker.connack = 3
    const told = createToldSensor()
    const setup = await start(told.sensor)
    for (let i = 0; i < 8; i++) told.tell(...many(i * 1000_000, 500))
    await eventually(() => setup.progress().kept === 4000)
    await setup.stop()
    const folder = join(data.path, 'outbox')
    const opening = createToldSensor()
    const agent = await start(opening.sensor)
    // The tables are read when they are needed; LevelDB does not look at their sums.
    const table = join(folder, readdirSync(folder).find((name) => name.endsWith('.ldb')) ?? '')
    const content = readFileSync(table)
    content.fill(0x2a, 60_000, 60_064)
    writeFileSync(table, content)
    broker.connack = 0
    await eventually(() => lines.some((line) => line.includes('outbox.salvaged')), 20_000)
    opening.tell({ timestampMs: 61_000, occupied: 1 })
    await eventually(() => agent.progress().settled >= 1 && agent.progress().queued === 0)
    const old = new Set(
      messages()
        .filter(({ epoch }) => epoch === firstEpoch)
        .flatMap(({ readings }) => readings.map(({ seq }) => seq)),
    )
    expect(old.size).toBeGreaterThan(3900)
    expect(old.size).toBeLessThan(4000)
    const fresh = messages().find(({ epoch }) => epoch !== firstEpoch)
    expect(fresh?.previous).toEqual({ epoch: firstEpoch, lastSeq: 3999 })
    for (const { epoch, readings } of messages())
      for (const { seq = -1, occupied } of readings)
        if (epoch === firstEpoch) expect(occupied).toBe(seq % 100)
  })

  it('holds the newest ten thousand while the disk takes nothing, and tells which of the older are gone', async () => {
    const [held, lost] = [10_000, 50]
    let isFull = true
    const folder = createOutboxFolder(join(data.path, 'outbox'), {
      newEpoch: () => parseEpoch(firstEpoch) as Epoch,
      nowMs: Date.now,
    })
    const opened = await folder.open()
    const store: OutboxStore = {
      ...opened.store,
      async append(...what) {
        if (isFull) throw new FleetError('outbox.unavailable', 'no space left on device')
        return opened.store.append(...what)
      },
    }
    const told = createToldSensor()
    const retrying = { ...clock, until: () => new Promise<void>((resolve) => setImmediate(resolve)) }
    const agent = await start(told.sensor, { folder, opened: { ...opened, store }, clock: retrying })
    told.tell({ timestampMs: 0, occupied: 0 })
    await eventually(() => lines.some((line) => line.includes('outbox.unavailable')))
    for (let count = 1; count <= held + lost; count++) told.tell({ timestampMs: count, occupied: count })
    await eventually(() => told.taken === 1 + held + lost)
    expect(agent.progress().kept).toBe(0)
    isFull = false
    await eventually(() => agent.progress().settled === 1 + held)
    const counts = arrived().map(({ occupied }) => occupied)
    expect(counts).toEqual([0, ...Array.from({ length: held }, (_, i) => 1 + lost + i)])
    expect(messages().flatMap(({ dropped }) => dropped ?? [])).toEqual([
      { fromSeq: 1, toSeq: lost, reason: 'disk_full' },
    ])
    expect(lines.filter((line) => line.includes('readings.lost'))).toHaveLength(1)
  })

  it('lets a sensor wait that can, and drops nothing', async () => {
    broker.connack = 3
    const told = createToldSensor(true)
    const agent = await start(told.sensor, { limits: { ...limits, bytesMax: 20_000 } })
    for (let i = 0; i < 50; i++) told.tell(...many(i * 10, 10))
    await eventually(() => lines.some((line) => line.includes('device.unreachable')))
    await eventually(() => agent.progress().kept >= 100)
    expect(agent.progress().kept).toBeLessThan(250)
    broker.connack = 0
    await eventually(() => agent.progress().settled === 500)
    expect(new Set(arrived().map(({ seq }) => seq)).size).toBe(500)
    expect(messages().some(({ dropped }) => dropped !== undefined)).toBe(false)
  })

  it('brings a long queue through a small window without reading all of it', async () => {
    broker.connack = 3
    const told = createToldSensor()
    const agent = await start(told.sensor, { limits: { ...limits, windowMessages: 2, bytesMax: 2 ** 30 } })
    for (let i = 0; i < 20; i++) told.tell(...many(i * 500, 500))
    await eventually(() => agent.progress().kept === 10_000)
    broker.connack = 0
    broker.acknowledges = false
    await eventually(() => {
      broker.release()
      return agent.progress().settled === 10_000
    })
    expect(broker.heldMost).toBe(2)
    expect(arrived().map(({ seq }) => seq)).toEqual(Array.from({ length: 10_000 }, (_, seq) => seq))
  })

  it('ends when its sensor cannot go on, and still delivers what it has', async () => {
    const told = createToldSensor()
    const agent = await start(told.sensor)
    told.tell(at(1))
    await eventually(() => agent.progress().kept === 1)
    told.fail = new Error('out of order')
    told.wake()
    await expect(agent.done).rejects.toThrow('out of order')
    await eventually(() => agent.progress().settled === 1)
    expect(agent.progress().finished).toBe(false)
  })
})

describe('an agent that does not know the time yet', () => {
  /** A time that becomes known when the test says so, and a boot that runs by itself. */
  function createBoot(bootId: string) {
    let nowMs = Date.UTC(1970, 0, 1)
    let sinceMs = 0
    let know = () => {}
    const known = new Promise<void>((resolve) => {
      know = resolve
    })
    const sync = {
      isSynced: false,
      whenSynced: (signal: AbortSignal) => Promise.race([known, aborted(signal)]),
    }
    const ticks: number[] = []
    let wake = () => {}
    return {
      parts: {
        clock: { ...clock, nowMs: () => nowMs },
        boot: { bootId, sinceMs: () => sinceMs },
        sync,
        ticks: async function* (signal: AbortSignal) {
          signal.addEventListener('abort', () => wake())
          while (!signal.aborted) {
            const next = ticks.shift()
            if (next !== undefined) yield next
            else
              await new Promise<void>((resolve) => {
                wake = resolve
              })
          }
        },
      } satisfies Partial<AgentParts>,
      /** A minute passes, at its end is a tick. */
      minute() {
        nowMs += 60_000
        sinceMs += 60_000
        ticks.push(nowMs)
        wake()
      },
      learn(timeMs: number) {
        nowMs = timeMs
        sync.isSynced = true
        know()
      },
    }
  }
  const aborted = (signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  /** Counts its ticks. */
  const createCounter = (): Sensor => ({
    canWait: false,
    async *observe({ ticks }) {
      let occupied = 0
      for await (const timestampMs of ticks) yield { observations: [{ timestampMs, occupied: ++occupied }] }
    },
  })
  const noon = Date.UTC(2026, 10, 23, 12)
  const counted = () =>
    arrived().map(({ occupied, timestampMs, clock: state }) => [occupied, timestampMs, state])

  it('counts and calls nobody; when it knows, everything is dated by the time since boot', async () => {
    const boot = createBoot('boot-1')
    const agent = await start(createCounter(), boot.parts)
    for (let kept = 1; kept <= 3; kept++) {
      boot.minute()
      await eventually(() => agent.progress().kept === kept)
    }
    expect(broker.passwords).toEqual([])
    expect(issuer.given).toBe(0)

    boot.learn(noon)
    await eventually(() => agent.progress().settled === 3)
    boot.minute()
    await eventually(() => agent.progress().settled === 4)
    expect(counted()).toEqual([
      [1, noon - 120_000, 'synced'],
      [2, noon - 60_000, 'synced'],
      [3, noon, 'synced'],
      [4, noon + 60_000, 'synced'],
    ])
  })

  it('dates them as well when it was started again before it knew', async () => {
    const boot = createBoot('boot-1')
    const first = await start(createCounter(), boot.parts)
    boot.minute()
    await eventually(() => first.progress().kept === 1)
    await first.stop()

    const second = await start(createCounter(), boot.parts)
    boot.minute()
    await eventually(() => second.progress().kept === 1)
    boot.learn(noon)
    await eventually(() => second.progress().settled === 2)
    expect(counted()).toEqual([
      [1, noon - 60_000, 'synced'],
      [1, noon, 'synced'],
    ])
  })

  it('takes those of a boot that never knew for as late as they can be, and says that it is not sure', async () => {
    const lost = createBoot('boot-1')
    const first = await start(createCounter(), lost.parts)
    for (let kept = 1; kept <= 2; kept++) {
      lost.minute()
      await eventually(() => first.progress().kept === kept)
    }
    await first.stop()

    const boot = createBoot('boot-2')
    const second = await start(createCounter(), boot.parts)
    boot.minute()
    await eventually(() => second.progress().kept === 1)
    boot.learn(noon)
    await eventually(() => second.progress().settled === 3)
    expect(counted()).toEqual([
      [1, noon - 120_000, 'unsynced'],
      [2, noon - 60_000, 'unsynced'],
      [1, noon, 'synced'],
    ])
    expect(lines.join('')).toContain('readings.dated')
  })

  it('never gives an instant twice though its clock is set back', async () => {
    const boot = createBoot('boot-1')
    boot.learn(noon + 7_200_000)
    const agent = await start(createCounter(), boot.parts)
    for (let kept = 1; kept <= 6; kept++) {
      if (kept === 4) boot.learn(noon + 7_200_000)
      boot.minute()
      await eventually(() => agent.progress().settled === kept)
    }
    const instants = arrived().map(({ timestampMs }) => timestampMs - noon - 7_200_000)
    expect(instants).toEqual([60_000, 120_000, 180_000, 60_001, 120_001, 180_001])
  })
})
