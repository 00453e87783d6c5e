import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseForm, parseJson } from '../../../provisioning/oauth/parameters.ts'

const invalid = expect.objectContaining({ error: 'invalid_request' })
const names = ['grant_type', 'client_id', 'client_secret', 'audience', 'scope'] as const

describe('the parameters of a token request', () => {
  it('are read alike from a form and from JSON, whatever their values', () => {
    const values = fc.dictionary(fc.constantFrom(...names), fc.string({ unit: 'grapheme' }))
    fc.assert(
      fc.property(values, (parameters) => {
        const expected = new Map(Object.entries(parameters).filter(([, value]) => value !== ''))

        expect(parseForm(new URLSearchParams(parameters).toString())).toEqual(expected)
        expect(parseJson(JSON.stringify(parameters))).toEqual(expected)
      }),
    )
  })

  it('are refused when one is given twice, known or not, empty or not', () => {
    for (const body of ['scope=a&scope=a', 'scope=&scope=a', 'x=1&x=2'])
      expect(() => parseForm(body)).toThrow(invalid)
  })

  it('may have others beside them, which are ignored', () => {
    expect(parseForm('x=1&scope=a')).toEqual(new Map([['scope', 'a']]))
    expect(parseJson('{"x":[1],"scope":"a","__proto__":{"audience":"b"}}')).toEqual(new Map([['scope', 'a']]))
  })

  it.each(['', '[]', '"x"', 'null', '{', '{"scope":["a"]}', '{"client_id":1}'])(
    'cannot be read from the JSON %j',
    (body) => {
      expect(() => parseJson(body)).toThrow(invalid)
    },
  )

  it('never fail in another way, whatever is sent', () => {
    fc.assert(
      fc.property(fc.string(), (body) => {
        for (const parse of [parseForm, parseJson]) {
          try {
            parse(body)
          } catch (error) {
            expect(error).toEqual(invalid)
          }
        }
      }),
    )
  })
})
