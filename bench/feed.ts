/**
 * How soon an event reaches all followers of the feed: from the moment the change is asked for over HTTP, which is
 * before its commit, to the moment the last follower has read it. Alone, and while tokens are asked for all the time.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createTokenSource } from '../core/auth/token-source.ts'
import { audiences } from '../core/contract/principal.ts'
import { readCredentialFile } from '../core/runtime/credential.ts'
import { createApi, createFetch } from '../core/runtime/fetch.ts'
import { Child } from './kit/child.ts'
import { Latencies } from './kit/latencies.ts'
import { audience, fillTo, openDevices, scope, startProvisioning } from './kit/registry.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '500' },
    followers: { type: 'string', default: '10' },
    clients: { type: 'string', default: '1000' },
  },
})
const events = Number(values.events)
const followers = Number(values.followers)
const everyMs = 20

const say = (line: string) => process.stdout.write(`${line}\n`)
const nowMs = () => performance.timeOrigin + performance.now()

const data = mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
try {
  // The first start makes the keys.
  await (await startProvisioning(data)).program.stop()
  const devices = openDevices(data)
  await fillTo(data, devices, Number(values.clients))
  const { program, port } = await startProvisioning(data)
  const baseUrl = `http://127.0.0.1:${port}`
  const tokensOf = (file: string) =>
    createTokenSource({
      credential: { ...readCredentialFile(join(data, file)), token_endpoint: `${baseUrl}/oauth/token` },
      audience: audiences.provisioning,
      fetch: createFetch(),
      nowMs: () => performance.now(),
      random: Math.random,
    })
  const api = createApi({
    baseUrl,
    tokens: tokensOf('operator.json'),
    fetch: createFetch(),
    unavailable: 'system.busy',
  })

  const readers = new Child('followers', {
    url: `${baseUrl}/v1/feed`,
    token: (await tokensOf('services/broker.json').get()).token,
    followers,
    mark: '"name":"event-',
  })
  const reads = new Map<string, number>()
  const last = new Map<string, number>()
  readers.process.on('message', (message: { read?: { name: string; atMs: number } }) => {
    if (message.read === undefined) return
    const { name, atMs } = message.read
    reads.set(name, (reads.get(name) ?? 0) + 1)
    last.set(name, Math.max(last.get(name) ?? 0, atMs))
  })
  await readers.next('connected')

  const round = async (name: string) => {
    const sent = new Map<string, number>()
    for (let n = 0; n < events; n++) {
      const event = `${name}-${n}`
      sent.set(event, nowMs())
      await api.json('/v1/lots/bench', { method: 'PUT', body: { name: `event-${event}`, capacities: [] } })
      await delay(everyMs)
    }
    const deadlineMs = performance.now() + 10_000
    while ([...sent.keys()].some((event) => reads.get(event) !== followers)) {
      if (performance.now() > deadlineMs) throw new Error('not every follower read every event')
      await delay(everyMs)
    }
    const latencies = new Latencies()
    for (const [event, sentAtMs] of sent) latencies.add((last.get(event) as number) - sentAtMs) // all were read
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => latencies.percentile(share).toFixed(1))
    say(`${name.padEnd(12)} p50 ${p50} ms  p99 ${p99} ms  longest ${max} ms  (floor: p99 within 100 ms)`)
  }

  say(
    `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${events} events, ${followers} followers, from the request to the last follower`,
  )
  await round('alone')
  const body = new URLSearchParams({ grant_type: 'client_credentials', audience, scope }).toString()
  const load = new Child('token-load', {
    port,
    path: '/oauth/token',
    body,
    credentialsFile: devices.credentialsFile,
    connections: 10,
  })
  await load.next('connected')
  await round('with tokens')
  await load.stop()
  await readers.stop()
  await program.stop()
} finally {
  rmSync(data, { recursive: true })
}
