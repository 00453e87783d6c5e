import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Supervised, supervise, type Watcher } from '../../../cli/supervisor.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'

let dir: ReturnType<typeof makeDataDir>
beforeAll(() => {
  dir = makeDataDir()
})
afterAll(() => dir.remove())

const running = 'setInterval(() => {}, 1000);'
const sayReady = 'process.send({ ready: { pid: process.pid } });'

function start(name: string, code: string, watcher: Watcher = {}, restarts = true): Supervised {
  const file = join(dir.path, `${name}.mjs`)
  writeFileSync(file, code)
  // No chance in it: the shortest wait there is.
  return supervise({ name, file, env: { PATH: process.env.PATH }, restarts }, watcher, () => 0)
}

function isAlive(pid: unknown): boolean {
  try {
    return process.kill(Number(pid), 0)
  } catch {
    return false
  }
}

describe('a supervised program', () => {
  it('comes back after a crash, and it is said', async () => {
    const said: string[] = []
    const pids: number[] = []
    const program = start('crashing', `${sayReady} ${running}`, {
      started: (pid) => pids.push(pid),
      crashed: (how) => said.push(how),
    })
    const { pid } = await program.ready
    process.kill(Number(pid), 'SIGKILL')
    await eventually(() => pids.length === 2)
    expect(said).toEqual(['was ended by SIGKILL'])
    expect(pids[1]).not.toBe(pid)
    expect(isAlive(pids[1])).toBe(true)
    await program.stop(1000)
    expect(isAlive(pids[1])).toBe(false)
  })

  it('ends everything with its own words when it is misconfigured', async () => {
    const words = 'process.stderr.write("2 wrong settings\\n  A: odd\\n  B: even\\n"); process.exitCode = 78'
    await expect(start('misconfigured', words).failed).rejects.toMatchObject({
      code: 'config.invalid',
      message: 'misconfigured: 2 wrong settings',
      faults: ['A: odd', 'B: even'],
    })
  })

  it('is given up when it crashes whenever it is started, with its last words', async () => {
    const program = start('hopeless', 'throw new Error("no way")')
    await expect(program.failed).rejects.toThrow(/no way/)
    await program.stop(1000)
  })

  it('is not started again when its end is the end', async () => {
    const program = start('once', `${sayReady} process.exitCode = 3; process.disconnect()`, {}, false)
    await expect(program.failed).rejects.toThrow(/ended with 3/)
  })

  it('is killed when it does not end in time', async () => {
    const program = start('deaf', `process.on('SIGTERM', () => {}); ${sayReady} ${running}`)
    const { pid } = await program.ready
    await program.stop(100)
    expect(isAlive(pid)).toBe(false)
  })

  it('hands on every line it writes', async () => {
    const lines: string[] = []
    const code = `console.log('out'); console.error('err'); ${sayReady} ${running}`
    const program = start('talking', code, { line: (line) => lines.push(line) })
    await eventually(() => lines.length === 2)
    await program.stop(1000)
    expect(lines.sort()).toEqual(['err', 'out'])
  })
})
