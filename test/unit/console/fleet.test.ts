import { describe, expect, it } from 'vitest'
import { type Connection, fleetRow } from '../../../console/web/fleet.ts'
import type { DeviceRow } from '../../../core/contract/query.ts'
import type { Device, DeviceState } from '../../../core/contract/registry.ts'

const device = (state: DeviceState): Device => ({
  deviceId: 'gate-1',
  name: 'gate-1',
  state,
  registeredAtMs: 0,
  tags: [],
})
const connection: Connection = {
  deviceId: 'gate-1',
  remoteAddress: '192.0.2.1',
  connectedAtMs: 5,
  tokenExpiresAtMs: 9,
}
const seen = (state: DeviceRow['state']) => ({ state, lastSeen: '2026-11-25T10:00:00Z' }) as DeviceRow // what is read of it

describe('the word for how a device is', () => {
  it.each([
    ['suspended', device('suspended'), connection, seen('online')],
    ['retired', device('retired'), undefined, undefined],
    ['late', device('active'), connection, seen('late')],
    ['silent sensor', device('active'), connection, seen('silent_sensor')],
    ['offline', device('active'), undefined, seen('offline')],
    ['never seen', device('active'), undefined, seen('never_seen')],
  ] as const)('is %s', (word, of, connected, row) => {
    expect(fleetRow(of, connected, row, true).word).toBe(word)
  })

  it('claims no more than a connection tells, where ingest says nothing', () => {
    expect(fleetRow(device('active'), connection, undefined, false).word).toBe('connected')
    expect(fleetRow(device('active'), undefined, undefined, false).word).toBe('not connected')
    expect(fleetRow(device('registered'), undefined, undefined, false).word).toBe('never seen')
  })
})
