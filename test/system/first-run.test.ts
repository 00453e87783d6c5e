/** What a stranger sees: one command, a system that works, Ctrl-C, and everything still there the next time. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, LatestRow, SeriesRow } from '../../core/contract/query.ts'
import { root } from '../../scripts/build.mjs'
import type { RunningCommand } from '../kit/command.ts'
import { lotctlUpEnv, runLotctl, startLotctl } from '../kit/lotctl.ts'
import { eventually, freePort, makeDataDir } from '../kit/program.ts'

const shell = promisify(execFile)
const readyMsMax = 30_000
const stopMsMax = 5000
const lots = 12
/** The past week, a reading each five minutes. */
const historyPerLot = 7 * 24 * 12

let dir: ReturnType<typeof makeDataDir>
let env: Record<string, string>
let running: RunningCommand[] = []

beforeAll(async () => {
  dir = makeDataDir()
  env = await lotctlUpEnv(dir.path)
})
afterAll(() => dir.remove())
afterEach(async () => {
  for (const { process } of running) process.kill('SIGKILL')
  await Promise.all(running.map(({ ended }) => ended))
  running = []
})

function start(...args: string[]): RunningCommand {
  const lotctl = startLotctl(['up', ...args], env)
  running.push(lotctl)
  return lotctl
}

/** As Ctrl-C does it. */
async function interrupt(lotctl: RunningCommand): Promise<{ exit: number | null; tookMs: number }> {
  const sinceMs = performance.now()
  lotctl.process.kill('SIGINT')
  const { exit } = await lotctl.ended
  return { exit, tookMs: performance.now() - sinceMs }
}

async function countsOfLots(): Promise<Map<string, number>> {
  const query = ['series', '--from', '-8d', '--every', '1d', '--agg', 'count', '-o', 'json']
  const { stdout, stderr, exit } = await runLotctl(query, env)
  if (exit !== 0) throw new Error(`ended with ${exit}: ${stderr}`)
  const counts = new Map<string, number>()
  for (const { lotId, count = 0 } of (JSON.parse(stdout) as Answer<SeriesRow>).rows)
    counts.set(lotId, (counts.get(lotId) ?? 0) + count)
  return counts
}

