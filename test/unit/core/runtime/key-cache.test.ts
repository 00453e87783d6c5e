import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openKeyCache } from '../../../../core/runtime/key-cache.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { makeDataDir } from '../../../kit/program.ts'

const issuer = 'https://issuer.example/'
const keys = { text: '{"keys":[]}', fetchedAtMs: 1_763_906_700_000 }

describe('kept keys', () => {
  let data: ReturnType<typeof makeDataDir>
  let lines: string[]
  const open = (folder = join(data.path, 'jwks-cache')) =>
    openKeyCache(folder, createLog({ program: 'test', write: (line) => void lines.push(line) }))

  beforeEach(() => {
    data = makeDataDir()
    lines = []
  })
  afterEach(() => data.remove())

  it('are there for the next process, by issuer, for their owner alone', () => {
    open().write(issuer, keys)
    expect(open().read(issuer)).toEqual(keys)
    expect(open().read('https://issuer.example')).toBeUndefined()
    const folder = join(data.path, 'jwks-cache')
    const [file = ''] = readdirSync(folder)
    expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
  })

  it('count as missing when the file is broken or another issuer’s', () => {
    const cache = open()
    cache.write(issuer, keys)
    const folder = join(data.path, 'jwks-cache')
    const [file = ''] = readdirSync(folder)
    for (const text of ['{', '{}', JSON.stringify({ ...keys, issuer: 'https://else.example' })]) {
      writeFileSync(join(folder, file), text)
      expect(cache.read(issuer), text).toBeUndefined()
    }
  })

  it('that cannot be written are told once', () => {
    writeFileSync(join(data.path, 'taken'), '')
    const cache = open(join(data.path, 'taken'))
    cache.write(issuer, keys)
    cache.write(issuer, keys)
    expect(lines.filter((line) => line.includes('keys.not_written'))).toHaveLength(1)
  })
})
