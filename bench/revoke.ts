/**
 * From the answer to an operator's call that revokes a device (its credential ended, or the device suspended) to its closed
 * socket, as the device sees it, with thousands of connections open.
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import type { IssuedCredential } from '../core/contract/client.ts'
import { System } from '../test/kit/system.ts'
import { Child } from './kit/child.ts'
import type { ConnectReport } from './kit/connect-load.ts'
import { Latencies } from './kit/latencies.ts'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '5000' },
    revocations: { type: 'string', default: '1000' },
  },
})
const connections = Number(values.connections)
const revocations = Number(values.revocations)
const registersAtOnce = 20
const overdueMs = 10_000
/** Wall clock in milliseconds with a fraction: shared with the process that holds the connections. */
const nowMs = () => performance.timeOrigin + performance.now()
const say = (line: string) => process.stdout.write(`${line}\n`)

interface Device {
  readonly deviceId: string
  readonly token: string
  readonly credentialId: string
}

const system = await System.start({
  env: {
    provisioning: { LOTWATCH_PROVISIONING_LOG_LEVEL: 'warn' },
    broker: { LOTWATCH_BROKER_LOG_LEVEL: 'warn' },
  },
})

async function register(deviceId: string): Promise<Device> {
  const { credential } = await system.registry.json<IssuedCredential>('/v1/devices', {
    method: 'POST',
    body: { deviceId, lotId: 'bench', assignedFromMs: 0 },
  })
  return {
    deviceId,
    token: await system.deviceToken(credential),
    credentialId: credential.credentialId ?? '',
  }
}

await system.registry.json('/v1/lots/bench', { method: 'PUT', body: { name: 'bench', capacities: [] } })
const devices: Device[] = []
let next = 0
await Promise.all(
  Array.from({ length: registersAtOnce }, async () => {
    while (next < connections) devices.push(await register(`bench-${next++}`))
  }),
)
const load = new Child('connect-load', { port: system.mqttPort, devices, concurrency: 200 })
const { refused } = await load.next<ConnectReport>('connected')
say(
  `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${devices.length - refused} connections open, ${revocations} revocations, one after the other`,
)

const closedAtMs = new Map<string, number>()
let hear: () => void = () => undefined
load.process.on('message', ({ closed }: { closed?: { deviceId: string; atMs: number } }) => {
  if (closed === undefined) return
  closedAtMs.set(closed.deviceId, closed.atMs)
  hear()
})
async function closedAt(deviceId: string): Promise<number> {
  const deadline = nowMs() + overdueMs
  for (;;) {
    const atMs = closedAtMs.get(deviceId)
    if (atMs !== undefined) return atMs
    if (nowMs() > deadline) throw new Error(`${deviceId} is still connected`)
    await new Promise<void>((resolve) => {
      hear = resolve
      setTimeout(resolve, 1000).unref()
    })
  }
}

const fromAnswer = new Latencies()
const fromCall = new Latencies()
let longestMs = 0
for (const [i, device] of devices.slice(0, revocations).entries()) {
  const calledMs = nowMs()
  const path = `/v1/devices/${device.deviceId}`
  if (i % 2 === 0)
    await system.registry.json(`${path}/credentials/${device.credentialId}`, { method: 'DELETE' })
  else await system.registry.json(`${path}/suspend`, { method: 'POST' })
  const answeredMs = nowMs()
  const atMs = await closedAt(device.deviceId)
  // Closed before the answer came is closed in no time.
  fromAnswer.add(Math.max(0, atMs - answeredMs))
  fromCall.add(atMs - calledMs)
  longestMs = Math.max(longestMs, atMs - answeredMs)
}
say(
  `from the API’s answer to the closed socket: p50 ${fromAnswer.percentile(0.5)} ms, p99 ${fromAnswer.percentile(0.99)} ms, longest ${longestMs.toFixed(1)} ms (floor 1000 ms)`,
)
say(`from the call: p50 ${fromCall.percentile(0.5)} ms, p99 ${fromCall.percentile(0.99)} ms`)
if (closedAtMs.size !== revocations) throw new Error(`${closedAtMs.size} connections were closed`)
await load.stop()
await system.stop()
