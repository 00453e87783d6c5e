import { expect, test } from 'vitest'
import { fillWindows } from '../../../ingest/fill.ts'

const window = (value: number | null) => ({
  mean: value,
  min: value,
  max: value,
  first: value,
  last: value,
  p95: value,
  sum: value,
  count: value === null ? 0 : 1,
})
const edges = [0, 10, 20, 30, 40, 50]
const windows = [null, 4, null, null, 10, null].map(window)

function means(how: 'previous' | 'linear', untilMs = 1000) {
  return fillWindows(windows, [...edges, 60], { how, untilMs }).map(({ mean, filled }) => [mean, filled])
}

test('what held last goes on until the next measured window, and says that it is filled', () => {
  expect(means('previous')).toEqual([
    [null, false],
    [4, false],
    [4, true],
    [4, true],
    [10, false],
    [10, true],
  ])
})

test('a line goes from one measured window to the next, by time, and never beyond', () => {
  expect(means('linear')).toEqual([
    [null, false],
    [4, false],
    [6, true],
    [8, true],
    [10, false],
    [null, false],
  ])
})

test('what has not begun yet is not filled', () => {
  expect(means('previous', 50)[5]).toEqual([null, false])
})

test('sums and counts are not filled', () => {
  const [, , filled] = fillWindows(windows, [...edges, 60], { how: 'previous', untilMs: 1000 })
  expect(filled).toMatchObject({ filled: true, sum: null, count: 0 })
})
