import { describe, expect, test } from 'vitest'
import { byteRangeOf } from '../../../ingest/byte-range.ts'

describe('the part of a file that is asked for', () => {
  test.each([
    ['bytes=0-99', { start: 0, end: 99 }],
    ['bytes=990-', { start: 990, end: 999 }],
    ['bytes=990-5000', { start: 990, end: 999 }],
    ['bytes=-10', { start: 990, end: 999 }],
    ['bytes=-5000', { start: 0, end: 999 }],
    ['bytes=1000-', 'unsatisfiable'],
    ['bytes=-0', 'unsatisfiable'],
    // Not understood, or more than one: the whole.
    [undefined, undefined],
    ['bytes=-', undefined],
    ['bytes=5-4', undefined],
    ['bytes=0-1,4-5', undefined],
    ['lines=0-1', undefined],
    ['bytes=a-b', undefined],
  ] as const)('%s', (header, expected) => {
    expect(byteRangeOf(header, 1000)).toEqual(expected)
  })

  test('is nothing of an empty file', () => {
    expect(byteRangeOf('bytes=0-', 0)).toBe('unsatisfiable')
  })
})
