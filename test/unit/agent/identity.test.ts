import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readIdentity } from '../../../agent/identity.ts'
import { makeDataDir } from '../../kit/program.ts'
import { writeCredential } from './peers.ts'

const overrides = { insecure: false }
let data: ReturnType<typeof makeDataDir>
let path: string

beforeEach(() => {
  data = makeDataDir()
  path = writeCredential(join(data.path, 'credentials.json'), {
    deviceId: 'north-1',
    brokerUrl: 'mqtts://lots.example:8883',
    tokenEndpoint: 'https://lots.example/oauth/token',
  })
})
afterEach(() => data.remove())

function rewrite(change: (credential: Record<string, unknown>) => void): void {
  const credential = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  change(credential)
  writeFileSync(path, JSON.stringify(credential))
}

describe('identity', () => {
  it('is what the credential file says', () => {
    const identity = readIdentity(path, overrides)
    expect(identity.deviceId).toBe('north-1')
    expect(identity.broker).toMatchObject({ url: 'mqtts://lots.example:8883', renewal: 'in_band' })
  })

  it('takes addresses from the settings when they say otherwise', () => {
    const identity = readIdentity(path, { ...overrides, brokerUrl: 'mqtt://127.0.0.1:1883' })
    expect(identity.broker.url).toBe('mqtt://127.0.0.1:1883')
    expect(identity.credential.token_endpoint).toBe('https://lots.example/oauth/token')
  })

  it('believes a broker by its own authority where the file names one, else by that of all servers', () => {
    rewrite((credential) => Object.assign(credential, { ca: 'of all' }))
    expect(readIdentity(path, overrides).broker.ca).toBe('of all')
    rewrite((credential) => Object.assign(credential.broker as object, { ca: 'of the broker' }))
    expect(readIdentity(path, overrides)).toMatchObject({
      broker: { ca: 'of the broker' },
      credential: { ca: 'of all' },
    })
  })

  it('is refused when others can read the file', () => {
    chmodSync(path, 0o640)
    expect(() => readIdentity(path, overrides)).toThrow(/chmod 600/)
  })

  it.each(['deviceId', 'broker'])('is refused without %s, which services have no use for', (member) => {
    rewrite((credential) => delete credential[member])
    expect(() => readIdentity(path, overrides)).toThrow(
      expect.objectContaining({ code: 'credential.invalid', faults: [expect.stringContaining(member)] }),
    )
  })

  it.each([
    ['brokerUrl', 'mqtt://lots.example:1883'],
    ['tokenEndpoint', 'http://lots.example/oauth/token'],
  ])('refuses plaintext beyond loopback for %s unless it is asked for by name', (name, url) => {
    expect(() => readIdentity(path, { ...overrides, [name]: url })).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
    expect(readIdentity(path, { insecure: true, [name]: url }).deviceId).toBe('north-1')
  })
})
