import { describe, expect, it } from 'vitest'
import { Throttle } from '../../../console/server/throttle.ts'

const make = (keysMax = 10) =>
  new Throttle({ free: 2, firstWaitMs: 1000, waitMsMax: 5000, forgetMs: 60_000, keysMax })

describe('failed sign-ins', () => {
  it('cost nothing at first, then ever more, up to a limit', () => {
    const throttle = make()
    const waits = [0, 1, 2, 3, 4, 5].map(() => {
      const waitMs = throttle.waitMs('anna', 0)
      throttle.failed('anna', 0)
      return waitMs
    })
    expect(waits).toEqual([0, 0, 1000, 2000, 4000, 5000])
  })

  it('are waited for and no longer', () => {
    const throttle = make()
    for (const atMs of [0, 0]) throttle.failed('anna', atMs)
    expect(throttle.waitMs('anna', 999)).toBe(1)
    expect(throttle.waitMs('anna', 1000)).toBe(0)
  })

  it('are forgotten after a success, after a while, and of others never counted', () => {
    const throttle = make()
    for (const key of ['anna', 'anna', 'bert', 'bert']) throttle.failed(key, 0)
    throttle.succeeded('anna')
    expect(throttle.waitMs('anna', 0)).toBe(0)
    expect(throttle.waitMs('carl', 0)).toBe(0)
    throttle.failed('bert', 60_001)
    expect(throttle.waitMs('bert', 60_001)).toBe(0)
  })

  it('of ever new names take no more room', () => {
    const throttle = make(2)
    for (const key of ['a', 'a', 'b', 'b', 'c', 'c']) throttle.failed(key, 0)
    expect(throttle.waitMs('a', 0)).toBe(0)
    expect(throttle.waitMs('c', 0)).toBe(1000)
  })
})
