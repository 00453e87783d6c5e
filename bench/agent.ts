/**
 * What an agent costs a small board, beside a bare Node and beside a plain MQTT.js script that publishes as often and keeps
 * nothing: resident memory after an hour's worth of readings, time to the first publish, processor time and bytes written
 * to disk per reading. The agent is the archive that devices get. Its broker and token endpoint stand in this process.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { serviceEnvironment } from '../agent/unit.ts'
import type { ReadingsMessage } from '../core/contract/payload.ts'
import { unpackAgent } from '../test/kit/agent-unpacked.ts'
import { eventually, type Program, startProgram } from '../test/kit/program.ts'
import { startTestBroker, startTestIssuer, writeCredential } from '../test/unit/agent/peers.ts'
import { Child, cpuSecOf, median, peakMiBOf, residentMiBOf } from './kit/child.ts'

const { values } = parseArgs({
  options: {
    /** An hour has 3,600 readings at one a second; they are played in this many seconds. */
    seconds: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '5' },
  },
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const hourOfReadings = 3600
const everyMs = (seconds * 1000) / hourOfReadings
const startMs = 30_000
const say = (line: string) => process.stdout.write(`${line}\n`)

const folder = mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
const { program } = await unpackAgent(folder)
const [broker, issuer] = await Promise.all([startTestBroker(), startTestIssuer()])
const credential = writeCredential(join(folder, 'credentials.json'), {
  deviceId: 'bench',
  brokerUrl: broker.url,
  tokenEndpoint: issuer.tokenEndpoint,
})
let outboxes = 0

/** A new device each time: an empty outbox. */
const startAgent = (env: Record<string, string>): Promise<Program> =>
  startProgram(program, {
    args: ['run'],
    env: {
      ...serviceEnvironment,
      LOT_AGENT_CREDENTIAL_FILE: credential,
      LOT_AGENT_OUTBOX_DIR: join(folder, `outbox-${outboxes++}`),
      LOT_AGENT_LOG_LEVEL: 'warn',
      ...env,
    },
  })

/** Readings that have arrived since the last look. */
function takeReadings(): number {
  const messages = broker.published.splice(0).filter(({ topic }) => topic.endsWith('/readings'))
  return messages.reduce(
    (sum, { payload }) => sum + (JSON.parse(payload) as ReadingsMessage).readings.length,
    0,
  )
}

async function arrived(readings: number, deadlineMs: number): Promise<void> {
  let sum = 0
  await eventually(() => {
    sum += takeReadings()
    return sum >= readings
  }, deadlineMs)
}

/** Bytes the process has caused to be written to the disk (proc(5), /proc/PID/io). */
function writtenBytesOf(pid: number | undefined): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
}

async function bareNodeMiB(): Promise<number> {
  const bare = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e6); console.log("up")'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(bare.stdout, 'data')
  await delay(1000)
  const peak = peakMiBOf(bare.pid)
  bare.kill()
  return peak
}

interface Cost {
  readonly residentMiB: number
  /** Resident memory may shrink when the kernel takes pages back; this does not. */
  readonly peakMiB: number
  readonly cpuMsPerReading: number
}

async function hourOfAgent(): Promise<Cost> {
  const start = Date.UTC(2026, 0, 1)
  const rows = Array.from(
    { length: hourOfReadings },
    (_, i) => `A,300,${i % 300},${new Date(start + i * 1000).toISOString()}`,
  )
  const recording = join(folder, 'hour.csv')
  writeFileSync(recording, ['SystemCodeNumber,Capacity,Occupancy,LastUpdated', ...rows, ''].join('\n'))
  takeReadings()
  const agent = await startAgent({
    LOT_AGENT_SENSOR_TYPE: 'replay',
    LOT_AGENT_REPLAY_FILE: recording,
    LOT_AGENT_REPLAY_KEY: 'A',
    LOT_AGENT_REPLAY_SPEED: String(hourOfReadings / seconds),
  })
  await arrived(1, startMs)
  const before = cpuSecOf(agent.process.pid)
  await arrived(hourOfReadings - 64, seconds * 1000 + startMs)
  const used = cpuSecOf(agent.process.pid) - before
  const cost = {
    residentMiB: residentMiBOf(agent.process.pid),
    peakMiB: peakMiBOf(agent.process.pid),
    cpuMsPerReading: (used * 1000) / hourOfReadings,
  }
  await agent.stop()
  return cost
}

