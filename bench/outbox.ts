/**
 * What a full outbox costs a device that was without network for long: how soon an agent with 1,000,000 queued readings is
 * ready and publishes, how fast it drains to a broker that acknowledges at once, and how much memory it has meanwhile beside
 * an agent whose outbox is empty. The agent is the archive that devices get; the outbox is filled through the agent's own
 * store, in large groups. Broker and token endpoint stand in this process. Every reading has to arrive once.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { enoughRoom, Outbox } from '../agent/outbox.ts'
import { type OutboxStore, openOutboxStore } from '../agent/outbox-store.ts'
import { serviceEnvironment } from '../agent/unit.ts'
import { type Epoch, parseEpoch } from '../core/contract/device.ts'
import type { ReadingsMessage } from '../core/contract/payload.ts'
import { unpackAgent } from '../test/kit/agent-unpacked.ts'
import { eventually, type Program, startProgram } from '../test/kit/program.ts'
import { startTestBroker, startTestIssuer, writeCredential } from '../test/unit/agent/peers.ts'
import { placeOf, takenOf } from '../test/unit/agent/taken.ts'
import { cpuSecOf, peakMiBOf, residentMiBOf } from './kit/child.ts'

const { values } = parseArgs({
  options: {
    readings: { type: 'string', default: '1000000' },
    /** How long an agent that has nothing to do is left alone before its memory is looked at. */
    idle: { type: 'string', default: '5' },
  },
})
const readings = Number(values.readings)
const idleMs = Number(values.idle) * 1000
const groupReadings = 5000
const everyMs = 60_000
/** As an agent has it that is not told otherwise. */
const limits = { windowMessages: 50, bytesMax: 256 * 1024 * 1024, whenFull: 'thin_oldest' } as const
/** CONNACK: cannot decide now. */
const unavailable = 3
const startMs = 300_000
const drainMs = 1_800_000
const say = (line: string) => process.stdout.write(`${line}\n`)

const folder = mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
const { program } = await unpackAgent(folder)
const [broker, issuer] = await Promise.all([startTestBroker(), startTestIssuer()])
const credential = writeCredential(join(folder, 'credentials.json'), {
  deviceId: 'bench',
  brokerUrl: broker.url,
  tokenEndpoint: issuer.tokenEndpoint,
})
const emptyDir = join(folder, 'empty')
const fullDir = join(folder, 'full')

const openStore = (dir: string): Promise<OutboxStore> =>
  openOutboxStore(dir, {
    newEpoch: () => parseEpoch(randomBytes(8).toString('hex')) as Epoch, // 16 hex digits
    previous: undefined,
  })

async function fill(): Promise<void> {
  const store = await openStore(fullDir)
  const outbox = new Outbox(store.contents, limits)
  const from = Date.now() - readings * everyMs
  for (let seq = 0; seq < readings; seq += groupReadings) {
    const observations = Array.from({ length: Math.min(groupReadings, readings - seq) }, (_, i) => ({
      timestampMs: from + (seq + i) * everyMs,
      occupied: (seq + i) % 300,
      capacity: 300,
      entriesTotal: 2 * (seq + i),
      exitsTotal: seq + i,
    }))
    const append = outbox.keep(takenOf(observations), placeOf())
    if (append.overflowBytes > 0) throw new Error(`${seq} readings are what an outbox takes`)
    await store.append(append, enoughRoom, undefined)
    outbox.committed(append)
  }
  await store.close()
}

function mebibytesOf(dir: string): number {
  const sizes = readdirSync(dir)
    .filter((name) => name !== 'EPOCH') // all hole: its length is a number
    .map((name) => statSync(join(dir, name)).size)
  return sizes.reduce((sum, size) => sum + size, 0) / 1024 / 1024
}

/** One whose sensor is silent: once a year. */
const startAgent = (outboxDir: string): Promise<Program> =>
  startProgram(program, {
    args: ['run'],
    env: {
      ...serviceEnvironment,
      LOT_AGENT_CREDENTIAL_FILE: credential,
      LOT_AGENT_OUTBOX_DIR: outboxDir,
      LOT_AGENT_LOG_LEVEL: 'warn',
      LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
      LOT_AGENT_SCHEDULE: '0 0 1 1 *',
    },
    startMs,
  })

interface Memory {
  readonly residentMiB: number
  readonly peakMiB: number
}

const memoryOf = ({ process: { pid } }: Program): Memory => ({
  residentMiB: residentMiBOf(pid),
  peakMiB: peakMiBOf(pid),
})

