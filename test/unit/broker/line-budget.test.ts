import { expect, it } from 'vitest'
import { LineBudget } from '../../../broker/line-budget.ts'

it('lets so many lines through a second, and the next one says how many were left out', () => {
  const budget = new LineBudget(2)
  expect([0, 1, 2, 999].map((nowMs) => budget.take(nowMs))).toEqual([0, 0, undefined, undefined])
  expect([1000, 1001, 1002].map((nowMs) => budget.take(nowMs))).toEqual([2, 0, undefined])
})