async function hourOfPlain(): Promise<Cost> {
  takeReadings()
  const plain = new Child('plain-device', { url: broker.url, topic: 'devices/plain/readings', everyMs })
  await arrived(1, startMs)
  const before = cpuSecOf(plain.process.pid)
  await arrived(hourOfReadings - 64, seconds * 1000 + startMs)
  const used = cpuSecOf(plain.process.pid) - before
  const cost = {
    residentMiB: residentMiBOf(plain.process.pid),
    peakMiB: peakMiBOf(plain.process.pid),
    cpuMsPerReading: (used * 1000) / hourOfReadings,
  }
  await plain.stop()
  return cost
}

async function startToPublishMs(start: () => Promise<() => Promise<unknown>>): Promise<number> {
  const taken: number[] = []
  for (let round = 0; round < rounds; round++) {
    takeReadings()
    const startedMs = performance.now()
    const [stop] = await Promise.all([start(), arrived(1, startMs)])
    taken.push(performance.now() - startedMs)
    await stop()
  }
  return median(taken)
}

/** @param flushEveryMs 0 is what a reading a minute comes to: each is a group of its own */
async function bytesPerReading(flushEveryMs: number | undefined): Promise<number> {
  takeReadings()
  const agent = await startAgent({
    LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
    LOT_AGENT_SCHEDULE: '* * * * * *',
    ...(flushEveryMs === undefined ? {} : { LOT_AGENT_FLUSH_EVERY_MS: String(flushEveryMs) }),
  })
  await arrived(1, startMs)
  const before = writtenBytesOf(agent.process.pid)
  let readings = 0
  await eventually(
    () => {
      readings += takeReadings()
      return readings >= seconds
    },
    seconds * 2000 + startMs,
    250,
  )
  const written = writtenBytesOf(agent.process.pid) - before
  await agent.stop()
  return written / readings
}

say(`${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`)
const bare = await bareNodeMiB()
const agent = await hourOfAgent()
const plain = await hourOfPlain()
const toFirst = {
  agent: await startToPublishMs(async () => {
    const one = await startAgent({ LOT_AGENT_SIMULATED_HISTORY_DAYS: '1' })
    return () => one.stop()
  }),
  plain: await startToPublishMs(async () => {
    const one = new Child('plain-device', {
      url: broker.url,
      topic: 'devices/plain/readings',
      everyMs: 60_000,
    })
    return () => one.stop()
  }),
}
const bytes = { second: await bytesPerReading(undefined), minute: await bytesPerReading(0) }

const ratio = (a: number, b: number) => (a / b).toFixed(2)
say('')
say('                                            agent    plain MQTT.js')
say(
  `memory after an hour of readings, MiB    ${String(agent.residentMiB).padStart(8)} ${String(plain.residentMiB).padStart(16)}`,
)
say(
  `  the most until then, MiB               ${String(agent.peakMiB).padStart(8)} ${String(plain.peakMiB).padStart(16)}`,
)
say(
  `  that as a multiple of bare Node (${bare} MiB) ${ratio(agent.peakMiB, bare).padStart(6)} ${ratio(plain.peakMiB, bare).padStart(16)}`,
)
say(
  `processor time per reading, ms           ${agent.cpuMsPerReading.toFixed(2).padStart(8)} ${plain.cpuMsPerReading.toFixed(2).padStart(16)}`,
)
say(
  `start to first publish, ms               ${toFirst.agent.toFixed(0).padStart(8)} ${toFirst.plain.toFixed(0).padStart(16)}`,
)
say(`bytes written per reading, 1 a second    ${bytes.second.toFixed(0).padStart(8)}                0`)
say(`bytes written per reading, 1 a minute    ${bytes.minute.toFixed(0).padStart(8)}                0`)

await broker.stop()
issuer.stop()
rmSync(folder, { recursive: true, force: true })
