import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readClientSecret } from '../../../provisioning/oauth/client-auth.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
const none = new Map<string, string>()
const formEncode = (text: string) => new URLSearchParams([['', text]]).toString().slice(1)

describe('client authentication', () => {
  it('reads id and secret from the body', () => {
    const body = new Map([
      ['client_id', 'd1'],
      ['client_secret', 's'],
    ])

    expect(readClientSecret(undefined, body)).toEqual({ oauthClientId: 'd1', clientSecret: 's' })
  })

  it('undoes the form encoding in Basic, whatever stands in id and secret', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(text, text, (id, secret) => {
        fc.pre(id.length <= 128 && secret.length <= 512)
        const header = basic(`${formEncode(id)}:${formEncode(secret)}`)

        expect(readClientSecret(header, none)).toEqual({ oauthClientId: id, clientSecret: secret })
      }),
    )
  })

  it('takes the scheme in any case', () => {
    expect(readClientSecret(basic('d1:s').replace('Basic', 'bAsIc'), none).oauthClientId).toBe('d1')
  })

  it('keeps colons of the secret', () => {
    expect(readClientSecret(basic('d1:a:b'), none).clientSecret).toBe('a:b')
  })

  it.each([
    ['no scheme', 'ZDE6cw=='],
    ['another scheme', 'Bearer ZDE6cw=='],
    ['nothing after the scheme', 'Basic '],
    ['no base64', 'Basic %%%'],
    ['no colon', basic('d1')],
    ['no id', basic(':s')],
    ['a stray percent sign', basic('d1:%zz')],
    ['an endless id', basic(`${'x'.repeat(129)}:s`)],
    ['an endless secret', basic(`d1:${'x'.repeat(513)}`)],
  ])('makes out nobody in a header with %s', (_what, header) => {
    expect(() => readClientSecret(header, none)).toThrow(expect.objectContaining({ error: 'invalid_client' }))
  })

  it('makes out nobody in a body without a secret, or without an id', () => {
    const onlyId = new Map([['client_id', 'd1']])
    const onlySecret = new Map([['client_secret', 's']])

    for (const body of [none, onlyId, onlySecret])
      expect(() => readClientSecret(undefined, body)).toThrow(
        expect.objectContaining({ error: 'invalid_client' }),
      )
  })

  it('refuses two methods at once', () => {
    const body = new Map([['client_secret', 's']])

    expect(() => readClientSecret(basic('d1:s'), body)).toThrow(
      expect.objectContaining({ error: 'invalid_request' }),
    )
  })

  it('takes a client_id beside Basic when it is the same, and only then', () => {
    expect(readClientSecret(basic('d1:s'), new Map([['client_id', 'd1']])).oauthClientId).toBe('d1')
    expect(() => readClientSecret(basic('d1:s'), new Map([['client_id', 'd2']]))).toThrow(
      expect.objectContaining({ error: 'invalid_request' }),
    )
  })
})
