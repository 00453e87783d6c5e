/** The agent under systemd: the files it installs, judged by systemd itself, and what it says while it runs. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { root } from '../../scripts/build.mjs'
import { startCommand } from '../kit/command.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { eventually, makeDataDir, type Program, startProgram } from '../kit/program.ts'
import {
  startTestBroker,
  startTestIssuer,
  type TestBroker,
  type TestIssuer,
  writeCredential,
} from '../unit/agent/peers.ts'

const agent = join(root, 'dist/agent.mjs')
let data: ReturnType<typeof makeDataDir>
beforeEach(() => {
  data = makeDataDir()
})
afterEach(() => data.remove())

const run = (...args: readonly string[]) => startCommand(agent, args, { LOT_AGENT_CONFIG: '/dev/null' }).ended
const unit = (name: string) => join(data.path, 'etc/systemd/system', name)
const units = ['lot-agent.service', 'lot-agent-enrol.service'] as const
const settings = () => join(data.path, 'etc/lot-agent/config.yaml')

// Real programs, several after another: a busy machine may take its time.
const options = { timeout: 120_000 }

describe('lot-agent service', options, () => {
  it('writes user, units and settings below a root, and takes the units away again', async () => {
    expect(await run('service', 'install', '--root', data.path)).toMatchObject({ exit: 0, stderr: '' })
    const text = readFileSync(unit('lot-agent.service'), 'utf8')
    expect(text).toContain(`ExecStart="${process.execPath}" "${agent}" run`)
    expect(readFileSync(join(data.path, 'etc/sysusers.d/lot-agent.conf'), 'utf8')).toMatch(/^u lot-agent /m)
    writeFileSync(settings(), 'agent: {}\n')
    await run('service', 'install', '--root', data.path)
    expect(readFileSync(settings(), 'utf8')).toBe('agent: {}\n')

    expect((await run('service', 'uninstall', '--root', data.path)).exit).toBe(0)
    for (const name of units) expect(existsSync(unit(name))).toBe(false)
    expect(existsSync(settings())).toBe(true)
  })

  it('does nothing when it is only asked what it would do', async () => {
    const { exit, stdout } = await run('service', 'install', '--dry-run')
    expect(exit).toBe(0)
    expect(stdout).toContain('write /etc/systemd/system/lot-agent.service')
    expect(stdout).toContain('run systemctl enable lot-agent.service lot-agent-enrol.service')
    expect(existsSync('/etc/systemd/system/lot-agent.service')).toBe(false)
  })

  it('never waits for the network or the time before it counts, and always comes back', async () => {
    await run('service', 'install', '--root', data.path)
    const text = readFileSync(unit('lot-agent.service'), 'utf8').replace(/^#.*$/gm, '')
    expect(text).not.toMatch(/^(After|Wants|Requires|BindsTo)=/m)
    for (const line of ['Restart=always', 'StartLimitIntervalSec=0', 'WatchdogSec=120', 'NotifyAccess=all'])
      expect(text.split('\n')).toContain(line)
  })

  it('comes with settings that the agent understands', async () => {
    await run('service', 'install', '--root', data.path)
    const env = { LOT_AGENT_CONFIG: settings() }
    const { exit, stderr } = await startCommand(agent, ['status'], env).ended
    expect({ exit, stderr }).toMatchObject({ exit: 1, stderr: expect.stringContaining('agent.unavailable') })
  })
})

describeWithCommand('systemd-analyze')('the units, as systemd reads them', options, () => {
  /** Everything it says: what it does not know it warns of, and goes on. */
  function analyze(...args: readonly string[]): string {
    const { stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
    return stdout + stderr
  }
  let image: ReturnType<typeof makeDataDir>
  const unit = (name: string) => join(image.path, 'etc/systemd/system', name)
  beforeAll(async () => {
    image = makeDataDir()
    await run('service', 'install', '--root', image.path)
  }, 120_000)
  afterAll(() => image.remove())

  it.each(units)('have nothing that it does not know: %s', (name) => {
    expect(analyze('verify', '--man=no', '--recursive-errors=no', unit(name))).toBe('')
  })

  it.each(units)('leave little to whoever takes the program over: %s', (name) => {
    const table = analyze('security', '--offline=true', '--no-pager', unit(name))
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(table)?.[1])
    expect(exposure).toBeLessThan(name === 'lot-agent.service' ? 2 : 3)
  })

  it('would say so of a unit that is not confined', () => {
    const bare = join(data.path, 'bare.service')
    writeFileSync(bare, '[Service]\nExecStart=/bin/true\nProtectSytem=strict\n')
    expect(analyze('verify', '--man=no', '--recursive-errors=no', bare)).toContain('ProtectSytem')
    const table = analyze('security', '--offline=true', '--no-pager', bare)
    expect(Number(/Overall exposure level for \S+: ([\d.]+)/.exec(table)?.[1])).toBeGreaterThan(9)
  })
})

