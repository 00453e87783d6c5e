import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findProfile, removeProfile, writePrivate, writeProfile } from '../../../cli/profiles.ts'
import { makeDataDir } from '../../kit/program.ts'

describe('a profile', () => {
  let folder: { path: string; remove: () => void }
  beforeEach(() => {
    folder = makeDataDir()
  })
  afterEach(() => folder.remove())

  it('is found as it was written, and only its owner reads it', () => {
    const servers = { provisioningUrl: 'https://lots.example' }
    const written = writeProfile(folder.path, 'work', { credential: { v: 1 }, servers })
    expect(findProfile(folder.path, 'work')).toEqual(written)
    expect(statSync(written.credentialFile).mode & 0o777).toBe(0o600)
  })

  it('is gone once it was removed', () => {
    writeProfile(folder.path, 'work', { credential: {}, servers: {} })
    expect([removeProfile(folder.path, 'work'), removeProfile(folder.path, 'work')]).toEqual([true, false])
    expect(findProfile(folder.path, 'work')).toBeUndefined()
  })

  it.each(['../up', 'a/b', '', '.'])('has no name that leads out of its folder: %j', (name) => {
    expect(() => findProfile(folder.path, name)).toThrow(expect.objectContaining({ code: 'request.invalid' }))
  })

  it('whose servers cannot be read is refused', () => {
    writeProfile(folder.path, 'work', { credential: {}, servers: {} })
    writeFileSync(join(folder.path, 'work.servers.json'), '{"provisioningUrl":"file:///etc"}')
    expect(() => findProfile(folder.path, 'work')).toThrow(
      expect.objectContaining({ code: 'credential.invalid' }),
    )
  })

  it('narrows the mode of a file that was open before', () => {
    const path = join(folder.path, 'secret.json')
    writeFileSync(path, '{}', { mode: 0o644 })
    writePrivate(path, { secret: 1 })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ secret: 1 })
    expect(existsSync(`${path}.new`)).toBe(false)
  })
})
