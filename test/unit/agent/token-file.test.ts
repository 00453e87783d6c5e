import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenFile, tokenFileOf } from '../../../agent/token-file.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { makeDataDir } from '../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
let path: string
let lines: string[]
/** A device: its wall clock, the time since its boot, and which boot it is. */
let device: { nowMs: number; sinceMs: number; bootId: string | undefined }

beforeEach(() => {
  data = makeDataDir()
  path = join(data.path, 'credentials.token.json')
  lines = []
  device = { nowMs: 1_763_906_700_000, sinceMs: 60_000, bootId: 'boot-1' }
})
afterEach(() => data.remove())

/** A process begins: its monotonic clock starts somewhere of its own. */
function process(startMs: number, request: readonly string[] = ['https://issuer', 'north-1']) {
  return createTokenFile({
    credentialFile: join(data.path, 'credentials.json'),
    request,
    clock: { nowMs: () => device.nowMs, monotonicMs: () => startMs },
    boot: { bootId: device.bootId, sinceMs: () => device.sinceMs },
    log: createLog({ program: 'agent', write: (line) => lines.push(line) }),
  })
}
const write = () => process(1000).write({ token: 'token-1', expiresAtMs: 61_000, renewAtMs: 43_000 })

describe('a token over a restart', () => {
  it('lies beside the credential, for its owner alone', () => {
    write()
    expect(tokenFileOf('/etc/lot-agent/credentials.json')).toBe('/etc/lot-agent/credentials.token.json')
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('has the life that is left, by the time since boot and whatever the wall clock says', () => {
    write()
    device.sinceMs += 10_000
    device.nowMs -= 365 * 86_400_000
    expect(process(500_000).read()).toEqual({
      token: 'token-1',
      expiresAtMs: 550_000,
      renewAtMs: 532_000,
    })
    device.sinceMs += 50_000
    expect(process(500_000).read()).toBeUndefined()
  })

  it('has the life that is left by the wall clock over a reboot, and none when that stepped back', () => {
    write()
    device = { nowMs: device.nowMs + 20_000, sinceMs: 3000, bootId: 'boot-2' }
    expect(process(0).read()).toMatchObject({ expiresAtMs: 40_000 })
    device.nowMs -= 20_001
    expect(process(0).read()).toBeUndefined()
  })

  it('is not taken for what another credential would get', () => {
    write()
    expect(process(0, ['https://issuer', 'north-2']).read()).toBeUndefined()
  })

  it('is not believed when others can read it, or when it is broken', () => {
    write()
    chmodSync(path, 0o644)
    expect(process(0).read()).toBeUndefined()
    write()
    expect(process(0).read()).toBeDefined()
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, 40))
    expect(process(0).read()).toBeUndefined()
  })

  it('is gone when it was forgotten', () => {
    write()
    process(0).forget()
    expect(existsSync(path)).toBe(false)
  })

  it('that cannot be written is told once, and stops nothing', () => {
    data.remove()
    const file = process(0)
    file.write({ token: 'token-1', expiresAtMs: 1000, renewAtMs: 500 })
    file.write({ token: 'token-2', expiresAtMs: 1000, renewAtMs: 500 })
    expect(lines.filter((line) => line.includes('token.not_kept'))).toHaveLength(1)
    expect(lines.join()).not.toContain('token-1')
  })
})
