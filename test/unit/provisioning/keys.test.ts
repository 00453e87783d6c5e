import { X509Certificate } from 'node:crypto'
import { createLocalJWKSet, jwtVerify, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSigningKeys, type SigningAlg, type SigningKeys } from '../../../provisioning/oauth/keys.ts'
import { createSealer } from '../../../provisioning/seal.ts'
import { openRegistry, type RegistryKit } from './kit.ts'

const publishedBeforeMs = 10_000
const tokenLifeMaxMs = 60_000

describe('the signing keys', () => {
  let kit: RegistryKit
  const open = (pepper = 'pepper'): Promise<SigningKeys> =>
    openSigningKeys({
      repository: kit.repository,
      sealer: createSealer(Buffer.from(pepper), 'signing keys'),
      issuer: 'https://issuer.example/',
      times: { publishedBeforeMs, tokenLifeMaxMs },
      now: () => kit.clock.nowMs,
    })
  const kids = async (keys: SigningKeys) => (await keys.jwks()).keys.map(({ kid }) => kid)
  beforeEach(async () => {
    kit = await openRegistry()
  })
  afterEach(() => kit.close())

  it('are made once, and found again', async () => {
    const first = await open()
    const second = await open()

    expect(await second.jwks()).toEqual(await first.jwks())
    expect((await second.signing('ES256')).kid).toBe((await first.signing('ES256')).kid)
  })

  it('are one where two processes begin at once', async () => {
    const [one, other] = await Promise.all([open(), open()])

    expect((await one.signing('ES256')).kid).toBe((await other.signing('ES256')).kid)
    expect(await kids(one)).toHaveLength(1)
  })

  it('show the world public keys with their use and nothing private', async () => {
    const keys = await open()

    expect((await keys.jwks()).keys).toEqual([
      {
        kty: 'EC',
        crv: 'P-256',
        x: expect.any(String),
        y: expect.any(String),
        alg: 'ES256',
        use: 'sig',
        kid: (await keys.signing('ES256')).kid,
      },
    ])
    const [stored] = await kit.repository.signingKeys()
    expect(JSON.parse(stored?.publicKey ?? '')).not.toHaveProperty('d')
    expect(stored?.sealedPrivateKey).toMatch(/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/)
  })

  it.each<SigningAlg>(['ES256', 'RS256', 'EdDSA'])(
    'of the algorithm %s sign what the key set verifies',
    async (alg) => {
      const keys = await open()
      const { kid, privateKey } = await keys.signing(alg)
      const token = await new SignJWT({ sub: 'd1' }).setProtectedHeader({ alg, kid }).sign(privateKey)

      const { keys: published } = await keys.jwks()
      const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: [...published] }))
      expect(payload.sub).toBe('d1')
    },
  )

  it('of RSA come with a certificate of the same key', async () => {
    const keys = await open()
    const { kid } = await keys.signing('RS256')
    const jwk = (await keys.jwks()).keys.find((key) => key.kid === kid)

    const certificate = new X509Certificate(Buffer.from(jwk?.x5c?.[0] ?? '', 'base64'))
    expect(certificate.publicKey.export({ format: 'jwk' })).toMatchObject({ n: jwk?.n, e: jwk?.e })
    expect(certificate.subject).toBe('CN=issuer.example')
  })

  it('are published before they sign, and stay until the last token they signed is void', async () => {
    const keys = await open()
    const { kid: old } = await keys.signing('ES256')
    kit.clock.nowMs += 1

    const [next] = await keys.rotate('operator')
    expect(await kids(keys)).toEqual([old, next?.kid])
    expect((await keys.signing('ES256')).kid).toBe(old)

    kit.clock.nowMs += publishedBeforeMs
    expect((await keys.signing('ES256')).kid).toBe(next?.kid)
    expect(await kids(keys)).toEqual([old, next?.kid])

    kit.clock.nowMs += tokenLifeMaxMs
    await keys.refresh()
    expect(await kids(keys)).toEqual([next?.kid])
    expect(await kit.repository.signingKeys()).toHaveLength(1)
    expect(await kit.verbs()).toEqual(['signing_key.made', 'signing_key.made', 'signing_key.retired'])
  })

  it('have one successor at a time, however often it is asked for', async () => {
    const keys = await open()

    expect(await keys.rotate('operator')).toHaveLength(1)
    expect(await keys.rotate('operator')).toHaveLength(0)
  })

  it('made by one process sign in another when their time has come', async () => {
    const [one, other] = [await open(), await open()]
    const [next] = await one.rotate('operator')
    kit.clock.nowMs += publishedBeforeMs
    await other.refresh()

    expect((await other.signing('ES256')).kid).toBe(next?.kid)
  })

  it('cannot be opened with another pepper', async () => {
    await open()

    await expect(open('another')).rejects.toMatchObject({ code: 'config.invalid' })
  })
})
