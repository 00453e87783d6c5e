import { expect, test } from 'vitest'
import { toCsv } from '../../../ingest/csv.ts'

test('CSV quotes what has to be quoted and leaves null empty', () => {
  const rows = [
    { a: 'x,y', b: null, c: ['p', 'q'] },
    { a: 'say "no"', b: 0, c: [] },
  ]

  expect(toCsv(rows, ['a', 'b', 'c'])).toBe('a,b,c\r\n"x,y",,p q\r\n"say ""no""",0,\r\n')
})
