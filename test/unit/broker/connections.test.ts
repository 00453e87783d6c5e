import { expect, it } from 'vitest'
import { Connections, type Standing } from '../../../broker/connections.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import type { Principal } from '../../../core/contract/principal.ts'

function standing(id: string, expiresAtSec = 100): Standing {
  return {
    deviceId: parseDeviceId(id) as DeviceId,
    principal: { expiresAtSec, oauthClientId: id } as Principal,
  }
}

it('a connection whose token has expired is cut when the skew has passed, and not before', () => {
  const connections = new Connections()
  const early = standing('a', 100)
  connections.add(early)
  connections.add(standing('b', 200))
  expect(connections.expired(129_999, 30)).toEqual([])
  expect(connections.expired(130_000, 30)).toEqual([early])
})

it('a device has one connection at a time', () => {
  const connections = new Connections()
  connections.add(standing('a'))
  expect(() => connections.add(standing('a'))).toThrow('still connected')
})

it('the end of a connection that was replaced does not take the new one along', () => {
  const connections = new Connections()
  const older = standing('a')
  const newer = standing('a')
  connections.add(older)
  connections.remove(older)
  connections.add(newer)
  connections.remove(older)
  expect(connections.of(newer.deviceId)).toBe(newer)
})
