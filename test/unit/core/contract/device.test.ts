import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  identifierPattern,
  parseDeviceId,
  parseEpoch,
  parseLotId,
  slugOf,
} from '../../../../core/contract/device.ts'

const identifiers = fc.stringMatching(new RegExp(identifierPattern))

describe('an identifier', () => {
  it.each(['a', '0', 'Bull-Ring', 'gate_1', `a${'b'.repeat(63)}`])('may be %j', (text) => {
    expect(parseDeviceId(text)).toBe(text)
    expect(parseLotId(text)).toBe(text)
  })

  it.each([
    '',
    '-a',
    '_a',
    'a b',
    'a/b',
    'a+',
    '#',
    '..',
    'ä',
    'a\n',
    'a\u0000',
    `a${'b'.repeat(64)}`,
    null,
    undefined,
    7,
    ['a'],
  ])('may not be %j', (text) => {
    expect(parseDeviceId(text)).toBeUndefined()
    expect(parseLotId(text)).toBeUndefined()
  })
})

describe('an epoch', () => {
  it('is sixteen lower-case hex digits', () => {
    expect(parseEpoch('9f0c3a77d1e2b465')).toBe('9f0c3a77d1e2b465')
  })

  it.each(['', '9F0C3A77D1E2B465', '9f0c3a77d1e2b46', '9f0c3a77d1e2b4655', '9f0c3a77d1e2b465\n', 9, null])(
    'is not %j',
    (text) => {
      expect(parseEpoch(text)).toBeUndefined()
    },
  )
})

describe('the slug of a name', () => {
  it.each([
    ['Bull Ring', 'Bull-Ring'],
    ['  NIA Car Park / North  ', 'NIA-Car-Park-North'],
    ['Münster', 'Munster'],
    ['_private_', 'private_'],
    ['５階', '5'],
  ])('of %j is %j', (name, slug) => {
    expect(slugOf(name)).toBe(slug)
  })

  it.each(['', '   ', '---', '停车场', '🚗'])('of %j does not exist', (name) => {
    expect(slugOf(name)).toBeUndefined()
  })

  it('of an identifier is that identifier', () => {
    fc.assert(fc.property(identifiers, (identifier) => slugOf(identifier) === identifier))
  })

  it('is an identifier, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (name) => {
        const slug = slugOf(name)
        expect(slug === undefined || parseLotId(slug) === slug).toBe(true)
      }),
    )
  })
})
