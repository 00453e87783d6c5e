/** lotctl against a running provisioning, as scripts and people call it: every verb there is, exit codes, secrets, dry runs. */
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { below, createCommands } from '../../cli/commands.ts'
import type { Ended } from '../kit/command.ts'
import { runLotctl } from '../kit/lotctl.ts'
import { freePort, makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning } from '../kit/provisioning.ts'

/** A deadline, not a speed: who waits for somebody would wait for ever. */
const answerMs = 20_000
/** They run until somebody ends them, or are asked by a shell. */
const notAlone = new Set(['up', 'demo', 'complete'])
/** What they print is no JSON document. */
const plain = new Set(['version', 'completion', 'token get', 'login-link', 'tls init', 'audit export'])

const tree = createCommands({
  version: '0',
  home: () => {
    throw new Error('the tree alone needs no settings')
  },
  exit: () => undefined,
})
const leaves = [...below(tree)].filter(
  (command) => command.commands.length === 0 && command !== tree && !notAlone.has(command.name()),
)

describe('lotctl', () => {
  const data = makeDataDir()
  let provisioning: Provisioning
  let env: Record<string, string>
  const lotctl = (...args: string[]): Promise<Ended> => runLotctl(args, env)
  const path = (name: string) => join(data.path, name)
  const json = async (...args: string[]) => {
    const { exit, stdout, stderr } = await lotctl(...args, '-o', 'json')
    expect(exit, stderr).toBe(0)
    return JSON.parse(stdout)
  }

  beforeAll(async () => {
    provisioning = await startProvisioning(data.path)
    const away = String(await freePort())
    env = {
      LOTWATCH_DATA: data.path,
      HOME: data.path,
      LOTWATCH_PROVISIONING_PORT: new URL(provisioning.url).port,
      LOTWATCH_INGEST_PORT: away,
      LOTWATCH_BROKER_MQTT_PORT: away,
      LOTWATCH_BROKER_PORT: away,
    }
  })
  afterAll(async () => {
    await provisioning.program.stop()
    data.remove()
  })

  it.for(leaves.map((command) => [pathOf(command), command] as const))(
    'never waits for anybody and keeps standard output pure: %s',
    { timeout: 30_000 },
    async ([name, command]) => {
      const arguments_ = name === 'tls init' ? [path('tls')] : argumentsOf(command)
      const options = optionsOf(command)
      const asJson = command.options.some(({ long }) => long === '--output') ? ['-o', 'json'] : []
      const beganMs = performance.now()

      const { exit, stdout, stderr } = await lotctl(
        ...name.split(' '),
        ...arguments_,
        ...options,
        ...asJson,
        '--no-input',
      )

      expect(performance.now() - beganMs).toBeLessThan(answerMs)
      // The doctor finds ingest and broker away, and says so.
      expect(name === 'doctor' ? [1] : [0, 2, 3, 4, 5, 7]).toContain(exit)
      if (stdout !== '' && !plain.has(name)) expect(() => JSON.parse(stdout), stdout).not.toThrow()
      if (exit !== 0 && name !== 'doctor') expect([stdout, stderr]).toEqual(['', expect.stringMatching(/\S/)])
      expect(stdout + stderr).not.toMatch(/\n {4}at /)
    },
  )

  it('registers a device, shows it by the start of its id, and retires it when it was told so', async () => {
    await json('lot', 'set', 'north', '--name', 'North deck', '--capacity', '80')
    await json('device', 'register', 'kerb-1', '--lot', 'north', '--tag', 'a', '--out', path('kerb-1.json'))
    const shown = await json('device', 'show', 'ker')
    expect(shown).toMatchObject({ deviceId: 'kerb-1', state: 'enrolled', tags: ['a'] })
    expect(shown.assignments).toMatchObject([{ lotId: 'north', toMs: null }])

    const refused = await lotctl('device', 'retire', 'kerb-1')
    expect([refused.exit, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toContain('--yes')
    expect((await json('device', 'show', 'kerb-1')).state).toBe('enrolled')

    await json('devices', 'retire', 'kerb-1', '--yes')
    expect((await json('device', 'show', 'kerb-1')).state).toBe('retired')
    expect((await lotctl('device', 'resume', 'kerb-1')).exit).toBe(5)
  }, 60_000)

  it('takes the hours of a lot as OpenStreetMap has them, and says which part it does not understand', async () => {
    await json('lot', 'set', 'shop', '--name', 'Shop', '--zone', 'Europe/Athens')
    const bad = await lotctl('lot', 'set', 'shop', '--hours', 'Mo-Fr 06:00-22:00; weekend off')
    expect([bad.exit, bad.stdout]).toEqual([2, ''])
    expect(bad.stderr).toContain('"weekend off" is not understood')
    expect(await json('lot', 'show', 'shop')).not.toHaveProperty('openingHours')

    const openingHours = 'Mo-Fr 06:00-22:00; Sa 08:00-20:00; Su off'
    await json('lot', 'set', 'shop', '--hours', openingHours)
    expect(await json('lot', 'show', 'shop')).toMatchObject({ zone: 'Europe/Athens', openingHours })
  }, 60_000)

  it('writes a secret where only its owner reads it, and not over another file', async () => {
    const out = path('shop.json')
    const told = await lotctl('client', 'create', 'shop', '--grant', 'ingest=read:readings', '--out', out)
    expect(told.exit, told.stderr).toBe(0)
    const { client_secret: secret } = JSON.parse(readFileSync(out, 'utf8'))
    expect(statSync(out).mode & 0o777).toBe(0o600)
    expect(told.stdout + told.stderr).not.toContain(secret)

    const again = await lotctl('client', 'rotate', 'shop', '--out', out)
    expect(again.exit).toBe(5)
    expect(JSON.parse(readFileSync(out, 'utf8')).client_secret).toBe(secret)
    const { credentials } = await json('client', 'show', 'shop')
    expect(credentials).toHaveLength(1)
    expect((await lotctl('client', 'rotate', 'shop', '--out', out, '--yes')).exit).toBe(0)
    expect(JSON.parse(readFileSync(out, 'utf8')).client_secret).not.toBe(secret)
  }, 60_000)

  it('prints a secret once, alone on standard output', async () => {
    const { exit, stdout, stderr } = await lotctl('client', 'create', 'kiosk', '--no-input')
    expect([exit, JSON.parse(stdout).client_id]).toEqual([0, 'kiosk'])
    expect(stderr).toContain('shown once')
    expect(stderr).not.toContain(JSON.parse(stdout).client_secret)
  }, 30_000)

  it('tells in a dry run what it would ask for, and changes nothing', async () => {
    const before = (await json('audit', 'list', '--limit', '1')).entries
    for (const args of [
      ['device', 'register', 'ghost', '--lot', 'north'],
      ['lot', 'set', 'ghost', '--name', 'Ghost'],
      ['client', 'create', 'ghost'],
      ['client', 'retire', 'shop'],
      ['api', 'set', 'https://ghost.example', '--name', 'Ghost'],
      ['grant', 'set', 'shop', 'ingest', 'read:readings'],
      ['keys', 'rotate'],
    ]) {
      const answer = await json(...args, '--dry-run')
      expect(answer, args.join(' ')).toMatchObject({ dryRun: true, requests: [{}] })
    }
    expect((await json('audit', 'list', '--limit', '1')).entries).toEqual(before)
  }, 60_000)

  it('ends with a code by who must act', async () => {
    writeFileSync(path('open.json'), readFileSync(path('operator.json')), { mode: 0o600 })
    chmodSync(path('open.json'), 0o644)
    writeFileSync(
      path('wrong.json'),
      readFileSync(path('operator.json'), 'utf8').replace(/"client_id": "[^"]*"/, '"client_id": "nobody"'),
      { mode: 0o600 },
    )
    const away = `http://127.0.0.1:${env.LOTWATCH_INGEST_PORT}`
    const cases: [number, string[]][] = [
      [0, ['device', 'list']],
      [2, ['device', 'lst']],
      [2, ['device', 'lst', '--help']],
      [2, ['device', 'show']],
      [2, ['device', 'list', '--stat', 'active']],
      [2, ['client', 'edit', 'shop']],
      [3, ['device', 'list', '--credential', path('wrong.json')]],
      [4, ['device', 'show', 'nowhere']],
      [5, ['client', 'create', 'operator']],
      [6, ['device', 'suspend', 'kerb-2', 'nowhere']],
      [7, ['device', 'list', '--server', away]],
      [78, ['device', 'list', '--credential', path('open.json')]],
      [78, ['device', 'list', '--profile', 'unknown']],
    ]
    await json('device', 'register', 'kerb-2', '--no-issue')
    await json('device', 'register', 'kerb-3', '--no-issue')
    for (const [code, args] of cases) {
      const { exit, stderr } = await lotctl(...args)
      expect([args.join(' '), exit, stderr === '']).toEqual([args.join(' '), code, code === 0])
    }
  }, 60_000)

  it('keeps a credential as a profile that works, and forgets it', async () => {
    const login = await json(
      'login',
      path('operator.json'),
      '--profile',
      'work',
      '--server',
      provisioning.url,
    )
    expect(statSync(login.credentialFile).mode & 0o777).toBe(0o600)
    // Without data folder and settings: the profile says who and where.
    const elsewhere = { HOME: data.path, LOTWATCH_DATA: path('empty') }
    const { stdout } = await runLotctl(['whoami', '--profile', 'work', '-o', 'json'], elsewhere)
    expect(JSON.parse(stdout)).toMatchObject({ oauthClientId: 'operator', server: provisioning.url })

    await json('logout', '--profile', 'work')
    expect(existsSync(login.credentialFile)).toBe(false)
    expect((await runLotctl(['whoami', '--profile', 'work'], elsewhere)).exit).toBe(78)
  }, 30_000)

  it('keeps a credential of an analyst, who has nothing to ask the registry', async () => {
    const file = path('analyst.json')
    await json('client', 'create', 'analyst', '--grant', 'ingest=read:readings', '--out', file)
    const login = await json('login', file, '--profile', 'analyst', '--server', provisioning.url)
    expect(login.oauthClientId).toBe('analyst')
    await json('logout', '--profile', 'analyst')
  }, 30_000)

  it('does not keep a credential that gets no token', async () => {
    const { exit } = await lotctl('login', path('wrong.json'), '--profile', 'bad')
    expect(exit).toBe(3)
    expect((await lotctl('logout', '--profile', 'bad')).exit).toBe(4)
  }, 30_000)

  it('completes verbs, options and the ids of living things', async () => {
    const offered = async (...words: string[]) =>
      (await lotctl('complete', '--', ...words)).stdout.split('\n').map((line) => line.split('\t')[0])
    expect(await offered('device', 're')).toEqual(
      expect.arrayContaining(
        ['register', 'retire', 'rotate', 'revoke'].filter((verb) => verb.startsWith('re')),
      ),
    )
    expect(await offered('device', 'show', 'kerb')).toEqual(expect.arrayContaining(['kerb-2', 'kerb-3']))
    expect((await lotctl('completion', 'zsh')).stdout).toContain('#compdef lotctl')
  }, 30_000)

  it('imports many devices, tells what is wrong row by row, and takes its own export back', async () => {
    await json('lot', 'set', 'bulk', '--name', 'Bulk')
    const rows = Array.from({ length: 2000 }, (_, i) => `bulk,many-${i}`)
    writeFileSync(path('many.csv'), ['lot,deviceId', ...rows, 'blk,many-x', ''].join('\n'))

    const dry = await lotctl('device', 'import', path('many.csv'), '--dry-run', '-o', 'json')
    expect([dry.exit, JSON.parse(dry.stdout).summary]).toEqual([
      6,
      { created: 2000, unchanged: 0, errors: 1 },
    ])
    expect((await lotctl('device', 'list', '--lot', 'bulk', '-q')).stdout).toBe('')

    const real = await lotctl('device', 'import', path('many.csv'))
    expect([real.exit, real.stdout.includes('many-x')]).toEqual([6, true])
    const exported = await lotctl('device', 'export', '--lot', 'bulk', '-o', 'csv')
    writeFileSync(path('exported.csv'), exported.stdout)
    const again = await json('device', 'import', path('exported.csv'))
    expect(again.summary).toEqual({ created: 0, unchanged: 2000, errors: 0 })
  }, 60_000)

  it('makes an enrolment key to be printed, and never shows it again', async () => {
    const sheet = path('sheet.html')
    const { stdout } = await lotctl('enrol-key', 'create', '--uses', '3', '--life', '2h', '--sheet', sheet)
    const { key, enrolKey } = JSON.parse(stdout)
    expect(readFileSync(sheet, 'utf8')).toContain(key)
    expect(statSync(sheet).mode & 0o777).toBe(0o600)
    const { enrolKeys } = await json('enrol-key', 'list')
    expect(enrolKeys).toContainEqual(enrolKey)
    expect(JSON.stringify(enrolKeys)).not.toContain(key)
    await json('enrol-key', 'revoke', enrolKey.enrolKeyId, '--yes')
    expect((await json('enrol-key', 'show', enrolKey.enrolKeyId)).revokedAtMs).not.toBeNull()
  }, 60_000)

  it('sets the configuration of a device, and sends it a command', async () => {
    await json('device', 'register', 'tuned', '--no-issue')
    writeFileSync(path('config.json'), '{"everySec":5}')
    await json('device', 'config', 'set', 'tuned', path('config.json'))
    expect(await json('device', 'config', 'get', 'tuned')).toMatchObject({
      config: { everySec: 5 },
      version: 1,
    })
    const { commandId } = await json('device', 'command', 'tuned', 'ping')
    expect((await json('device', 'command', 'tuned')).commands).toMatchObject([
      { commandId, state: 'pending' },
    ])
  }, 60_000)

  it.each(['csv', 'ndjson', 'json', 'table'])(
    'lists the same devices as %s',
    async (output) => {
      const { stdout } = await lotctl('device', 'list', '--search', 'kerb', '-o', output)
      for (const id of ['kerb-1', 'kerb-2', 'kerb-3']) expect(stdout).toContain(id)
      const ids = await lotctl('device', 'list', '--search', 'kerb', '-q')
      expect(ids.stdout).toBe('kerb-1\nkerb-2\nkerb-3\n')
    },
    30_000,
  )
})

function pathOf(command: Command): string {
  const names: string[] = []
  for (let one: Command | null = command; one?.parent; one = one.parent) names.unshift(one.name())
  return names.join(' ')
}

function argumentsOf(command: Command): string[] {
  return command.registeredArguments
    .filter(({ required }) => required)
    .map(({ argChoices }) => argChoices?.[0] ?? 'nothing-there')
}

function optionsOf(command: Command): string[] {
  return command.options
    .filter(({ mandatory }) => mandatory)
    .filter(({ defaultValue }) => defaultValue === undefined)
    .flatMap(({ long }) => [long ?? '', long === '--audience' ? 'ingest' : 'nothing-there'])
}
