import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { claimOutbox, setOutboxAside } from '../../../agent/outbox-owner.ts'
import { makeDataDir } from '../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
let outbox: string
beforeEach(() => {
  data = makeDataDir()
  outbox = join(data.path, 'outbox')
})
afterEach(() => data.remove())

describe('an outbox', () => {
  it('is of the device that had it first, also before the folder is there', () => {
    const deep = join(data.path, 'state', 'outbox')
    claimOutbox(deep, 'north-1')
    claimOutbox(deep, 'north-1')
    expect(() => claimOutbox(deep, 'south-1')).toThrow(/of another device, north-1/)
  })

  it('is set aside with all that is named after it, and nothing else', () => {
    claimOutbox(outbox, 'north-1')
    mkdirSync(outbox)
    mkdirSync(`${outbox}.salvage-1`)
    for (const name of ['outbox.remote.json', 'outbox-of-another', 'credentials.json'])
      writeFileSync(join(data.path, name), '')
    expect(setOutboxAside(outbox, Date.UTC(2026, 0, 1))).toBe(`${outbox}.aside-2026-01-01T00-00-00-000Z`)
    expect(readdirSync(data.path).sort()).toEqual([
      'credentials.json',
      'outbox-of-another',
      'outbox.aside-2026-01-01T00-00-00-000Z',
      'outbox.aside-2026-01-01T00-00-00-000Z.owner.json',
      'outbox.aside-2026-01-01T00-00-00-000Z.remote.json',
      'outbox.aside-2026-01-01T00-00-00-000Z.salvage-1',
    ])
    claimOutbox(outbox, 'south-1')
    expect(setOutboxAside(join(data.path, 'none'), 0)).toBeUndefined()
  })
})
