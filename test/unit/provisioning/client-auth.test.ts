import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertionType, readClientAuth } from '../../../provisioning/oauth/client-auth.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
const none = new Map<string, string>()
const unsigned = (claims: object) =>
  ['{"alg":"ES256"}', JSON.stringify(claims), 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.')
const asserted = (assertion: string) =>
  new Map([
    ['client_assertion_type', assertionType],
    ['client_assertion', assertion],
  ])
const formEncode = (text: string) => new URLSearchParams([['', text]]).toString().slice(1)

describe('client authentication', () => {
  it('reads id and secret from the body', () => {
    const body = new Map([
      ['client_id', 'd1'],
      ['client_secret', 's'],
    ])

    expect(readClientAuth(undefined, body)).toEqual({
      method: 'client_secret_post',
      oauthClientId: 'd1',
      clientSecret: 's',
    })
  })

  it('undoes the form encoding in Basic, whatever stands in id and secret', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(text, text, (id, secret) => {
        fc.pre(id.length <= 128 && secret.length <= 512 && !/\p{Cc}/u.test(id + secret))
        const header = basic(`${formEncode(id)}:${formEncode(secret)}`)

        expect(readClientAuth(header, none)).toEqual({
          method: 'client_secret_basic',
          oauthClientId: id,
          clientSecret: secret,
        })
      }),
    )
  })

  it('takes the scheme in any case', () => {
    expect(readClientAuth(basic('d1:s').replace('Basic', 'bAsIc'), none).oauthClientId).toBe('d1')
  })

  it('keeps colons of the secret', () => {
    expect(readClientAuth(basic('d1:a:b'), none)).toMatchObject({ clientSecret: 'a:b' })
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
    ['a NUL in the id', basic('d%001:s')],
    ['a line break in the secret', basic('d1:s%0a')],
  ])('makes out nobody in a header with %s', (_what, header) => {
    expect(() => readClientAuth(header, none)).toThrow(expect.objectContaining({ error: 'invalid_client' }))
  })

  it('makes out nobody in a body without a secret, or without an id', () => {
    const onlyId = new Map([['client_id', 'd1']])
    const onlySecret = new Map([['client_secret', 's']])

    for (const body of [none, onlyId, onlySecret])
      expect(() => readClientAuth(undefined, body)).toThrow(
        expect.objectContaining({ error: 'invalid_client' }),
      )
  })

  it('refuses two methods at once', () => {
    const secret = new Map([['client_secret', 's']])
    const assertion = new Map([['client_assertion', 'a.b.c']])

    for (const [header, body] of [
      [basic('d1:s'), secret],
      [basic('d1:s'), assertion],
      [undefined, new Map([...secret, ...assertion])],
    ] as const)
      expect(() => readClientAuth(header, body)).toThrow(
        expect.objectContaining({ error: 'invalid_request' }),
      )
  })

  it('takes a client_id beside Basic when it is the same, and only then', () => {
    expect(readClientAuth(basic('d1:s'), new Map([['client_id', 'd1']])).oauthClientId).toBe('d1')
    expect(() => readClientAuth(basic('d1:s'), new Map([['client_id', 'd2']]))).toThrow(
      expect.objectContaining({ error: 'invalid_request' }),
    )
  })

  it('reads from an assertion whose it says it is, and nothing else', () => {
    const assertion = unsigned({ sub: 'd1', exp: 0 })

    expect(readClientAuth(undefined, asserted(assertion))).toEqual({
      method: 'private_key_jwt',
      oauthClientId: 'd1',
      assertion,
    })
  })

  it.each([
    ['no JWT', 'x'],
    ['nobody', unsigned({})],
    ['no text', unsigned({ sub: 7 })],
    ['an endless name', unsigned({ sub: 'x'.repeat(129) })],
    ['a NUL in the name', unsigned({ sub: 'd\u00001' })],
    ['an endless assertion', unsigned({ sub: 'd1', more: 'x'.repeat(4096) })],
  ])('makes out nobody in an assertion with %s', (_what, assertion) => {
    expect(() => readClientAuth(undefined, asserted(assertion))).toThrow(
      expect.objectContaining({ error: 'invalid_client' }),
    )
  })

  it('takes assertions of the type of RFC 7523 only', () => {
    const parameters = new Map([...asserted(unsigned({ sub: 'd1' })), ['client_assertion_type', 'urn:x']])

    expect(() => readClientAuth(undefined, parameters)).toThrow(
      expect.objectContaining({ error: 'invalid_request' }),
    )
  })
})
