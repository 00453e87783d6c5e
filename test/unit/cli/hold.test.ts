import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hold } from '../../../cli/hold.ts'
import { makeDataDir } from '../../kit/program.ts'

let dir: ReturnType<typeof makeDataDir>
beforeEach(() => {
  dir = makeDataDir()
})
afterEach(() => dir.remove())

describe('a folder held by one process', () => {
  it('is refused to another, naming the process and the file', async () => {
    const path = join(dir.path, 'up.pid')
    writeFileSync(path, `${process.ppid}\n`)
    await expect(hold(path, 'the data folder')).rejects.toMatchObject({
      code: 'store.locked',
      message: expect.stringContaining(`${process.ppid}`),
    })
  })

  it('is free again when it is let go', async () => {
    const path = join(dir.path, 'new', 'up.pid')
    const held = await hold(path, 'the data folder')
    expect(existsSync(path)).toBe(true)
    held.release()
    expect(existsSync(path)).toBe(false)
  })

  it('is free when its process is gone, however it went', async () => {
    const path = join(dir.path, 'up.pid')
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    writeFileSync(path, `${pid}\n`)
    await hold(path, 'the data folder')
    expect(readFileSync(path, 'utf8')).toBe(`${process.pid}\n`)
  })

  it('waits for the programs that a process left behind', async () => {
    const path = join(dir.path, 'up.pid')
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    const orphan = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    writeFileSync(path, `${pid}\n${orphan.pid}\n`)
    const order: string[] = []
    const held = hold(path, 'the data folder').then(() => order.push('held'))
    orphan.once('exit', () => order.push('gone'))
    orphan.kill('SIGKILL')
    await held
    expect(order).toEqual(['gone', 'held'])
  })

  it.each(['', 'torn', '-1', '0'])('is free when the file says nothing of use: %j', async (text) => {
    const path = join(dir.path, 'up.pid')
    writeFileSync(path, text)
    await hold(path, 'the data folder')
    expect(readFileSync(path, 'utf8')).toBe(`${process.pid}\n`)
  })
})
