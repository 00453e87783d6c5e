import { describe, expect, it } from 'vitest'
import { Attempts } from '../../../broker/attempts.ts'

const limits = { perAddressBurst: 3, perAddressPerSec: 1, burst: 5, perSec: 2 }
const home = '192.0.2.1'

/** Tries so often, each of another name, and fails each time that it is looked at. */
function fail(attempts: Attempts, times: number, address: string, nowMs = 0, name = 'guess'): boolean[] {
  return Array.from({ length: times }, (_, i) => attempts.begin(`${name}-${i}`, address, nowMs) !== undefined)
}

describe('attempts', () => {
  it('of one address that fail are looked at so often, and then as time goes by', () => {
    const attempts = new Attempts(limits)
    expect(fail(attempts, 4, home)).toEqual([true, true, true, false])
    expect(fail(attempts, 2, home, 1000)).toEqual([true, false])
  })

  it('of one /64 count together', () => {
    const attempts = new Attempts(limits)
    fail(attempts, 3, '2001:db8::1')
    expect(fail(attempts, 1, '2001:db8::2')).toEqual([false])
    expect(fail(attempts, 1, '2001:db8:0:1::2')).toEqual([true])
  })

  it('of all addresses together are bounded too', () => {
    const attempts = new Attempts(limits)
    const looked = Array.from({ length: 8 }, (_, i) => fail(attempts, 1, `192.0.2.${i}`)[0])
    expect(looked.filter((isLooked) => isLooked)).toHaveLength(5)
    // The address that was not looked at has not paid for it.
    expect(fail(attempts, 4, '192.0.2.7', 2000)).toEqual([true, true, true, false])
  })

  it('that succeed cost nothing, however many there are', () => {
    const attempts = new Attempts(limits)
    for (let i = 0; i < 100; i++) {
      const attempt = attempts.begin(`gate-${i}`, home, 0)
      expect(attempt).toBeDefined()
      attempt?.succeeded()
    }
  })

  it('that could not be decided cost nothing', () => {
    const attempts = new Attempts(limits)
    for (let i = 0; i < 100; i++) attempts.begin('gate-1', home, 0)?.undecided()
    expect(attempts.begin('gate-1', home, 0)).toBeDefined()
  })

  it('of a device that was let in from there are looked at, whoever else fails there or elsewhere', () => {
    const attempts = new Attempts(limits)
    attempts.begin('gate-1', home, 0)?.succeeded()
    fail(attempts, 10, home)
    for (let i = 0; i < 10; i++) fail(attempts, 10, `198.51.100.${i}`)
    expect(attempts.begin('gate-2', home, 0)).toBeUndefined()
    expect(attempts.begin('gate-1', home, 0)).toBeDefined()
    expect(attempts.begin('gate-1', '198.51.100.1', 0)).toBeUndefined()
  })

  it('in the name of such a device are bounded as well', () => {
    const attempts = new Attempts(limits)
    attempts.begin('gate-1', home, 0)?.succeeded()
    const looked = Array.from({ length: 100 }, () => attempts.begin('gate-1', home, 0) !== undefined)
    expect(looked.filter((isLooked) => isLooked)).toHaveLength(13)
  })
})
