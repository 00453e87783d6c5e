import { expect, it } from 'vitest'
import { oneAtATime } from '../../../console/web/one-at-a-time.ts'

it('asked for again and again, it comes to an end each time, and runs once more after the last', async () => {
  const ends: (() => void)[] = []
  let finished = 0
  const refresh = oneAtATime(async () => {
    await new Promise<void>((resolve) => ends.push(resolve))
    finished++
  })
  const all = [refresh(), refresh(), refresh()]
  expect(ends).toHaveLength(1)
  ends[0]?.()
  await all[1]
  await new Promise(setImmediate)
  expect(finished).toBe(1)
  expect(ends).toHaveLength(2)
  ends[1]?.()
  await all[0]
  expect(finished).toBe(2)
  expect(ends).toHaveLength(2)
})

it('goes on after one that failed', async () => {
  let runs = 0
  const refresh = oneAtATime(async () => {
    if (++runs === 1) throw new Error('away')
  })
  await expect(refresh()).rejects.toThrow('away')
  await refresh()
  expect(runs).toBe(2)
})
