import { statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPepper } from '../../../provisioning/oauth/pepper.ts'
import { makeDataDir } from '../../kit/program.ts'
import { openRegistry, type RegistryKit } from './kit.ts'

const setting = Buffer.alloc(32, 9).toString('base64url')

describe('the pepper', () => {
  let kit: RegistryKit
  let folder: ReturnType<typeof makeDataDir>
  const open = (given?: string) =>
    openPepper({
      repository: kit.repository,
      folder: folder.path,
      setting: given,
      randomBytes: (count) => new Uint8Array(count).fill(3),
    })
  const refusal = (fault: string) => ({ code: 'config.invalid', faults: [expect.stringContaining(fault)] })
  beforeEach(async () => {
    kit = await openRegistry()
    folder = makeDataDir()
  })
  afterEach(async () => {
    await kit.close()
    folder.remove()
  })

  it('is made once, found again, and readable by its owner only', async () => {
    const first = await open()

    expect(new Uint8Array(await open())).toEqual(first)
    expect(statSync(join(folder.path, 'pepper.json')).mode & 0o777).toBe(0o600)
  })

  it('may come from the settings, and then needs no file', async () => {
    expect(Buffer.from(await open(setting))).toEqual(Buffer.alloc(32, 9))
    expect(() => statSync(join(folder.path, 'pepper.json'))).toThrow('ENOENT')
  })

  it('is refused when it is not the one of the registry', async () => {
    await open()

    await expect(open(setting)).rejects.toMatchObject(refusal('is not the one that this registry'))
  })

  it('is not made anew when the old one is lost and secrets depend on it', async () => {
    await open()
    unlinkSync(join(folder.path, 'pepper.json'))

    await expect(open()).rejects.toMatchObject(refusal('is missing'))
  })

  it.each(['', '{', '{}', '{"v":1,"pepper":"short"}'])(
    'is refused from a file that holds %j',
    async (text) => {
      writeFileSync(join(folder.path, 'pepper.json'), text)

      await expect(open()).rejects.toMatchObject(refusal('pepper.json'))
    },
  )
})
