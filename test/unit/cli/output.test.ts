import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { age, type Column, dash, grouped, sheet, table } from '../../../cli/output.ts'

interface Row {
  readonly name: string
  readonly count: number | null
}
const columns: readonly Column<Row>[] = [
  { head: 'name', cell: (row) => row.name },
  { head: 'count', cell: (row) => row.count, align: 'right' },
]
const lines = (text: string) => stripVTControlCharacters(text).split('\n')

describe('a table', () => {
  it('shows what nobody measured as a dash, and zero as zero', () => {
    const [head, silent, empty] = lines(
      table(columns, [
        { name: 'north', count: null },
        { name: 'south', count: 0 },
      ]),
    )
    expect(head).toMatch(/^name +count$/)
    expect(silent).toMatch(new RegExp(`^north +${dash}$`))
    expect(empty).toMatch(/^south +0$/)
  })

  it('lines numbers up at their last digit', () => {
    const [, long, short] = lines(
      table(columns, [
        { name: 'a', count: 12345 },
        { name: 'a', count: 7 },
      ]),
    )
    expect(short).toHaveLength(long?.length ?? 0)
  })

  it('is as wide as the names in a sheet', () => {
    expect(
      lines(
        sheet([
          ['a', '1'],
          ['long', '2'],
        ]),
      ),
    ).toEqual(['  a     1', '  long  2'])
  })
})

describe('numbers for people', () => {
  it('are grouped by thousands and keep their digits', () => {
    fc.assert(
      fc.property(fc.nat(), (value) => {
        expect(Number(grouped(value).replaceAll(',', ''))).toBe(value)
        expect(grouped(value)).toMatch(/^[0-9]{1,3}(,[0-9]{3})*$/)
      }),
    )
  })

  it.each([
    [0, '0 s'],
    [59, '59 s'],
    [3599, '59 min'],
    [7200, '2 h'],
    [260_000, '3 d'],
  ])('say an age in its largest unit: %s', (seconds, said) => {
    expect(age(seconds)).toBe(said)
  })
})