async function emptyAgent(): Promise<Memory & { readyMs: number }> {
  const began = performance.now()
  const agent = await startAgent(emptyDir)
  const readyMs = performance.now() - began
  await eventually(() => broker.published.some(({ topic }) => topic.endsWith('/status')), startMs)
  await delay(idleMs)
  const memory = memoryOf(agent)
  await agent.stop()
  return { ...memory, readyMs }
}

/** Its broker is away, so all of it stays. */
async function fullAgent(): Promise<Memory & { readyMs: number }> {
  broker.connack = unavailable
  const began = performance.now()
  const agent = await startAgent(fullDir)
  const readyMs = performance.now() - began
  await delay(idleMs)
  const memory = memoryOf(agent)
  await agent.stop()
  broker.connack = 0
  return { ...memory, readyMs }
}

/** How often each sequence has arrived. */
const arrivals = new Uint8Array(readings)

/** @returns how many readings have arrived since the last look */
function takeReadings(): number {
  let taken = 0
  for (const { topic, payload } of broker.published.splice(0)) {
    if (!topic.endsWith('/readings')) continue
    for (const { seq } of (JSON.parse(payload) as ReadingsMessage).readings) {
      if (seq === undefined || seq >= readings) continue // counted by the agent itself
      arrivals[seq] = (arrivals[seq] ?? 0) + 1
      taken++
    }
  }
  return taken
}

interface Drain extends Memory {
  readonly firstMs: number
  readonly perSec: number
  readonly cpuMsPerThousand: number
}

async function drain(): Promise<Drain> {
  takeReadings()
  const began = performance.now()
  const starting = startAgent(fullDir)
  let first = 0
  await eventually(
    () => {
      first = takeReadings()
      return first > 0
    },
    startMs,
    2,
  )
  const firstAt = performance.now()
  const agent = await starting
  const cpuBefore = cpuSecOf(agent.process.pid)
  let arrived = first
  let residentMiB = 0
  await eventually(
    () => {
      arrived += takeReadings()
      residentMiB = Math.max(residentMiB, residentMiBOf(agent.process.pid))
      return arrived >= readings
    },
    drainMs,
    5,
  )
  const sec = (performance.now() - firstAt) / 1000
  const used = cpuSecOf(agent.process.pid) - cpuBefore
  const { peakMiB } = memoryOf(agent)
  await agent.stop()
  return {
    firstMs: firstAt - began,
    perSec: (readings - first) / sec,
    cpuMsPerThousand: (used * 1_000_000) / (readings - first),
    residentMiB,
    peakMiB,
  }
}

say(`${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`)
const fillBegan = performance.now()
await fill()
say(`${readings} readings queued within ${((performance.now() - fillBegan) / 1000).toFixed(1)} s`)
const filledMiB = mebibytesOf(fullDir)
const empty = await emptyAgent()
const full = await fullAgent()
const drained = await drain()
takeReadings()
const missing = arrivals.filter((times) => times === 0).length
const twice = arrivals.filter((times) => times > 1).length
const left = await openStore(fullDir)
const { queued } = left.contents
await left.close()

const ratio = ({ residentMiB }: Memory) => (residentMiB / empty.residentMiB).toFixed(2)
const row = (name: string, ...columns: (number | string)[]) =>
  say(name.padEnd(40) + columns.map((column) => String(column).padStart(12)).join(''))
say('')
row('', 'empty', 'full', 'draining')
row('start to ready, ms', empty.readyMs.toFixed(0), full.readyMs.toFixed(0), '')
row('start to first publish, ms', '', '', drained.firstMs.toFixed(0))
row('resident, MiB (draining: the most)', empty.residentMiB, full.residentMiB, drained.residentMiB)
row('  times the empty one, at most 2', '', ratio(full), ratio(drained))
row('peak since its start, MiB', empty.peakMiB, full.peakMiB, drained.peakMiB)
row('readings per second, first to last', '', '', drained.perSec.toFixed(0))
row('processor time per 1,000 readings, ms', '', '', drained.cpuMsPerThousand.toFixed(1))
row('on disk, MiB', '', filledMiB.toFixed(1), mebibytesOf(fullDir).toFixed(1))
row('  bytes per reading', '', ((filledMiB * 1024 * 1024) / readings).toFixed(0))
row('did not arrive, arrived twice, still queued', missing, twice, queued)

await broker.stop()
issuer.stop()
rmSync(folder, { recursive: true, force: true })
if (missing > 0 || twice > 0 || queued > 0) process.exitCode = 1
