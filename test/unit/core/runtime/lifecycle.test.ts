import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadSettingsSource } from '../../../../core/runtime/lifecycle.ts'
import { buildOptions } from '../../../../scripts/build.mjs'
import { eventually, makeDataDir } from '../../../kit/program.ts'
import { failureOf } from '../kit.ts'

let dir: ReturnType<typeof makeDataDir>
let bundle: string
const children: ChildProcess[] = []

beforeAll(async () => {
  dir = makeDataDir()
  bundle = join(dir.path, 'program.mjs')
  const entry = fileURLToPath(new URL('lifecycle-program.ts', import.meta.url))
  await build({ ...buildOptions, entryPoints: [entry], outfile: bundle })
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => dir.remove())

/** Starts the program on one of its ways, with this test as its supervisor unless it is to be alone. */
function run(
  way: string,
  options: { stopMs?: number; env?: Record<string, string>; isAlone?: boolean } = {},
) {
  const child = spawn(process.execPath, [bundle, way, String(options.stopMs ?? 4000)], {
    cwd: dir.path,
    env: { PATH: process.env.PATH, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', options.isAlone ? 'ignore' : 'ipc'],
  })
  children.push(child)
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new Error('both are pipes')
  const said = { out: '', err: '' }
  stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  // Not `close`: that never comes once we have hung up ourselves. With its streams, its last words have arrived.
  const ended = Promise.all([once(child, 'exit'), once(stdout, 'end'), once(stderr, 'end')]).then(
    ([[code]]) => code as number | null,
  )
  const events = () =>
    said.out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const heard = (event: string) => eventually(() => events().find((line) => line.event === event))
  return { child, said, ended, heard }
}

describe('a program that starts', () => {
  it('says that it is ready, to its log and to its supervisor', async () => {
    const { child, heard } = run('serves')
    const [message] = await once(child, 'message')
    expect(message).toEqual({ ready: { port: 4711 } })
    expect(await heard('program.ready')).toMatchObject({ port: 4711, startMs: expect.any(Number) })
  })

  it('ends as misconfigured with every fault on standard error, and no secret', async () => {
    const { ended, said } = run('misconfigured')
    expect(await ended).toBe(78)
    expect(said.err).toBe('three wrong settings\n  A: one\n  B: two\n  C: [secret]\n')
    expect(said.out).not.toContain('lotsec_')
  })

  it('ends as misconfigured when its settings file cannot be read', async () => {
    const { ended, said } = run('readsSettings', { env: { LOTWATCH_CONFIG: '/nowhere/lotwatch.yaml' } })
    expect(await ended).toBe(78)
    expect(said.err).toContain('/nowhere/lotwatch.yaml')
  })

  it.each(['fails', 'unavailable'])(
    'ends as failed when it cannot, with the stack in its log: %s',
    async (way) => {
      const { ended, said, heard } = run(way)
      expect(await ended).toBe(1)
      expect(await heard('program.failed')).toMatchObject({
        level: 'fatal',
        error: { stack: expect.stringContaining('program.mjs') },
      })
      expect(said.err).toBe('')
    },
  )
})

describe('a program that runs', () => {
  it.each(['throwsLater', 'rejectsLater'])(
    'ends as failed at a bug, with the stack in its log: %s',
    async (way) => {
      const { ended, heard } = run(way)
      expect(await ended).toBe(1)
      expect(await heard('program.failed')).toMatchObject({
        error: { name: 'TypeError', message: 'a bug later', stack: expect.stringContaining('program.mjs') },
      })
    },
  )

  it.each(['SIGTERM', 'SIGINT'] as const)('settles its work and ends well at %s', async (signal) => {
    const { child, ended, heard } = run('serves')
    await heard('program.ready')
    child.kill(signal)
    expect(await ended).toBe(0)
    await heard('work.settled')
    await heard('program.stopped')
    expect(await heard('program.stopping')).toMatchObject({ reason: signal })
  })

  it('settles its work and ends well when its supervisor is gone', async () => {
    const { child, ended, heard } = run('serves')
    await heard('program.ready')
    child.disconnect()
    expect(await ended).toBe(0)
    await heard('work.settled')
  })

  it('ends at once when it is stopped before it was ready', async () => {
    const { child, ended, heard } = run('neverStarts')
    await heard('starting')
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  it('ends at once at a second signal', async () => {
    const { child, ended, heard } = run('stopsSlowly', { stopMs: 60_000 })
    await heard('program.ready')
    child.kill('SIGTERM')
    await heard('program.stopping')
    child.kill('SIGINT')
    expect(await ended).toBe(1)
  })

  it.each(['stopsSlowly', 'neverSettles'])('ends as failed when stopping is overdue: %s', async (way) => {
    // Alone, because the tie to a supervisor would keep the process alive where nothing else does.
    const { child, ended, heard } = run(way, { stopMs: 50, isAlone: true })
    await heard('program.ready')
    child.kill('SIGTERM')
    expect(await ended).toBe(1)
    await heard('program.stop_overdue')
  })

  it('ends as failed when stopping fails', async () => {
    const { child, ended, heard } = run('failsToStop')
    await heard('program.ready')
    child.kill('SIGTERM')
    expect(await ended).toBe(1)
    expect(await heard('program.failed')).toMatchObject({ error: { message: 'the last batch is lost' } })
  })
})

describe('the settings file', () => {
  const write = (name: string, text: string) => {
    const path = join(dir.path, name)
    writeFileSync(path, text)
    return path
  }

  it('is the one that the environment names', () => {
    const path = write('named.yaml', 'broker:\n  port: 1884\n  insecure: no\n')
    const source = loadSettingsSource({ LOTWATCH_CONFIG: path })
    // YAML 1.2: `no` is a word.
    expect(source.file).toEqual({ broker: { port: 1884, insecure: 'no' } })
    expect(source.env).toEqual({ LOTWATCH_CONFIG: path })
  })

  it('may be missing where nobody named one', () => {
    expect(loadSettingsSource({}, 'LOTWATCH_CONFIG', join(dir.path, 'none.yaml')).file).toBeUndefined()
  })

  it('may be empty', () => {
    expect(loadSettingsSource({ LOTWATCH_CONFIG: write('empty.yaml', '') }).file).toBeNull()
  })

  it.each([
    ['is broken', 'broken.yaml', 'broker: [1,\n'],
    ['says a thing twice', 'twice.yaml', 'broker: {port: 1}\nbroker: {port: 2}\n'],
  ])('is refused by name when it %s', async (_what, name, text) => {
    const path = write(name, text)
    const error = await failureOf(() => loadSettingsSource({ LOTWATCH_CONFIG: path }))
    expect(error).toMatchObject({ code: 'config.invalid', faults: [expect.stringContaining(path)] })
  })
})
