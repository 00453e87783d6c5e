import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import { CredentialFile, clientSecretPattern } from '../../../../core/contract/credential.ts'

const service = {
  v: 1,
  issuer: 'https://issuer.example',
  token_endpoint: 'https://issuer.example/oauth/token',
  client_id: 'broker',
  client_secret: 'anything an issuer may hand out: + % ä',
  token_endpoint_auth_method: 'client_secret_basic',
}
const broker = { url: 'mqtts://broker.example:8883', audience: 'urn:lotwatch:broker', renewal: 'in_band' }
const device = { ...service, credentialId: 'cred_1', deviceId: 'gate-1', broker, ca: 'PEM' }

describe('a credential file', () => {
  it('may be that of a service or of a device', () => {
    expect(Value.Check(CredentialFile, service)).toBe(true)
    expect(Value.Check(CredentialFile, device)).toBe(true)
  })

  it.each(['v', 'issuer', 'token_endpoint', 'client_id', 'token_endpoint_auth_method'])(
    'needs %s',
    (member) => {
      expect(Value.Check(CredentialFile, { ...device, [member]: undefined })).toBe(false)
    },
  )

  it.each([
    ['another version', { v: 2 }],
    ['a way to authenticate that is not ours', { token_endpoint_auth_method: 'none' }],
    ['a device outside the grammar', { deviceId: 'gate 1' }],
    ['a credential id outside the grammar', { credentialId: 'cred/1' }],
    ['an empty secret', { client_secret: '' }],
    ['a member nobody knows', { password: 'x' }],
    ['a broker whose way of renewal is not said', { broker: { ...broker, renewal: undefined } }],
    ['a broker with a member nobody knows', { broker: { ...broker, insecure: true } }],
  ])('has no place for %s', (_what, change) => {
    expect(Value.Check(CredentialFile, { ...device, ...change })).toBe(false)
  })
})

describe('the shape of a client secret', () => {
  const shape = new RegExp(clientSecretPattern)

  it('is a prefix, the random part and a checksum', () => {
    expect(shape.test(`lotsec_${'aZ09_-x'.repeat(7).slice(0, 43)}_0123abcd`)).toBe(true)
  })

  it.each([
    'lotsec_',
    `lotsec_${'a'.repeat(42)}_0123abcd`,
    `lotsec_${'a'.repeat(43)}_0123ABCD`,
    `lotsec_${'a'.repeat(43)}_0123abcd\n`,
    `x${'a'.repeat(49)}_0123abcd`,
  ])('is not that of %j', (text) => {
    expect(shape.test(text)).toBe(false)
  })
})
