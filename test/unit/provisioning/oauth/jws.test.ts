import { compactVerify, decodeProtectedHeader, exportSPKI, generateKeyPair, importSPKI } from 'jose'
import { describe, expect, it } from 'vitest'
import { createJwsSigner } from '../../../../provisioning/oauth/jws.ts'

describe('a compact JWS', () => {
  it.each(['ES256', 'RS256', 'EdDSA'] as const)(
    'by %s is accepted by another implementation',
    async (alg) => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
      const sign = createJwsSigner()
      const claims = { sub: 'gate-1', name: 'Süd “1”' }
      for (const typ of ['at+jwt', 'JWT']) {
        const token = await sign({ kid: 'k-1', alg, privateKey }, typ, claims)
        expect(decodeProtectedHeader(token)).toEqual({ alg, typ, kid: 'k-1' })
        const { payload } = await compactVerify(token, await importSPKI(await exportSPKI(publicKey), alg))
        expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(claims)
      }
    },
  )
})
