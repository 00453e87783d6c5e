import { describe, expect, it } from 'vitest'
import { networkOf } from '../../../../../core/runtime/network.ts'
import { createBrake } from '../../../../../provisioning/oauth/guards/brake.ts'
import { Failures } from '../../../../../provisioning/oauth/guards/failures.ts'

const policy = { free: 2, firstMs: 100, delayMsMax: 1000, quietMs: 60_000, namesMax: 3 }

describe('failures', () => {
  it('are free at first, then cost twice as much each time, up to a bound', () => {
    const failures = new Failures(policy)
    expect(Array.from({ length: 8 }, () => failures.note('gate-1', 0))).toEqual([
      0, 0, 100, 200, 400, 800, 1000, 1000,
    ])
  })

  it('are forgotten after a quiet time, and not before', () => {
    const failures = new Failures(policy)
    for (let n = 0; n < 5; n++) failures.note('gate-1', 0)
    expect(failures.note('gate-1', 59_999)).toBe(800)
    expect(failures.note('gate-1', 59_999 + 60_000)).toBe(0)
  })

  it('are remembered for so many names; the one that failed longest ago goes first', () => {
    const failures = new Failures(policy)
    for (const name of ['a', 'b', 'a', 'c', 'd']) failures.note(name, 0)
    expect(failures.size).toBe(3)
    expect(failures.note('a', 0)).toBe(100)
    expect(failures.note('b', 0)).toBe(0)
  })
})

/** A brake whose clock stands and whose timers fire when told. */
function openBrake(limits: { waitingMax?: number; waitingPerAddressMax?: number } = {}) {
  const timers: { go: () => void; ms: number }[] = []
  const brake = createBrake({
    nowMs: () => 0,
    setTimer: (go, ms) => {
      timers.push({ go, ms })
      return {}
    },
    client: policy,
    address: { ...policy, free: 4 },
    ...limits,
  })
  return { brake, timers }
}

describe('the brake', () => {
  it('holds the refusals of a client id that failed before, from whatever address they come', async () => {
    const { brake, timers } = openBrake()
    await brake.failed('gate-1', '192.0.2.1')
    await brake.failed('gate-1', '192.0.2.2')
    let isAnswered = false
    const third = brake.failed('gate-1', '192.0.2.3').then((verdict) => {
      isAnswered = true
      return verdict
    })
    await Promise.resolve()
    expect([isAnswered, timers.map(({ ms }) => ms)]).toEqual([false, [100]])
    timers[0]?.go()
    expect(await third).toEqual({ answer: 'refuse' })
    expect(brake.waiting).toBe(0)
  })

  it('holds the refusals of an address that tries many client ids', async () => {
    const { brake, timers } = openBrake()
    for (let n = 0; n < 4; n++) await brake.failed(`gate-${n}`, '192.0.2.1')
    void brake.failed('gate-9', '192.0.2.1')
    expect(timers.map(({ ms }) => ms)).toEqual([100])
    expect(await brake.failed('gate-9', '192.0.2.2')).toEqual({ answer: 'refuse' })
  })

  it('answers at once and later when no place to wait is left, for the address and in all', async () => {
    const { brake } = openBrake({ waitingPerAddressMax: 1, waitingMax: 2 })
    const fail = (address: string) => brake.failed('gate-1', address)
    await fail('192.0.2.1')
    await fail('192.0.2.1')
    void fail('192.0.2.1')
    expect(await fail('192.0.2.1')).toEqual({ answer: 'later', retryAfterSec: 1 })
    void fail('192.0.2.2')
    expect(brake.waiting).toBe(2)
    expect(await fail('192.0.2.3')).toMatchObject({ answer: 'later' })
  })

  it('forgets a client’s failures when it succeeds, and not those of the address', async () => {
    const { brake, timers } = openBrake()
    for (let n = 0; n < 2; n++) await brake.failed('gate-1', '192.0.2.1')
    brake.succeeded('gate-1')
    for (let n = 0; n < 2; n++) await brake.failed('gate-1', '192.0.2.1')
    expect(timers).toEqual([])
    void brake.failed('gate-2', '192.0.2.1')
    expect(timers).toHaveLength(1)
  })

  it('lets all go that waits when it stops', async () => {
    const { brake } = openBrake()
    for (let n = 0; n < 2; n++) await brake.failed('gate-1', '192.0.2.1')
    const held = brake.failed('gate-1', '192.0.2.1')
    brake.stop()
    expect(await held).toEqual({ answer: 'refuse' })
    expect(await brake.failed('gate-1', '192.0.2.1')).toEqual({ answer: 'refuse' })
  })

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8::7', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('takes %s for one of %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
