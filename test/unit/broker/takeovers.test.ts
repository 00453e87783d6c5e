import { expect, it } from 'vitest'
import { Takeovers } from '../../../broker/takeovers.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'

const gate = parseDeviceId('gate-1') as DeviceId
const limits = { perMinuteMax: 5, holdMs: 60_000 }

/** So many takeovers, one each `everyMs`. @returns what was said of each */
function takeovers(of: Takeovers, count: number, everyMs: number): boolean[] {
  return Array.from({ length: count }, (_, i) => of.note(gate, i * everyMs))
}

it('an identity is held after more takeovers in a minute than the limit, and let go again', () => {
  const takeover = new Takeovers(limits)
  expect(takeovers(takeover, 6, 1000)).toEqual([false, false, false, false, false, true])
  expect(takeover.isHeld(gate, 5000)).toBe(true)
  expect(takeover.isHeld(gate, 64_999)).toBe(true)
  expect(takeover.isHeld(gate, 65_000)).toBe(false)
})

it('takeovers that are further apart hold nobody', () => {
  const takeover = new Takeovers(limits)
  expect(takeovers(takeover, 100, 12_000)).not.toContain(true)
})

it('the count begins anew when the hold is over', () => {
  const takeover = new Takeovers(limits)
  takeovers(takeover, 6, 0)
  takeover.sweep(60_000)
  expect(takeover.note(gate, 60_000)).toBe(false)
})

it('an identity that is fought over costs no other anything', () => {
  const takeover = new Takeovers(limits)
  takeovers(takeover, 6, 0)
  expect(takeover.isHeld(parseDeviceId('gate-2') as DeviceId, 0)).toBe(false)
})
