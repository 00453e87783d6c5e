import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LogFile } from '../../../cli/log-file.ts'
import { makeDataDir } from '../../kit/program.ts'

let dir: ReturnType<typeof makeDataDir>
beforeEach(() => {
  dir = makeDataDir()
})
afterEach(() => dir.remove())

const read = (name: string) => readFileSync(join(dir.path, name), 'utf8')

describe('a log file', () => {
  it('goes on where the last run ended', () => {
    new LogFile(join(dir.path, 'logs', 'a.log')).write('first')
    new LogFile(join(dir.path, 'logs', 'a.log')).write('second')
    expect(read('logs/a.log')).toBe('first\nsecond\n')
  })

  it('never holds more than two files of its size, and the newest line is always there', () => {
    const bytesMax = 64
    const log = new LogFile(join(dir.path, 'a.log'), bytesMax)
    for (let i = 0; i < 100; i++) log.write(`line ${i}`)
    expect(readdirSync(dir.path).sort()).toEqual(['a.log', 'a.log.1'])
    expect(read('a.log').length).toBeLessThanOrEqual(bytesMax)
    expect(read('a.log.1').length).toBeLessThanOrEqual(bytesMax)
    expect(read('a.log')).toContain('line 99\n')
  })
})
