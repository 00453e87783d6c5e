/**
 * CONNECTs per second of devices with access tokens (ES256), beside the same broker with its authentication taken out.
 * Cold: the broker has just started and has seen no token. Storm: all devices come again at once, with tokens it has seen.
 * Alternates; prints each round, the medians and the ratios, then what an idle connection holds in memory.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { initTls } from '../cli/tls.ts'
import { type BrokerUnderTest, startBroker } from '../test/kit/broker.ts'
import { heldBy, inspectable } from '../test/kit/inspector.ts'
import { startIssuer } from '../test/kit/issuer.ts'
import { eventually, freePort } from '../test/kit/program.ts'
import { Child, median, residentMiBOf } from './kit/child.ts'
import type { ConnectOrder, ConnectReport } from './kit/connect-load.ts'
import { buildOpenBroker } from './kit/open-broker.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    devices: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '200' },
    'no-tls': { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const count = Number(values.devices)
const concurrency = Number(values.concurrency)
const say = (line: string) => process.stdout.write(`${line}\n`)

interface Pass {
  readonly coldPerSec: number
  readonly stormPerSec: number
}

const issuer = await startIssuer()
const openBroker = await buildOpenBroker()

async function start(env: Record<string, string> = {}, bundle?: string): Promise<BrokerUnderTest> {
  return startBroker({
    issuer,
    env: { LOTWATCH_BROKER_CONNECTIONS_MAX: '100000', ...env },
    nodeOptions: ['--max-semi-space-size=64', ...inspectable],
    ...(bundle === undefined ? {} : { bundle }),
  })
}

async function connectionsOf(broker: BrokerUnderTest): Promise<number> {
  const scheme = broker.program.ready.mqttsPort === undefined ? 'http' : 'https'
  if (scheme === 'https') return Number.NaN
  const text = await (await fetch(`${broker.url}/metrics`)).text()
  return Number(/^lotwatch_broker_connections (\d+)$/m.exec(text)?.[1])
}

/** Connects everybody. @returns per second, and what holds the connections open */
async function connectAll(order: ConnectOrder): Promise<{ perSec: number; child: Child }> {
  const child = new Child('connect-load', order)
  const { tookMs, refused } = await child.next<ConnectReport>('connected')
  if (refused > 0) throw new Error(`${refused} CONNECTs were refused`)
  return { perSec: order.devices.length / (tookMs / 1000), child }
}

async function measure(devices: ConnectOrder['devices'], bundle?: string): Promise<Pass> {
  const broker = await start({}, bundle)
  const order = { port: broker.port, devices, concurrency }
  const cold = await connectAll(order)
  await cold.child.stop()
  await eventually(async () => (await connectionsOf(broker)) === 0, 30_000)
  const storm = await connectAll(order)
  await storm.child.stop()
  await broker.stop()
  return { coldPerSec: cold.perSec, stormPerSec: storm.perSec }
}

/** Bytes per idle connection, garbage collected. */
async function measureMemory(devices: ConnectOrder['devices'], env: Record<string, string>, tls: boolean) {
  const broker = await start(env)
  const port = tls ? Number(broker.program.ready.mqttsPort) : broker.port
  // A few first: code that is compiled and tables that are made once are no connection's.
  const few = await connectAll({ port, devices: devices.slice(0, 100), concurrency, tls })
  await few.child.stop()
  const before = await heldBy(broker.program)
  const beforeMiB = residentMiBOf(broker.program.process.pid)
  const all = await connectAll({ port, devices, concurrency, tls })
  const after = await heldBy(broker.program)
  const kib = (bytes: number) => (bytes / devices.length / 1024).toFixed(1)
  say(
    `memory per idle ${tls ? 'TLS' : 'plain'} connection at ${devices.length}: heap ${kib(after.heapBytes - before.heapBytes)} KiB, external ${kib(after.externalBytes - before.externalBytes)} KiB; resident ${kib((residentMiBOf(broker.program.process.pid) - beforeMiB) * 1024 * 1024)} KiB (plain: 12 KiB of heap and external at most)`,
  )
  await all.child.stop()
  await broker.stop()
}

const tokens = await start()
const devices: { deviceId: string; token: string }[] = []
for (let i = 0; i < count; i++) {
  const deviceId = `bench-${i}`
  devices.push({
    deviceId,
    token: await tokens.token(deviceId, { exp: Math.floor(Date.now() / 1000) + 7200 }),
  })
}
await tokens.stop()
say(
  `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${count} devices, ${concurrency} CONNECTs at a time, ${rounds} rounds`,
)
const ours: Pass[] = []
const open: Pass[] = []
const show = (name: string, { coldPerSec, stormPerSec }: Pass) =>
  say(`${name.padEnd(18)} cold ${Math.round(coldPerSec)}/s  storm ${Math.round(stormPerSec)}/s`)
for (let round = 0; round < rounds; round++) {
  const turns = [
    async () => {
      const pass = await measure(devices)
      ours.push(pass)
      show('authenticated', pass)
    },
    async () => {
      const pass = await measure(devices, openBroker)
      open.push(pass)
      show('no authentication', pass)
    },
  ]
  // Who goes first changes, so that neither always meets the warmer machine.
  for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn()
}
const ratio = (of: (pass: Pass) => number) => (median(ours.map(of)) / median(open.map(of))).toFixed(2)
say(
  `median: cold ${Math.round(median(ours.map((pass) => pass.coldPerSec)))}/s, ratio ${ratio((pass) => pass.coldPerSec)} (floor 0.5, goal 0.65); storm ${Math.round(median(ours.map((pass) => pass.stormPerSec)))}/s, ratio ${ratio((pass) => pass.stormPerSec)} (floor 0.8, goal 0.9)`,
)
await measureMemory(devices, {}, false)
if (!values['no-tls']) {
  const folder = mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
  await initTls(folder, { servers: [{ name: 'localhost', others: [] }], days: 1, now: new Date() })
  const env = {
    LOTWATCH_BROKER_MQTTS_HOST: '127.0.0.1',
    LOTWATCH_BROKER_MQTTS_PORT: String(await freePort()),
    LOTWATCH_BROKER_TLS_CERT_FILE: join(folder, 'localhost.pem'),
    LOTWATCH_BROKER_TLS_KEY_FILE: join(folder, 'localhost.key'),
  }
  await measureMemory(devices, env, true)
  rmSync(folder, { recursive: true })
}
await issuer.stop()
