import { describe, expect, it } from 'vitest'
import { Pending } from '../../../broker/pending.ts'

const limits = { perAddressMax: 2, max: 3 }

describe('sockets without a CONNECT', () => {
  it('have so many places per address, and the newcomer is turned away while the others are new themselves', () => {
    const pending = new Pending<string>(limits)
    expect(pending.enter('a1', '192.0.2.1', 0)).toBeUndefined()
    expect(pending.enter('a2', '192.0.2.1', 0)).toBeUndefined()
    expect(pending.enter('a3', '192.0.2.1', 999)).toBe('a3')
    expect(pending.enter('b1', '192.0.2.2', 999)).toBeUndefined()
    expect(pending.size).toBe(3)
  })

  it('make room for a newcomer of their address when they have had time enough, the longest waiting first', () => {
    const pending = new Pending<string>(limits)
    pending.enter('b1', '192.0.2.2', 0)
    pending.enter('a1', '192.0.2.1', 1)
    pending.enter('a2', '192.0.2.1', 2)
    expect(pending.enter('a3', '192.0.2.1', 1001)).toBe('a1')
    expect(pending.enter('a4', '192.0.2.1', 1002)).toBe('a2')
    expect(pending.enter('a5', '192.0.2.1', 1003)).toBe('a5')
  })

  it('have so many places in all', () => {
    const pending = new Pending<string>(limits)
    for (const [i, name] of ['a', 'b', 'c'].entries()) pending.enter(name, `192.0.2.${i}`, 0)
    expect(pending.enter('d', '192.0.2.9', 0)).toBe('d')
    expect(pending.enter('d', '192.0.2.9', 1000)).toBe('a')
    expect(pending.size).toBe(3)
  })

  it('give their place back once, when their CONNECT has come or they are gone', () => {
    const pending = new Pending<string>(limits)
    pending.enter('a1', '2001:db8::1', 0)
    pending.enter('a2', '2001:db8::2', 0)
    pending.leave('a1')
    pending.leave('a1')
    expect(pending.enter('a3', '2001:db8::3', 0)).toBeUndefined()
    for (const name of ['a2', 'a3']) pending.leave(name)
    expect(pending.size).toBe(0)
  })
})
