/** How a board becomes a device of a running system, with the agent's own command. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Snapshot } from '../../agent/control.ts'
import { initTls } from '../../cli/tls.ts'
import { createTokenSource } from '../../core/auth/token-source.ts'
import type { CredentialRecord } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { EnrolKey, EnrolKeyRequest, Enrolment, IssuedEnrolKey } from '../../core/contract/enrolment.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { Assignment, Device } from '../../core/contract/registry.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { createApi, createFetch } from '../../core/runtime/fetch.ts'
import { root } from '../../scripts/build.mjs'
import { type Ended, type RunningCommand, startCommand } from '../kit/command.ts'
import { eventually, freePort, makeDataDir, type Program, startProgram } from '../kit/program.ts'
import { System } from '../kit/system.ts'

let system: System
let board: ReturnType<typeof makeDataDir>
let commands: RunningCommand[]
let programs: Program[]

beforeAll(async () => {
  system = await System.start()
  await system.registry.json('/v1/lots/north', { method: 'PUT', body: { name: 'North', capacities: [] } })
}, 120_000)
afterAll(() => system.stop())
beforeEach(() => {
  board = makeDataDir()
  commands = []
  programs = []
})
afterEach(async () => {
  for (const command of commands) {
    command.process.kill('SIGKILL')
    await command.ended
  }
  for (const program of programs) await program.kill()
  board.remove()
})

const env = () => ({
  LOT_AGENT_CONFIG: '/dev/null',
  LOT_AGENT_CREDENTIAL_FILE: join(board.path, 'credentials.json'),
  LOT_AGENT_OUTBOX_DIR: join(board.path, 'outbox'),
  LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
  LOT_AGENT_SCHEDULE: '* * * * * *',
  LOT_AGENT_RECONNECT_MIN_MS: '20',
  LOT_AGENT_RECONNECT_MAX_MS: '400',
})
function start(...args: readonly string[]): RunningCommand {
  const command = startCommand(join(root, 'dist/agent.mjs'), args, env())
  commands.push(command)
  return command
}
const enrol = (...args: readonly string[]): Promise<Ended> => start('enrol', ...args).ended
const keyOf = (request: EnrolKeyRequest = {}) =>
  system.registry.json<IssuedEnrolKey>('/v1/enrol-keys', {
    method: 'POST',
    body: { lotId: 'north', ...request },
  })
const credential = () =>
  JSON.parse(readFileSync(join(board.path, 'credentials.json'), 'utf8')) as CredentialFile
const deviceOf = (deviceId = '') =>
  system.registry.json<Device & { credentials: CredentialRecord[]; assignments: Assignment[] }>(
    `/v1/devices/${deviceId}`,
  )

// Real programs, several after another: a busy machine may take its time.
const options = { timeout: 120_000 }

describe('lot-agent enrol', options, () => {
  it('makes a key pair, becomes a device, and ends when its first reading is stored', async () => {
    const { key } = await keyOf({ tags: ['batch-7'] })
    const { exit, stdout, stderr } = await enrol(system.issuer, '--key', key, '--name', 'Gate 1')
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
    const { deviceId, private_key_jwk: jwk, client_secret: secret } = credential()
    expect(stdout).toContain(`enrolled as ${deviceId}`)
    expect(stdout).toContain('the first reading has arrived')
    expect(stdout).not.toContain(key)
    expect(jwk).toMatchObject({ kty: 'EC', d: expect.any(String) })
    expect(secret).toBeUndefined()
    expect(statSync(join(board.path, 'credentials.json')).mode & 0o777).toBe(0o600)
    expect(existsSync(join(board.path, 'credentials.json.new'))).toBe(false)
    expect(await deviceOf(deviceId)).toMatchObject({
      name: 'Gate 1',
      tags: ['batch-7'],
      assignments: [{ lotId: 'north' }],
      board: { bootId: expect.any(String) },
    })
    const { rows } = await system.stored({ device: deviceId ?? '' })
    expect(rows.length).toBeGreaterThan(0)
  })

  it('waits for approval, shows the fingerprint the operator sees, and goes on after it was killed', async () => {
    const { key, enrolKey } = await keyOf({ approval: 'manual' })
    const first = start('enrol', system.issuer, '--key', key)
    const [, id = '', shown] = await first.says(/approval of (\S+);[^\n]*\n {2}(.+)\n/)
    const pending = await system.registry.json<{ enrolments: Enrolment[] }>('/v1/enrolments?state=pending')
    const seen = pending.enrolments.find(({ enrolmentId }) => enrolmentId === id)
    expect(shown).toBe(seen?.fingerprint)
    first.process.kill('SIGKILL')
    await first.ended
    expect(existsSync(join(board.path, 'credentials.json'))).toBe(false)

    await system.registry.json(`/v1/enrolments/${id}/approve`, { method: 'POST' })
    expect((await enrol(system.issuer, '--key', key)).exit).toBe(0)
    expect(credential().deviceId).toBe(seen?.deviceId)
    const { uses } = await system.registry.json<EnrolKey>(`/v1/enrol-keys/${enrolKey.enrolKeyId}`)
    expect(uses).toBe(1)
  })

  it('says that it was refused, and leaves no credential', async () => {
    const { exit, stderr } = await enrol(system.issuer, '--key', 'lotenr_wrong')
    expect(exit).toBe(1)
    expect(stderr).toContain('enrolment.refused')
    expect(existsSync(join(board.path, 'credentials.json'))).toBe(false)
  })

  it('says which step is missing when the first reading does not arrive', async () => {
    const { key } = await keyOf()
    await system.kill('ingest')
    try {
      const { exit, stderr } = await enrol(system.issuer, '--key', key, '--timeout', '3')
      expect(exit).toBe(1)
      expect(stderr).toMatch(/enrolled, but the first reading has not arrived: (MQTT|PUBACK)/)
    } finally {
      await system.restart('ingest')
    }
    const { exit, stdout } = await enrol(system.issuer, '--key', key)
    expect({ exit, stdout }).toMatchObject({ exit: 0, stdout: expect.stringContaining('already') })
  })

  it('gives a device a new key on proof of its old one, which then ends', async () => {
    const { key } = await keyOf()
    await enrol(system.issuer, '--key', key)
    const before = credential()
    const { exit } = await enrol('--again')
    expect(exit).toBe(0)
    const after = credential()
    expect(after.deviceId).toBe(before.deviceId)
    expect(after.credentialId).not.toBe(before.credentialId)
    expect(after.private_key_jwk?.d).not.toBe(before.private_key_jwk?.d)
    const { credentials } = await deviceOf(before.deviceId)
    const old = credentials.find(({ credentialId }) => credentialId === before.credentialId)
    expect(old?.expiresAtMs).toBeLessThanOrEqual(Date.now() + 3600_000)
  })

  it('hands its credential to the agent that counts already, and nothing it counted before is lost', async () => {
    const agent = await startProgram('agent', {
      args: ['run'],
      env: { ...env(), LOT_AGENT_LOG_LEVEL: 'debug' },
    })
    programs.push(agent)
    await eventually(() => agent.lines.filter((line) => line.includes('readings.kept')).length > 0)
    const waits = start('status')
    expect((await waits.ended).exit).toBe(3)
    expect(waits.said()).toContain('enrolled  waiting')

    const { key } = await keyOf()
    expect((await enrol(system.issuer, '--key', key)).exit).toBe(0)
    const ready = start('status', '--json')
    expect((await ready.ended).exit).toBe(0)
    const { deviceId = '' } = credential()
    expect(JSON.parse(ready.said())).toMatchObject({ deviceId, acknowledged: expect.any(Number) })
    const { rows, complete } = await system.stored({ device: deviceId })
    expect(rows.map(({ seq }) => seq)).toContain(0)
    expect(complete).toBe(true)
  })

  it('takes everything from the file of the boot partition, and removes it only when all is done', async () => {
    const file = join(board.path, 'lotwatch-enrol.txt')
    writeFileSync(file, `url=${system.issuer}\r\nkey=lotenr_wrong\r\n`)
    expect((await enrol('--file', file)).exit).toBe(1)
    expect(existsSync(file)).toBe(true)
    const { key } = await keyOf()
    writeFileSync(file, `# this board\r\nurl=${system.issuer}\r\nkey=${key}\r\nname=Gate 2\r\n`)
    expect((await enrol('--file', file)).exit).toBe(0)
    expect(existsSync(file)).toBe(false)
    expect((await deviceOf(credential().deviceId)).name).toBe('Gate 2')
  })

  it('asks with another key when the one before was turned away', async () => {
    const { key } = await keyOf({ approval: 'manual', usesMax: 2 })
    const first = start('enrol', system.issuer, '--key', key)
    const [, unwanted = ''] = await first.says(/approval of (\S+);/)
    first.process.kill('SIGKILL')
    await first.ended
    await system.registry.json(`/v1/enrolments/${unwanted}/reject`, { method: 'POST' })
    const second = start('enrol', system.issuer, '--key', key)
    const [, wanted = ''] = await second.says(/approval of (\S+);/)
    expect(wanted).not.toBe(unwanted)
    second.process.kill('SIGINT')
    expect(await second.ended).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining('enrolment.stopped'),
    })
  })

  it('never sends as another device what was counted as the one before', async () => {
    const { key } = await keyOf({ usesMax: 2 })
    await enrol(system.issuer, '--key', key)
    const before = credential()
    const other = await system.register('other-1')
    writeFileSync(join(board.path, 'credentials.json'), readFileSync(other.file), { mode: 0o600 })
    await expect(startProgram('agent', { args: ['run'], env: env() })).rejects.toThrow(
      /ended with 78[\s\S]*of another device/,
    )

    writeFileSync(join(board.path, 'credentials.json'), JSON.stringify(before), { mode: 0o600 })
    const { exit, stdout } = await enrol(system.issuer, '--key', key, '--replace')
    expect({ exit, stdout }).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('had not sent yet is in'),
    })
    const { rows, complete } = await system.stored({ device: credential().deviceId ?? '' })
    expect(rows[0]?.seq).toBe(0)
    expect(complete).toBe(true)
  })

  it('refuses a credential that others can read', async () => {
    writeFileSync(join(board.path, 'credentials.json'), '{}', { mode: 0o644 })
    const { exit, stderr } = await enrol(system.issuer, '--key', 'lotenr_x')
    expect(exit).toBe(78)
    expect(stderr).toContain('others can read it')
  })

  it('counts on with a credential that others can read, says so, and sends it all when that is put right', async () => {
    const { key } = await keyOf()
    await enrol(system.issuer, '--key', key)
    const path = join(board.path, 'credentials.json')
    const deviceId = credential().deviceId ?? ''
    const { rows: before } = await system.stored({ device: deviceId })
    chmodSync(path, 0o644)
    programs.push(await startProgram('agent', { args: ['run'], env: env() }))

    const status = await eventually(async () => {
      const { stdout } = await start('status', '--json').ended
      const told = JSON.parse(stdout) as Snapshot
      return told.status.queue.readings > 2 ? told : undefined
    })
    expect(status.steps[0]).toMatchObject({
      name: 'enrolled',
      state: 'failed',
      detail: expect.stringContaining('others can read it'),
    })

    chmodSync(path, 0o600)
    const { rows, complete } = await eventually(async () => {
      const stored = await system.stored({ device: deviceId })
      return stored.rows.length >= before.length + status.status.queue.readings ? stored : undefined
    })
    expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, i) => i))
    expect(complete).toBe(true)
  })

  it('shows the credential without what is secret', async () => {
    const { key } = await keyOf()
    await enrol(system.issuer, '--key', key)
    const { stdout } = await start('credential', 'show').ended
    const { deviceId, private_key_jwk: jwk } = credential()
    expect(JSON.parse(stdout)).toMatchObject({ deviceId, private_key_jwk: { d: '[secret]' } })
    expect(stdout).not.toContain(jwk?.d ?? '')
  })
})

describe('enrolment over TLS', options, () => {
  it('believes only the authority it was given, says so otherwise, and keeps it in the credential', async () => {
    await initTls(board.path, {
      servers: [{ name: 'provisioning', others: ['127.0.0.1'] }],
      days: 1,
      now: new Date(),
    })
    const data = makeDataDir()
    const file = (name: string) => join(board.path, name)
    const port = await freePort()
    const program = await startProgram('provisioning', {
      env: {
        LOTWATCH_DATA: data.path,
        LOTWATCH_PROVISIONING_PORT: String(port),
        LOTWATCH_PROVISIONING_TLS_CERT_FILE: file('provisioning.pem'),
        LOTWATCH_PROVISIONING_TLS_KEY_FILE: file('provisioning.key'),
        LOTWATCH_PROVISIONING_BROKER_URL: 'mqtt://127.0.0.1:1',
      },
    })
    programs.push(program)
    const url = `https://127.0.0.1:${port}`
    const ca = readFileSync(file('ca.pem'), 'utf8')
    const operator = createApi({
      baseUrl: url,
      tokens: createTokenSource({
        credential: readCredentialFile(join(data.path, 'operator.json')),
        audience: audiences.provisioning,
        fetch: createFetch({ ca }),
        nowMs: () => performance.now(),
        random: Math.random,
      }),
      fetch: createFetch({ ca }),
      unavailable: 'provisioning.unavailable',
    })
    const { key } = await operator.json<IssuedEnrolKey>('/v1/enrol-keys', { method: 'POST', body: {} })

    const strange = await enrol(url, '--key', key)
    expect(strange).toMatchObject({ exit: 78, stderr: expect.stringMatching(/not trusted[\s\S]*--ca/) })
    const { stderr } = await enrol(url, '--key', key, '--ca', file('ca.pem'), '--timeout', '1')
    // There is no broker: it has come as far as that.
    expect(stderr).toContain('the first reading has not arrived')
    expect(credential().ca).toBe(ca)
    data.remove()
  })

  it('is not left out beyond loopback', async () => {
    const { exit, stderr } = await enrol('http://lots.example', '--key', 'lotenr_x')
    expect(exit).toBe(78)
    expect(stderr).toContain('neither TLS nor loopback')
  })
})
