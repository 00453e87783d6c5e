import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createExecSensor } from '../../../../agent/sensors/exec.ts'
import { eventually, makeDataDir } from '../../../kit/program.ts'
import { asking, gaugeOptions } from './gauges.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

function dataDir(): string {
  const dir = makeDataDir()
  cleanups.push(dir.remove)
  return dir.path
}

/** The text of a program of Node's, and questions to its sensor. */
function running(script: string, options: Partial<Parameters<typeof createExecSensor>[0]> = {}) {
  const sensor = asking(
    createExecSensor({
      ...gaugeOptions,
      command: [process.execPath, '-e', script],
      env: { PATH: process.env.PATH },
      restartMinMs: 10,
      restartMaxMs: 50,
      random: () => 1,
      ...options,
    }),
  )
  cleanups.push(sensor.stop)
  return sensor
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('exec sensor', () => {
  it('runs a program that prints and ends once at each tick', async () => {
    const file = join(dataDir(), 'runs')
    const count = `const fs = require('fs'); const f = ${JSON.stringify(file)}
      fs.appendFileSync(f, 'x'); process.stdout.write(String(fs.readFileSync(f).length))`
    const sensor = running(count)
    expect(await sensor.ask()).toEqual({ timestampMs: 1_000_000, occupied: 1, sensor: 'ok' })
    await eventually(async () => (await sensor.ask())?.occupied === 3)
    expect(readFileSync(file, 'utf8')).toBe('xxx')
  })

  it('takes the newest line of a program that keeps running', async () => {
    const go = join(dataDir(), 'go')
    const sensor = running(`console.log('{"occupied":5,"entriesTotal":9}')
      const t = setInterval(() => require('fs').existsSync(${JSON.stringify(go)}) && console.log(6), 10)`)
    expect(await sensor.ask()).toMatchObject({ occupied: 5, entriesTotal: 9, sensor: 'ok' })
    writeFileSync(go, '')
    await eventually(async () => (await sensor.ask())?.occupied === 6)
  })

  it('tells silence, never zero and never an old count, when nothing is printed any more', async () => {
    const sensor = running(`console.log(7); setInterval(() => {}, 1000)`)
    expect(await sensor.ask()).toMatchObject({ occupied: 7, sensor: 'ok' })
    sensor.clock.set(1_000_000 + 60_000)
    expect(await sensor.ask()).toMatchObject({ occupied: 7, sensor: 'ok' })
    sensor.clock.set(1_000_000 + 60_001)
    expect(await sensor.ask()).toEqual({ timestampMs: 1_060_001, occupied: null, sensor: 'silent' })
  })

  it('starts a program that failed again, and tells silence meanwhile', async () => {
    const file = join(dataDir(), 'started')
    const sensor = running(`const fs = require('fs'); const f = ${JSON.stringify(file)}
      const first = !fs.existsSync(f); fs.appendFileSync(f, 'x')
      if (first) process.exit(3)
      console.log(8); setInterval(() => {}, 1000)`)
    expect(await sensor.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
    await eventually(async () => (await sensor.ask())?.occupied === 8)
    expect(readFileSync(file, 'utf8')).toBe('xx')
  })

  it('starts a program again although what it left behind holds its output open', async () => {
    const pid = join(dataDir(), 'pid')
    cleanups.push(() => {
      process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL')
    })
    const sensor = running(`const fs = require('fs'); const f = ${JSON.stringify(pid)}
      if (!fs.existsSync(f)) {
        const left = require('child_process').spawn('sleep', ['600'], { stdio: 'inherit' })
        fs.writeFileSync(f, String(left.pid))
        console.log(1)
        process.exit(3)
      }
      console.log(8); setInterval(() => {}, 1000)`)
    expect(await sensor.ask()).toMatchObject({ occupied: 1 })
    await eventually(async () => (await sensor.ask())?.occupied === 8)
  })

  it('does not believe what a program said before it crashed', async () => {
    const go = join(dataDir(), 'go')
    const sensor = running(
      `const has = () => require('fs').existsSync(${JSON.stringify(go)})
      if (has()) process.exit(1)
      console.log(9); setInterval(() => has() && process.exit(1), 10)`,
    )
    expect(await sensor.ask()).toMatchObject({ occupied: 9 })
    writeFileSync(go, '')
    await eventually(async () => (await sensor.ask())?.occupied === null)
  })

  it('is silent when there is no such program', async () => {
    const sensor = running('', { command: ['/nowhere/to/be/found'] })
    expect(await sensor.ask()).toMatchObject({ occupied: null, sensor: 'silent' })
  })

  it('passes over lines that are too long or say nothing, and takes the next', async () => {
    const sensor = running(
      `process.stdout.write('1'.repeat(100_000) + '\\ncars: 4\\n{"occupied":"4"}\\n11\\n'); setInterval(() => {}, 1000)`,
    )
    expect(await sensor.ask()).toMatchObject({ occupied: 11, sensor: 'ok' })
  })

  it('keeps the environment of the agent to itself', async () => {
    process.env.LOT_AGENT_TEST_SECRET = '1'
    cleanups.push(() => {
      delete process.env.LOT_AGENT_TEST_SECRET
    })
    const sensor = running(`console.log('LOT_AGENT_TEST_SECRET' in process.env ? 1 : 2)`)
    expect(await sensor.ask()).toMatchObject({ occupied: 2 })
  })

  it('leaves nothing running when it is stopped, not even what does not want to end', async () => {
    const pids = join(dataDir(), 'pids')
    const sensor = running(`process.on('SIGTERM', () => {})
      const { pid } = require('child_process').spawn('sleep', ['600'])
      require('fs').writeFileSync(${JSON.stringify(pids)}, process.pid + ' ' + pid)
      console.log(1); setInterval(() => {}, 1000)`)
    expect(await sensor.ask()).toMatchObject({ occupied: 1 })
    expect(existsSync(pids)).toBe(true)
    const started = readFileSync(pids, 'utf8').split(' ').map(Number)
    expect(started.filter(isAlive)).toEqual(started)
    await sensor.stop()
    await eventually(() => !started.some(isAlive))
  })
})
