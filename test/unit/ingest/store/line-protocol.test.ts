import { describe, expect, test } from 'vitest'
import { lineOf, type Point, timeMsMax } from '../../../../ingest/store/line-protocol.ts'

const point = (parts: Partial<Point>): Point => ({
  measurement: 'm',
  tags: {},
  fields: { n: 1 },
  timeMs: 0,
  ...parts,
})

describe('a line', () => {
  test('has integers and texts as such, and leaves out what is not known', () => {
    const fields = { occupied: 0, capacity: undefined, seq: null, clock: 'synced' }

    const line = lineOf(
      point({ measurement: 'readings', tags: { device: 'a' }, fields, timeMs: 1763906700000 }),
    )

    expect(line).toBe('readings,device=a occupied=0i,clock="synced" 1763906700000000000')
  })

  test('says nanoseconds exactly, before 1970, too', () => {
    expect(lineOf(point({ timeMs: -5 }))).toBe('m n=1i -5000000')
    expect(lineOf(point({ timeMs: timeMsMax, slot: 775_807 }))).toBe('m n=1i 9223372036854775807')
  })

  test('keeps apart what shares a millisecond', () => {
    expect(lineOf(point({ timeMs: 7, slot: 42 }))).toBe('m n=1i 7000042')
  })

  test('lets no text end a field, nor a tag', () => {
    const fields = { s: 'a "b" \\ c, d=e\nf' }

    const line = lineOf(point({ tags: { t: 'a b,c=d' }, fields }))

    expect(line).toBe('m,t=a\\ b\\,c\\=d s="a \\"b\\" \\\\ c, d=e\nf" 0000000')
  })

  test.each([{ fields: { n: 1.5 } }, { fields: { n: 2 ** 53 } }, { timeMs: timeMsMax + 1 }, { timeMs: 0.5 }])(
    'refuses what would come back as something else: %j',
    (parts) => {
      expect(() => lineOf(point(parts))).toThrow(RangeError)
    },
  )
})
