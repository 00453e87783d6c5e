import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseClientKey } from '../../../provisioning/public-key.ts'

const jwkOf = (key: KeyObject) => key.export({ format: 'jwk' }) as Record<string, unknown>
const pemOf = (key: KeyObject) => key.export({ format: 'pem', type: 'spki' }) as string

const kinds = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  Ed25519: generateKeyPairSync('ed25519'),
  'RSA 2048': generateKeyPairSync('rsa', { modulusLength: 2048 }),
}

describe('a public key', () => {
  it.each(Object.entries(kinds))(
    'of kind %s is the same key as JWK and as PEM',
    async (_kind, { publicKey }) => {
      const fromJwk = await parseClientKey(jwkOf(publicKey))

      expect(await parseClientKey(pemOf(publicKey))).toEqual(fromJwk)
      expect(fromJwk).toEqual({ jwk: jwkOf(publicKey), thumbprint: expect.stringMatching(/^[\w-]{43}$/) })
    },
  )

  // RFC 7638 §3.1.
  it('has the thumbprint of the standard', async () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
    const { jwk, thumbprint } = await parseClientKey({
      kty: 'RSA',
      n,
      e: 'AQAB',
      alg: 'RS256',
      kid: '2011-04-29',
    })

    expect(thumbprint).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
    expect(jwk).toEqual({ kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' })
  })

  it('loses members that nobody needs', async () => {
    const { publicKey } = kinds['P-256']
    const { jwk } = await parseClientKey({ ...jwkOf(publicKey), use: 'sig', x5u: 'https://evil.example' })

    expect(Object.keys(jwk).toSorted()).toEqual(['crv', 'kty', 'x', 'y'])
  })
})

describe('what is no public key of a client', () => {
  const { publicKey, privateKey } = kinds['P-256']
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const x25519 = generateKeyPairSync('x25519')

  it.each([
    ['a private JWK', jwkOf(privateKey), /private/],
    ['a private PEM', privateKey.export({ format: 'pem', type: 'pkcs8' }), /private/],
    ['an old private PEM', privateKey.export({ format: 'pem', type: 'sec1' }), /private/],
    ['a shared secret', { kty: 'oct', k: 'AAAA' }, /private/],
    ['RSA of 1024 bits', jwkOf(rsa.publicKey), /2048/],
    ['RSA that is for PSS alone', pemOf(pss.publicKey), /2048/],
    ['another curve', jwkOf(p384.publicKey), /P-256/],
    ['a key for agreement', jwkOf(x25519.publicKey), /Ed25519/],
    ['a point that is not on the curve', { ...jwkOf(publicKey), x: 'A'.repeat(43) }, /read/],
    ['an algorithm of another kind of key', { ...jwkOf(publicKey), alg: 'RS256' }, /alg/],
    ['alg none', { ...jwkOf(publicKey), alg: 'none' }, /alg/],
    ['a long kid', { ...jwkOf(publicKey), kid: 'x'.repeat(300) }, /kid/],
    ['text', 'hello', /PEM/],
    ['long text', '-----BEGIN PUBLIC KEY-----'.padEnd(9000), /longer/],
    ['a number', 7, /neither/],
    ['null', null, /neither/],
    ['a list', [], /neither/],
    ['a certificate', '-----BEGIN CERTIFICATE-----', /PEM/],
  ])('is refused: %s', async (_name, value, why) => {
    await expect(parseClientKey(value)).rejects.toMatchObject({
      code: 'request.invalid',
      safeDetail: expect.stringMatching(why),
    })
  })
})
