import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPepper, openSigningKeys } from '../../../provisioning/oauth/keys.ts'
import { makeDataDir } from '../../kit/program.ts'

describe('the key files', () => {
  let folder: ReturnType<typeof makeDataDir>
  const randomBytes = (count: number) => new Uint8Array(count).fill(3)
  beforeEach(() => {
    folder = makeDataDir()
  })
  afterEach(() => folder.remove())

  it('are made once, and found again', async () => {
    const first = await openSigningKeys(folder.path, 0)
    const second = await openSigningKeys(folder.path, 1)

    expect(second.jwks).toEqual(first.jwks)
    expect(openPepper(folder.path, { mayMake: true, randomBytes })).toEqual(
      new Uint8Array(openPepper(folder.path, { mayMake: false, randomBytes })),
    )
  })

  it('are readable by their owner only', async () => {
    await openSigningKeys(folder.path, 0)
    openPepper(folder.path, { mayMake: true, randomBytes })

    for (const name of ['signing-keys.json', 'pepper.json'])
      expect(statSync(join(folder.path, name)).mode & 0o777).toBe(0o600)
  })

  it('show the world public keys with their use and nothing private', async () => {
    const { jwks, signing } = await openSigningKeys(folder.path, 0)

    expect(jwks.keys).toEqual([
      {
        kty: 'EC',
        crv: 'P-256',
        x: expect.any(String),
        y: expect.any(String),
        alg: 'ES256',
        use: 'sig',
        kid: signing.kid,
      },
    ])
  })

  it('may hold several keys, of which one signs and all are published', async () => {
    const path = join(folder.path, 'signing-keys.json')
    await openSigningKeys(folder.path, 0)
    const old = JSON.parse(readFileSync(path, 'utf8'))
    const other = makeDataDir()
    await openSigningKeys(other.path, 0)
    const added = JSON.parse(readFileSync(join(other.path, 'signing-keys.json'), 'utf8'))
    other.remove()
    writeFileSync(
      path,
      JSON.stringify({ ...old, signing: added.signing, keys: [...old.keys, ...added.keys] }),
    )

    const { signing, jwks } = await openSigningKeys(folder.path, 0)

    expect(signing.kid).toBe(added.signing)
    expect(jwks.keys.map(({ kid }) => kid)).toEqual([old.signing, added.signing])
  })

  it.each(['', '{', '{}', '{"v":1,"signing":"x","keys":[]}'])(
    'are refused when they hold %j',
    async (text) => {
      writeFileSync(join(folder.path, 'signing-keys.json'), text)
      writeFileSync(join(folder.path, 'pepper.json'), text)
      const refusal = expect.objectContaining({ code: 'config.invalid' })

      await expect(openSigningKeys(folder.path, 0)).rejects.toEqual(refusal)
      expect(() => openPepper(folder.path, { mayMake: true, randomBytes })).toThrow(refusal)
    },
  )

  it('do not get a new pepper when the old one is lost and secrets depend on it', () => {
    expect(() => openPepper(folder.path, { mayMake: false, randomBytes })).toThrow(
      expect.objectContaining({ code: 'config.invalid', faults: [expect.stringContaining('is missing')] }),
    )
  })
})
