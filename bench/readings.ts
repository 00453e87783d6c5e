/**
 * Readings per second acknowledged after their commit, beside mosquitto handing the same load on to one QoS 1 subscriber
 * and storing nothing. Alternates; prints each round, the medians and the ratio, then the latency at half the top rate.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findCommand } from '../test/kit/needs.ts'
import { freePort } from '../test/kit/program.ts'
import { System } from '../test/kit/system.ts'
import { Child, cpuSecOf, median, residentMiBOf } from './kit/child.ts'
import type { LoadOrder, LoadReport } from './kit/load.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '200' },
    window: { type: 'string', default: '50' },
    profile: { type: 'string' },
    alone: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const connections = Number(values.connections)
const window = Number(values.window)
const warmUpMs = 3000

interface Result {
  readonly perSec: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor microseconds per reading, by process. */
  readonly cpu: Readonly<Record<string, number>>
}

const say = (line: string) => process.stdout.write(`${line}\n`)
const show = (name: string, result: Result) =>
  `${name.padEnd(10)} ${Math.round(result.perSec).toLocaleString('en').padStart(8)}/s  p50 ${result.p50Ms.toFixed(1)} ms  p99 ${result.p99Ms.toFixed(1)} ms  µs/reading: ${Object.entries(
    result.cpu,
  )
    .map(([who, us]) => `${who} ${us.toFixed(1)}`)
    .join(', ')}`

/** Drives one round of load and measures its middle. */
async function measure(
  order: LoadOrder,
  processes: Readonly<Record<string, number | undefined>>,
): Promise<Result> {
  const load = new Child('load', order)
  await load.next('connected')
  await delay(warmUpMs)
  load.tell('measure')
  const startMs = performance.now()
  const before = Object.entries(processes).map(([who, pid]) => [who, pid, cpuSecOf(pid)] as const)
  await delay(seconds * 1000)
  load.tell('report')
  const tookSec = (performance.now() - startMs) / 1000
  const used = before.map(([who, pid, cpuSec]) => [who, cpuSecOf(pid) - cpuSec] as const)
  const report = await load.next<LoadReport>('report')
  await load.stop()
  const cpu = Object.fromEntries(
    [...used, ['load', report.cpuSec] as const].map(([who, sec]) => [who, (sec * 1e6) / report.acknowledged]),
  )
  return { perSec: report.acknowledged / tookSec, p50Ms: report.p50Ms, p99Ms: report.p99Ms, cpu }
}

async function startLotwatch() {
  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  const system = await System.start({
    nodeOptions: { ingest: profile, broker: ['--max-semi-space-size=64', ...profile] },
  })
  const devices: { deviceId: string; token: string }[] = []
  for (let i = 0; i < connections; i++) {
    const deviceId = `bench-${i}`
    const { credential } = await system.register(deviceId, 'bench')
    devices.push({ deviceId, token: await system.deviceToken(credential) })
  }
  const order = (perSec?: number): LoadOrder => ({
    port: system.mqttPort,
    devices: devices.map((device) => ({ ...device, epoch: randomBytes(8).toString('hex') })),
    window,
    firstSeq: 1,
    // Stamps run at a fraction of the clock's pace, so each round's are newer than the last one's.
    firstTimestampMs: Date.now(),
    ...(perSec === undefined ? {} : { perSec }),
  })
  const pids = { broker: system.program('broker').process.pid, ingest: system.program('ingest').process.pid }
  return { system, pids, order }
}

async function startMosquitto(data: string) {
  const command = findCommand('mosquitto')
  if (command === undefined) throw new Error('needs mosquitto: apt-get install mosquitto')
  const port = await freePort()
  const config = join(data, 'mosquitto.conf')
  const limitsLifted = 'max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 0\n'
  writeFileSync(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\nlog_dest none\n${limitsLifted}`,
  )
  const broker = spawn(command, ['-c', config], { stdio: 'inherit' })
  await delay(500)
  const subscriber = new Child('subscriber', { port, filter: 'devices/+/readings' })
  await subscriber.next('connected')
  const devices = Array.from({ length: connections }, (_, i) => ({
    deviceId: `bench-${i}`,
    epoch: randomBytes(8).toString('hex'),
  }))
  return {
    pids: { mosquitto: broker.pid, subscriber: subscriber.process.pid },
    order: { port, devices, window, firstSeq: 1, firstTimestampMs: Date.now() } satisfies LoadOrder,
    async stop() {
      await subscriber.stop()
      broker.kill()
    },
  }
}

const data = mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
say(
  `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${connections} connections, window ${window}, ${rounds} × ${seconds} s`,
)
const lotwatch = await startLotwatch()
const mosquitto = values.alone ? undefined : await startMosquitto(data)
const ours: Result[] = []
const theirs: Result[] = []
for (let round = 0; round < rounds; round++) {
  const turns = [
    async () => {
      ours.push(await measure(lotwatch.order(), lotwatch.pids))
      say(show('lotwatch', ours.at(-1) as Result)) // just pushed
    },
    async () => {
      if (mosquitto === undefined) return
      theirs.push(await measure(mosquitto.order, mosquitto.pids))
      say(show('mosquitto', theirs.at(-1) as Result)) // just pushed
    },
  ]
  // Who goes first changes, so that neither always meets the warmer machine.
  for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn()
}
const top = median(ours.map((result) => result.perSec))
say(`median: lotwatch ${Math.round(top).toLocaleString('en')}/s`)
if (theirs.length > 0) {
  const peer = median(theirs.map((result) => result.perSec))
  say(
    `median: mosquitto ${Math.round(peer).toLocaleString('en')}/s; ratio ${(top / peer).toFixed(2)} (floor 1.3, goal 2.5)`,
  )
}
say(show('half rate', await measure(lotwatch.order(top / 2), lotwatch.pids)))
say(
  `memory: broker ${residentMiBOf(lotwatch.pids.broker)} MiB, ingest ${residentMiBOf(lotwatch.pids.ingest)} MiB`,
)
await mosquitto?.stop()
await lotwatch.system.stop()
rmSync(data, { recursive: true })