/** Process ids of the programs it has started, by the name of their bundle. */
function childrenOf(lotctl: RunningCommand): Map<string, number> {
  const { pid } = lotctl.process
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
  const nameOf = (child: number) =>
    /([a-z]+)\.mjs/.exec(readFileSync(`/proc/${child}/cmdline`, 'utf8'))?.[1] ?? 'another'
  return new Map(pids.map((child) => [nameOf(child), child]))
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('one command', { timeout: 90_000 }, () => {
  it('runs a system with a week behind it, says how to ask it, and ends on Ctrl-C', async () => {
    const lotctl = start('--demo')
    const [, seconds] = await lotctl.says(/^ready in ([0-9.]+) s$/m)
    expect(Number(seconds) * 1000).toBeLessThan(readyMsMax)

    // A shell runs the line as it is printed; curl alone is stood in for, it need not be installed.
    const [, line] = await lotctl.says(/(curl -H .*)$/m)
    const script = `curl() { printf '%s\\n' "$2" "$3"; }; ${line}`
    const { stdout } = await shell('sh', ['-c', script], { cwd: root, env: { PATH: process.env.PATH } })
    const [authorization = '', url = ''] = stdout.split('\n')
    const headers = { authorization: authorization.replace('Authorization: ', '') }
    const latest = (await (await fetch(url, { headers })).json()) as Answer<LatestRow>
    expect(latest.rows).toHaveLength(lots)

    const counts = await eventually(async () => {
      const found = await countsOfLots()
      const isThere = found.size === lots && [...found.values()].every((count) => count >= historyPerLot)
      return isThere ? found : undefined
    }, 30_000)
    expect(counts.size).toBe(lots)
    await lotctl.says(/^[0-9,]+ readings stored · .* 12 of 12 devices connected/m)

    const programs = childrenOf(lotctl)
    const { exit, tookMs } = await interrupt(lotctl)
    expect(exit).toBe(0)
    expect(tookMs).toBeLessThan(stopMsMax)
    expect([...programs.keys()].sort()).toEqual(['agent', 'broker', 'console', 'ingest', 'provisioning'])
    for (const pid of programs.values()) expect(isAlive(pid)).toBe(false)
  })

  it('speaks TLS throughout when its settings name certificates, and devices trust their authority', async () => {
    const own = makeDataDir()
    const file = (name: string) => join(own.path, 'tls', name)
    const made = await runLotctl(['tls', 'init', file(''), '--server', 'localhost:127.0.0.1'], {})
    expect(made.exit, made.stderr).toBe(0)
    const programs = ['PROVISIONING', 'INGEST', 'CONSOLE', 'BROKER']
    const secure = Object.fromEntries(
      programs.flatMap((name) => [
        [`LOTWATCH_${name}_TLS_CERT_FILE`, file('localhost.pem')],
        [`LOTWATCH_${name}_TLS_KEY_FILE`, file('localhost.key')],
      ]),
    )
    const ports = { LOTWATCH_BROKER_MQTTS_PORT: String(await freePort()) }
    const authority = { LOTWATCH_PROVISIONING_CA_FILE: file('ca.pem') }
    const recording = join(own.path, 'recording.csv')
    writeFileSync(
      recording,
      'SystemCodeNumber,Capacity,Occupancy,LastUpdated\nNorth,100,7,2026-01-05 08:00:00\n',
    )
    const lotctl = startLotctl(['up', '--replay', recording], {
      ...env,
      ...secure,
      ...ports,
      ...authority,
      LOTWATCH_DATA: join(own.path, 'data'),
    })
    running.push(lotctl)

    await lotctl.says(/^ {2}broker {8}mqtts:/m)
    await lotctl.says(/^ {2}ask {11}curl --cacert \S+ .* 'https:/m)
    await lotctl.says(/^1 readings? stored · .* 1 of 1 devices? connected/m)

    expect((await interrupt(lotctl)).exit).toBe(0)
    own.remove()
  })

  it('goes on with the same data, brings back what crashes, and takes all along when it is killed', async () => {
    const lotctl = start('--demo')
    await lotctl.says(/^ready in/m)
    const counts = await countsOfLots()
    for (const count of counts.values()) expect(count).toBeGreaterThanOrEqual(historyPerLot)

    const before = childrenOf(lotctl)
    process.kill(before.get('ingest') ?? Number.NaN, 'SIGKILL')
    await lotctl.says(/ingest +was ended by SIGKILL; starts again in/)
    const after = await eventually(async () => {
      const found = await countsOfLots()
      return found.size === lots ? found : undefined
    }, 20_000)
    for (const [lotId, count] of counts) expect(after.get(lotId)).toBeGreaterThanOrEqual(count)

    const second = await runLotctl(['up'], env)
    expect(second.exit).toBe(78)
    expect(second.stderr).toContain(`is in use by process ${lotctl.process.pid}`)

    const programs = [...childrenOf(lotctl).values()]
    expect(programs).toHaveLength(5)
    lotctl.process.kill('SIGKILL')
    const again = start()
    await again.says(/^ready in/m)
    for (const pid of programs) expect(isAlive(pid)).toBe(false)
    expect((await interrupt(again)).exit).toBe(0)
  })

  it('ends in time although one of its programs hangs', async () => {
    const lotctl = start()
    await lotctl.says(/^ready in/m)
    const programs = childrenOf(lotctl)
    process.kill(programs.get('ingest') ?? Number.NaN, 'SIGSTOP')
    const { exit, tookMs } = await interrupt(lotctl)
    expect(exit).toBe(0)
    expect(tookMs).toBeLessThan(stopMsMax)
    for (const pid of programs.values()) expect(isAlive(pid)).toBe(false)
  })

  it('names the port that is taken and the setting that chooses another', async () => {
    const server = createServer().listen(Number(env.LOTWATCH_INGEST_PORT), '127.0.0.1')
    await once(server, 'listening')
    try {
      const { exit, stdout, stderr } = await start().ended
      expect(exit).toBe(78)
      expect(stdout).not.toContain('program.failed')
      expect(stderr).toMatch(new RegExp(`${env.LOTWATCH_INGEST_PORT}.*LOTWATCH_INGEST_PORT`))
    } finally {
      server.close()
    }
  })

  it('passes on its settings file, and names every fault in it', async () => {
    const file = join(dir.path, 'lotwatch.yaml')
    writeFileSync(file, 'ingest: { port: many, treads: 2 }\nbroker: { batchAgeMss: 2 }\n')
    const { LOTWATCH_INGEST_PORT: _, ...others } = env
    const { exit, stderr } = await runLotctl(['up'], { ...others, LOTWATCH_CONFIG: file })
    expect(exit).toBe(78)
    expect(stderr).toMatch(/ingest\.port/)
    expect(stderr).toMatch(/ingest\.treads.*did you mean threads/)
    expect(stderr).toMatch(/broker\.batchAgeMss: unknown setting/)
  })
})
