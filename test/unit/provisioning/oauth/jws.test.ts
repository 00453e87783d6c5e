import { compactVerify, decodeProtectedHeader, exportSPKI, generateKeyPair, importSPKI } from 'jose'
import { afterAll, describe, expect, it } from 'vitest'
import { createJwsSigner } from '../../../../provisioning/oauth/jws.ts'
import { startSigningThread } from '../../../../provisioning/oauth/signing-thread.ts'

const thread = startSigningThread()
afterAll(() => thread.stop())

describe('a compact JWS', () => {
  it.each(['ES256', 'RS256', 'EdDSA'] as const)(
    'by %s is accepted by another implementation',
    async (alg) => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
      const sign = createJwsSigner(thread)
      const claims = { sub: 'gate-1', name: 'Süd “1”' }
      for (const typ of ['at+jwt', 'JWT']) {
        const token = await sign({ kid: 'k-1', alg, privateKey }, typ, claims)
        expect(decodeProtectedHeader(token)).toEqual({ alg, typ, kid: 'k-1' })
        const { payload } = await compactVerify(token, await importSPKI(await exportSPKI(publicKey), alg))
        expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(claims)
      }
    },
  )

  it('belongs to its claims when many are asked for at once, with several keys', async () => {
    const pairs = await Promise.all(
      (['ES256', 'EdDSA'] as const).map(async (alg) => ({ alg, ...(await generateKeyPair(alg)) })),
    )
    const sign = createJwsSigner(thread)
    const tokens = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const pair = pairs[n % 2] as (typeof pairs)[number] // there are two
        return { n, pair, token: await sign({ ...pair, kid: pair.alg }, 'JWT', { n }) }
      }),
    )
    for (const { n, pair, token } of tokens) {
      const { payload } = await compactVerify(token, pair.publicKey)
      expect(JSON.parse(new TextDecoder().decode(payload))).toEqual({ n })
    }
  })
})
