import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import { Fleet } from '../../../ingest/fleet.ts'

const a = 'a' as DeviceId

function presence(atMs: number, connected: boolean, connectionId = 'c1') {
  return { deviceId: a, connected, brokerId: 'b1', connectionId, atMs }
}

describe('presence', () => {
  test('is news when it changes, and none when it is told again', () => {
    const fleet = new Fleet()

    expect(fleet.putPresence(presence(1, true))).toEqual([presence(1, true)])
    expect(fleet.putPresence(presence(1, true))).toEqual([])
    expect(fleet.putPresence(presence(2, false))).toEqual([presence(2, false)])
    expect(fleet.presence(a)?.connected).toBe(false)
  })

  test('stays when an older connection ends after a newer one has begun', () => {
    const fleet = new Fleet()
    fleet.putPresence(presence(1, true, 'old'))
    fleet.putPresence(presence(2, true, 'new'))

    expect(fleet.putPresence(presence(3, false, 'old'))).toEqual([])
    expect(fleet.presence(a)?.connected).toBe(true)
  })

  test('ends for whom a snapshot no longer names, when it is told', () => {
    const fleet = new Fleet()
    fleet.putPresence(presence(1, true))

    expect(fleet.replacePresence([], 50)).toEqual([{ ...presence(1, false), atMs: 50 }])
    expect(fleet.replacePresence([], 60)).toEqual([])
    expect(fleet.replacePresence([presence(70, true, 'c2')], 80)).toEqual([presence(70, true, 'c2')])
  })
})
