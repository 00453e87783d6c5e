import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTimeSync, runProgramOnce, type TimeSyncOptions } from '../../../agent/time-sync.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { makeDataDir } from '../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
let lines: string[]
/** What timedatectl prints; undefined: there is none. */
let printed: string | undefined

beforeEach(() => {
  data = makeDataDir()
  lines = []
  printed = undefined
})
afterEach(() => data.remove())

const file = () => join(data.path, 'synchronized')
const create = (options: Partial<TimeSyncOptions>) =>
  createTimeSync({
    source: 'auto',
    file: file(),
    hasSystemd: true,
    run: async () => printed,
    lookEveryMs: 5,
    log: createLog({ program: 'agent', write: (line) => lines.push(line) }),
    ...options,
  })
const { signal } = new AbortController()

describe('whether the time is known', () => {
  it('is seen when the file of the time service appears, and said once', async () => {
    const sync = await create({ source: 'file' })
    expect(sync.isSynced).toBe(false)
    const synced = sync.whenSynced(signal)
    writeFileSync(file(), '')
    await synced
    expect(sync.isSynced).toBe(true)
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['clock.unsynced', 'clock.synced'])
  })

  it('is asked of timedatectl where another program sets the clock', async () => {
    printed = 'no'
    const sync = await create({})
    const synced = sync.whenSynced(signal)
    expect(sync.isSynced).toBe(false)
    printed = 'yes'
    await synced
    expect(sync.isSynced).toBe(true)
  })

  it('is not believed of another source than the one that was named', async () => {
    writeFileSync(file(), '')
    expect((await create({ source: 'timedatectl' })).isSynced).toBe(false)
    printed = 'yes'
    expect((await create({ source: 'file', file: join(data.path, 'none') })).isSynced).toBe(false)
  })

  it('is assumed where nothing tells, and where that is asked for', async () => {
    expect((await create({ hasSystemd: false })).isSynced).toBe(true)
    expect((await create({ source: 'assume' })).isSynced).toBe(true)
  })

  it('is waited for no longer when the agent stops', async () => {
    const stopping = new AbortController()
    const sync = await create({ source: 'file', lookEveryMs: 3600_000 })
    const waiting = sync.whenSynced(stopping.signal)
    stopping.abort()
    await waiting
    expect(sync.isSynced).toBe(false)
  })

  it('is not said by a program that fails or is not there', async () => {
    expect(await runProgramOnce('/bin/echo', ['yes'])).toBe('yes')
    expect(await runProgramOnce('/bin/false', [])).toBeUndefined()
    expect(await runProgramOnce(join(data.path, 'none'), [])).toBeUndefined()
  })
})
