/**
 * Tokens per second of the token endpoint (ES256, `client_secret_basic`, quotas and decisions on), beside npm's
 * `oidc-provider` with the same clients and the same grant. Alternates; prints each round, the medians and the ratio,
 * then the same with one rule. Before it, how provisioning starts with ever more devices.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Child, cpuSecOf, median, residentMiBOf } from './kit/child.ts'
import { audience, fillTo, openDevices, scope, startProvisioning } from './kit/registry.ts'
import type { TokenLoadOrder, TokenLoadReport } from './kit/token-load.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '8' },
    clients: { type: 'string', default: '100000' },
    connections: { type: 'string', default: '50' },
    profile: { type: 'string' },
    alone: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const clients = Number(values.clients)
const connections = Number(values.connections)
const warmUpMs = 2000
const rule = `function (user, context, callback) {
  if (context.clientID === 'BANNED_CLIENT_ID') {
    return callback(new UnauthorizedError('Access to this application has been temporarily revoked'));
  }
  context.accessToken['urn:bench:rule'] = 'ran';
  callback(null, user, context);
}
`

interface Result {
  readonly perSec: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor microseconds of the server per token, all its threads. */
  readonly cpuUs: number
}

interface Contender {
  readonly name: string
  readonly port: number
  readonly path: string
  readonly body: string
  readonly pid: number | undefined
  readonly results: Result[]
}

const say = (line: string) => process.stdout.write(`${line}\n`)
const rate = (perSec: number) => `${Math.round(perSec).toLocaleString('en').padStart(6)}/s`
const form = (fields: Record<string, string>) => new URLSearchParams(fields).toString()

async function measure(contender: Contender, credentialsFile: string): Promise<void> {
  const { port, path, body } = contender
  const order: TokenLoadOrder = { port, path, body, credentialsFile, connections }
  const load = new Child('token-load', order)
  await load.next('connected')
  await delay(warmUpMs)
  load.tell('measure')
  const startMs = performance.now()
  const cpuBefore = cpuSecOf(contender.pid)
  await delay(seconds * 1000)
  load.tell('report')
  const tookSec = (performance.now() - startMs) / 1000
  const cpuSec = cpuSecOf(contender.pid) - cpuBefore
  const { issued, p50Ms, p99Ms } = await load.next<TokenLoadReport>('report')
  await load.stop()
  const result = { perSec: issued / tookSec, p50Ms, p99Ms, cpuUs: (cpuSec * 1e6) / issued }
  contender.results.push(result)
  say(
    `${contender.name.padEnd(14)} ${rate(result.perSec)}  p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms  ${Math.round(result.cpuUs)} µs a token`,
  )
}

/** Lets every client come once, so that both contenders know them all: the peer looked them up when it started. */
async function meetAll({ port, path, body }: Contender, credentialsFile: string): Promise<void> {
  const load = new Child('token-load', { port, path, body, credentialsFile, connections })
  await load.next('connected')
  load.tell('measure')
  for (let issued = 0; issued < clients; ) {
    await delay(500)
    load.tell('report')
    issued = (await load.next<TokenLoadReport>('report')).issued
  }
  await load.stop()
}

/** Whether a token shows what the rule adds. */
async function ruleRuns({ port, path, body }: Contender, credentialsFile: string): Promise<boolean> {
  const [first = ''] = readFileSync(credentialsFile, 'latin1').split('\n', 1)
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(first).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body,
  })
  const { access_token: token = '' } = (await answer.json()) as { access_token?: string }
  return Buffer.from(token.split('.')[1] ?? '', 'base64url').includes('"urn:bench:rule"')
}

const data = mkdtempSync(join(tmpdir(), 'lotwatch-bench-'))
try {
  say(
    `${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}; ${connections} connections, ${clients.toLocaleString('en')} clients, ${rounds} × ${seconds} s`,
  )
  // The first start makes the keys.
  await (await startProvisioning(data)).program.stop()
  const devices = openDevices(data)
  for (const count of [1000, 10_000, 100_000].filter((some) => some < clients).concat(clients)) {
    await fillTo(data, devices, count)
    const { program, tookMs } = await startProvisioning(data)
    await delay(1000)
    say(
      `${count.toLocaleString('en').padStart(7)} devices: ready after ${Math.round(tookMs)} ms, ${residentMiBOf(program.process.pid)} MiB`,
    )
    await program.stop()
  }
  const { credentialsFile } = devices

  const profile = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  const startOurs = async (name: string) => {
    const { program, port } = await startProvisioning(data, {
      // As lotctl up starts it.
      nodeOptions: ['--max-semi-space-size=32', ...profile],
      env: { LOTWATCH_PROVISIONING_LOG_LEVEL: 'info' },
    })
    const body = form({ grant_type: 'client_credentials', audience, scope })
    const pid = program.process.pid
    return { program, contender: { name, port, path: '/oauth/token', body, pid, results: [] } as Contender }
  }
  const startPeer = async () => {
    const peer = new Child('oidc-peer', { credentialsFile, audience, scope })
    const port = await peer.next<number>('port')
    const body = form({ grant_type: 'client_credentials', resource: audience, scope })
    const contender: Contender = {
      name: 'oidc-provider',
      port,
      path: '/token',
      body,
      pid: peer.process.pid,
      results: [],
    }
    return { peer, contender }
  }

  const ours = await startOurs('lotwatch')
  const theirs = values.alone ? undefined : await startPeer()
  await meetAll(ours.contender, credentialsFile)
  for (let round = 0; round < rounds; round++) {
    const turns = [ours.contender, ...(theirs === undefined ? [] : [theirs.contender])]
    // Who goes first changes, so that neither always meets the warmer machine.
    for (const contender of round % 2 === 0 ? turns : turns.reverse())
      await measure(contender, credentialsFile)
  }
  const top = median(ours.contender.results.map(({ perSec }) => perSec))
  const topP99 = median(ours.contender.results.map(({ p99Ms }) => p99Ms))
  say(`median: lotwatch ${rate(top)}, p99 ${topP99.toFixed(1)} ms, ${residentMiBOf(ours.contender.pid)} MiB`)
  if (theirs !== undefined) {
    const peer = median(theirs.contender.results.map(({ perSec }) => perSec))
    const p99 = median(theirs.contender.results.map(({ p99Ms }) => p99Ms))
    say(
      `median: oidc-provider ${rate(peer)}, p99 ${p99.toFixed(1)} ms, ${residentMiBOf(theirs.contender.pid)} MiB; ratio ${(top / peer).toFixed(2)} (floor 2.5 with a lower p99, goal 4)`,
    )
  }
  const lines = ours.program.lines.filter((line) => /"level":"(warn|error|fatal)"/.test(line))
  for (const line of lines.slice(0, 5)) say(line)
  await ours.program.stop()
  await theirs?.peer.stop()

  mkdirSync(join(data, 'rules'), { recursive: true })
  writeFileSync(join(data, 'rules', '10-banned.js'), rule)
  const ruled = await startOurs('with one rule')
  if (await ruleRuns(ruled.contender, credentialsFile)) {
    await meetAll(ruled.contender, credentialsFile)
    for (let round = 0; round < rounds; round++) await measure(ruled.contender, credentialsFile)
    const ruledTop = median(ruled.contender.results.map(({ perSec }) => perSec))
    say(`median: with one rule ${rate(ruledTop)}, ${((100 * ruledTop) / top).toFixed(0)} % of without`)
  } else say('with one rule: not measured, the rule did not run')
  await ruled.program.stop()
} finally {
  rmSync(data, { recursive: true })
}