describe('while it runs under systemd', options, () => {
  let broker: TestBroker
  let issuer: TestIssuer
  let program: Program | undefined

  beforeEach(async () => {
    broker = await startTestBroker()
    issuer = await startTestIssuer()
    // It writes down what it is told to say.
    const bin = join(data.path, 'bin')
    mkdirSync(bin)
    const said = join(data.path, 'said')
    writeFileSync(join(bin, 'systemd-notify'), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> '${said}'\n`)
    chmodSync(join(bin, 'systemd-notify'), 0o755)
    writeFileSync(said, '')
  })
  afterEach(async () => {
    await program?.kill()
    program = undefined
    await broker.stop()
    issuer.stop()
  })

  const said = () => readFileSync(join(data.path, 'said'), 'utf8').split('\n').slice(0, -1)
  const start = async (env: Record<string, string> = {}) => {
    program = await startProgram('agent', {
      args: ['run'],
      env: {
        PATH: `${join(data.path, 'bin')}:${process.env.PATH}`,
        NOTIFY_SOCKET: '/run/of/the/test',
        LOT_AGENT_CREDENTIAL_FILE: join(data.path, 'credentials.json'),
        LOT_AGENT_OUTBOX_DIR: join(data.path, 'outbox'),
        LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
        LOT_AGENT_SCHEDULE: '* * * * * *',
        LOT_AGENT_FLUSH_EVERY_MS: '0',
        LOT_AGENT_RECONNECT_MIN_MS: '20',
        ...env,
      },
    })
    return program
  }
  const credential = () =>
    writeCredential(join(data.path, 'given.json'), {
      deviceId: 'north-1',
      brokerUrl: broker.url,
      tokenEndpoint: issuer.tokenEndpoint,
    })

  it('says that it is ready before it is enrolled, then how far it has come, then that it stops', async () => {
    broker.connack = 3
    const running = await start()
    await eventually(() => said().length > 0)
    expect(said()[0]).toMatch(/^\/run\/of\/the\/test --ready --status=enrolled waiting: .*; 0 queued/)
    writeFileSync(join(data.path, 'credentials.json'), readFileSync(credential()), { mode: 0o600 })
    await eventually(() => said().some((line) => /sensor → token → MQTT failed: connack_3/.test(line)))
    broker.connack = 0
    await eventually(() =>
      said().some((line) => /enrolled → clock → sensor → token → MQTT → 0 queued/.test(line)),
    )
    const beganMs = performance.now()
    expect(await running.stop()).toBe(0)
    expect(performance.now() - beganMs).toBeLessThan(5000)
    expect(said().at(-1)).toContain('STOPPING=1')
    expect(said().filter((line) => line.includes('--ready'))).toHaveLength(1)
  })

  it('feeds the watchdog, with nothing else to say', async () => {
    await start({ WATCHDOG_USEC: '2000000' })
    await eventually(() => said().filter((line) => line.endsWith(' WATCHDOG=1')).length >= 2)
  })

  it('counts on when nobody can be told', async () => {
    writeFileSync(join(data.path, 'bin/systemd-notify'), '#!/bin/sh\nexit 1\n')
    const running = await start()
    await eventually(() => running.lines.some((line) => line.includes('systemd.not_told')))
    const asked = () =>
      startCommand(agent, ['status', '--json'], {
        LOT_AGENT_CONFIG: '/dev/null',
        LOT_AGENT_OUTBOX_DIR: join(data.path, 'outbox'),
      }).ended
    await eventually(async () => JSON.parse((await asked()).stdout).status.queue.readings > 0, 20_000)
  })

  it('takes over a credential that systemd hands to it, once', async () => {
    const folder = join(data.path, 'handed')
    mkdirSync(folder)
    writeFileSync(join(folder, 'lot-agent.credentials'), readFileSync(credential()), { mode: 0o400 })
    const running = await start({ CREDENTIALS_DIRECTORY: folder })
    expect(running.ready).toMatchObject({ deviceId: 'north-1' })
    const file = join(data.path, 'credentials.json')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await running.kill()
    const own = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...own, credentialId: 'rotated' }))
    await start({ CREDENTIALS_DIRECTORY: folder })
    expect(JSON.parse(readFileSync(file, 'utf8')).credentialId).toBe('rotated')
  })
})

describe('lot-agent doctor', options, () => {
  it('says what is missing and what to do next, with and without a running agent', async () => {
    const env = {
      LOT_AGENT_CONFIG: '/dev/null',
      LOT_AGENT_CREDENTIAL_FILE: join(data.path, 'credentials.json'),
      LOT_AGENT_OUTBOX_DIR: join(data.path, 'outbox'),
      LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
      LOT_AGENT_SCHEDULE: '* * * * * *',
      LOT_AGENT_FLUSH_EVERY_MS: '0',
    }
    const doctor = () => startCommand(agent, ['doctor'], env).ended
    const bare = await doctor()
    expect(bare.exit).toBe(3)
    expect(bare.stdout).toMatch(/agent +failed: the agent does not run[\s\S]*→ systemctl start/)
    expect(bare.stdout).toMatch(/enrolled +failed[\s\S]*→ lot-agent enrol/)

    const broker = await startTestBroker()
    const issuer = await startTestIssuer()
    writeCredential(env.LOT_AGENT_CREDENTIAL_FILE, {
      deviceId: 'north-1',
      brokerUrl: broker.url,
      tokenEndpoint: issuer.tokenEndpoint,
    })
    issuer.status = 401
    const refused = await doctor()
    expect(refused.stdout).toMatch(/token +failed: .*invalid_client[\s\S]*→ .*revoked/)
    expect(refused.stdout).toMatch(/MQTT +ok/)
    expect(broker.passwords).toEqual([])

    issuer.status = 200
    const program = await startProgram('agent', { args: ['run'], env })
    await eventually(async () => (await doctor()).exit === 0, 20_000)
    expect((await doctor()).stdout).toMatch(/agent +ok[\s\S]*MQTT +ok[\s\S]*queue +ok/)
    await program.kill()
    await broker.stop()
    issuer.stop()
  })

  it('names every fault of the settings', async () => {
    const { exit, stdout } = await startCommand(agent, ['doctor'], {
      LOT_AGENT_CONFIG: '/dev/null',
      LOT_AGENT_SCHEDULE: 'whenever',
      LOT_AGENT_OUTBOX_DRI: 'x',
    }).ended
    expect(exit).toBe(3)
    expect(stdout).toMatch(/settings +failed: .*LOT_AGENT_OUTBOX_DRI/)
  })
})
