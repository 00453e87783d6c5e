/** `lotctl replay` of files that are not as they should be, and of one that is killed on the way. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lotctlEnv, runLotctl, startLotctl } from '../kit/lotctl.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

const header = 'SystemCodeNumber,Capacity,Occupancy,LastUpdated'
let system: System
let env: Record<string, string>

beforeAll(async () => {
  system = await System.start()
  env = lotctlEnv(system)
})
afterAll(() => system.stop())

function file(name: string, lines: readonly string[]): string {
  const path = join(system.data, name)
  writeFileSync(path, `${[header, ...lines].join('\n')}\n`)
  return path
}

async function storedOf(device: string): Promise<(readonly [string, number | null])[]> {
  const { rows, complete } = await system.stored({ device })
  expect(complete).toBe(true)
  return rows.map((row) => [row.time, row.occupied] as const)
}

describe('a replay', { timeout: 60_000 }, () => {
  it('that is killed and started again neither skips nor repeats a row', async () => {
    const count = 20_000
    const startMs = Date.UTC(2024, 0, 1)
    const times = Array.from({ length: count }, (_, i) => new Date(startMs + i * 60_000).toISOString())
    const path = file(
      'long.csv',
      times.map((time, i) => `killed,1000,${i % 1000},${time}`),
    )

    // Paced, so that it is on the way when it is killed: a thousand rows a second.
    const killed = startLotctl(['replay', path, '--speed', '60000'], env)
    await eventually(async () => (await system.stored({ device: 'killed' })).rows.length > 0)
    killed.process.kill('SIGKILL')
    await killed.ended

    const { exit, stdout } = await runLotctl(['replay', path, '-o', 'json'], env)
    expect(exit).toBe(0)
    // It went on: what had been appended before the kill was not appended again.
    expect((JSON.parse(stdout) as { kept: number }).kept).toBeLessThan(count)
    const stored = await storedOf('killed')
    expect(stored.map(([, occupied]) => occupied)).toEqual(times.map((_, i) => i % 1000))
    const { rows } = await system.stored({ device: 'killed' })
    expect(rows.map((row) => row.seq)).toEqual(times.map((_, i) => i))
  })

  it('names a broken line, plays the rest, and says so by its exit code', async () => {
    const path = file('broken.csv', [
      'torn,10,1,2024-03-01 08:00:00',
      'torn,10,two,2024-03-01 08:30:00',
      'torn,10',
      'torn,10,4,2024-03-01 09:30:00',
    ])
    const { exit, stdout, stderr } = await runLotctl(['replay', path], env)
    expect(exit).toBe(6)
    expect(stderr).toMatch(/replay\.line_broken.*line=3/)
    expect(stderr).toMatch(/replay\.line_broken.*line=4/)
    expect(stdout).toContain('2 broken lines')
    expect(await storedOf('torn')).toEqual([
      ['2024-03-01T08:00:00+00:00', 1],
      ['2024-03-01T09:30:00+00:00', 4],
    ])
  })

  it('ends although one of its devices has no row that can be played', async () => {
    const path = file('half.csv', ['whole,10,1,2024-03-01 08:00:00', 'hollow,10,1,yesterday'])
    const { exit, stdout } = await runLotctl(['replay', path], env)
    expect(exit).toBe(6)
    expect(stdout).toContain('1 device could not go on')
    expect(await storedOf('whole')).toHaveLength(1)
  })

  it('keeps local time on both sides of a change of clocks', async () => {
    const path = file('clocks.csv', [
      'summer,10,1,2016-10-30 00:30:00',
      'summer,10,2,2016-10-30 08:00:00',
      'summer,10,3,2016-10-29 08:00:00',
    ])
    expect((await runLotctl(['replay', path, '--tz', 'Europe/London'], env)).exit).toBe(0)
    expect(await storedOf('summer')).toEqual([
      ['2016-10-29T07:00:00+00:00', 3],
      ['2016-10-29T23:30:00+00:00', 1],
      ['2016-10-30T08:00:00+00:00', 2],
    ])
  })

  it('is refused when two car parks would be one device, naming both', async () => {
    const path = file('twins.csv', [
      'Bull Ring,10,1,2024-03-01 08:00:00',
      'Bull-Ring,10,1,2024-03-01 08:00:00',
    ])
    const { exit, stderr } = await runLotctl(['replay', path], env)
    expect(exit).toBe(5)
    expect(stderr).toMatch(/"Bull Ring" and "Bull-Ring"/)
  })

  it('is refused without its columns, naming those there are', async () => {
    const path = join(system.data, 'other.csv')
    writeFileSync(path, 'park,count,at\nA,1,2024-03-01 08:00:00\n')
    const { exit, stderr } = await runLotctl(['replay', path], env)
    expect(exit).toBe(2)
    expect(stderr).toMatch(/SystemCodeNumber/)
    expect(stderr).toMatch(/park, count, at/)
    const named = ['--column-id', 'park', '--column-occupied', 'count', '--column-time', 'at']
    expect((await runLotctl(['replay', path, ...named], env)).exit).toBe(0)
    expect(await storedOf('A')).toEqual([['2024-03-01T08:00:00+00:00', 1]])
  })
})

describe('a demonstration', { timeout: 60_000 }, () => {
  it('runs against a system that runs already, until Ctrl-C, and with a lost credential replaced', async () => {
    const lotctl = startLotctl(['demo'], env)
    await lotctl.says(/12 devices and 12 lots registered/)
    await eventually(
      async () => (await system.stored({ device: 'Kolonaki-Garage' })).rows.length > 2000,
      30_000,
    )
    lotctl.process.kill('SIGINT')
    expect((await lotctl.ended).exit).toBe(0)

    rmSync(join(system.data, 'demo', 'devices', 'Kolonaki-Garage.json'))
    const again = startLotctl(['demo'], env)
    await again.says(/0 devices and 0 lots registered, 12 devices known already, 1 credential issued again/)
    await again.says(/12 of 12 devices connected/)
    again.process.kill('SIGINT')
    expect((await again.ended).exit).toBe(0)
  })

  it('moves a recording by whole weeks, plays what has been, and keeps what is to come', async () => {
    const weekMs = 7 * 86_400_000
    const startMs = Date.UTC(2020, 5, 1)
    const times = Array.from({ length: 21 * 24 }, (_, hour) => startMs + hour * 3600_000)
    const path = file(
      'weeks.csv',
      times.map((ms, hour) => `weekly,1000,${hour},${new Date(ms).toISOString()}`),
    )
    const lotctl = startLotctl(['demo', '--replay', path, '--shift-to-now'], env)
    await lotctl.says(/1 of 1 devices connected · 0 queued/)
    const { rows } = await system.stored({ device: 'weekly' })
    lotctl.process.kill('SIGINT')
    expect((await lotctl.ended).exit).toBe(0)

    const last = Date.parse(rows.at(-1)?.time ?? '')
    expect(Date.now() - last).toBeLessThan(3600_000 + 60_000)
    expect(rows.length).toBeGreaterThan(14 * 24)
    for (const row of rows) {
      const movedMs = Date.parse(row.time) - (times[row.occupied ?? -1] ?? Number.NaN)
      expect(movedMs % weekMs).toBe(0)
    }
  })
})

describe('who asks', () => {
  it('is told where the credential should be, when there is none', async () => {
    const answer = await runLotctl(['lots', '--credential', 'nobody.json'], env)
    expect(answer.exit).toBe(78)
    expect(answer.stderr).toMatch(/^nobody\.json does not exist .*\n.*LOTWATCH_DATA/)
  })

  it.each([
    ['is refused with a credential that others can read', 0o644, 78, /chmod 600/],
    ['is answered with one of its own', 0o600, 0, /^$/],
  ])('%s', async (_, mode, exit, words) => {
    const { credential } = await system.registry.json<{ credential: unknown }>('/v1/clients', {
      method: 'POST',
      body: {
        oauthClientId: `analyst-${mode}`,
        kind: 'command-line',
        grants: [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }],
      },
    })
    const path = join(system.data, `analyst-${mode}.json`)
    writeFileSync(path, JSON.stringify(credential), { mode })
    const answer = await runLotctl(['lots', '-o', 'json', '--credential', path], env)
    expect(answer.exit).toBe(exit)
    expect(answer.stderr).toMatch(words)
  })

  it('is told by its exit code what it may not do, and what is not there', async () => {
    const { credential } = await system.register('stranger')
    const path = join(system.data, 'stranger.json')
    writeFileSync(path, JSON.stringify(credential), { mode: 0o600 })
    const refused = await runLotctl(['latest', '--credential', path], env)
    expect(refused.exit).toBe(3)
    expect(refused.stdout).toBe('')
    const away = await runLotctl(['latest', '--server', 'http://127.0.0.1:9'], env)
    expect(away.exit).toBe(7)
    expect(away.stderr).toContain('http://127.0.0.1:9 does not answer')
    const wrong = await runLotctl(['series', '--from', 'someday'], env)
    expect(wrong.exit).toBe(2)
  })

  it('is never sent over plaintext to another machine', async () => {
    const answer = await runLotctl(['latest', '--server', 'http://ingest.example'], env)
    expect(answer.exit).toBe(78)
    expect(answer.stderr).toMatch(/neither TLS nor loopback/)
  })
})
