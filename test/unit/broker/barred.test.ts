import { expect, it } from 'vitest'
import { BarredDevices } from '../../../broker/barred.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import type { FeedEvent } from '../../../core/contract/feed.ts'
import type { Device } from '../../../core/contract/registry.ts'
import { emptySnapshot } from '../../kit/issuer.ts'

const gate = parseDeviceId('gate-1') as DeviceId
const device = (state: Device['state'], deviceId: string = gate): Device => ({
  deviceId,
  name: deviceId,
  state,
  registeredAtMs: 0,
  tags: [],
})
const snapshot = (...devices: Device[]): FeedEvent => ({
  type: 'snapshot',
  data: { ...emptySnapshot, devices },
})

it('suspended and retired devices are barred until they may connect again', () => {
  const barred = new BarredDevices()
  for (const state of ['suspended', 'retired'] as const) {
    barred.hear({ type: 'device', data: device(state) })
    expect(barred.has(gate), state).toBe(true)
    barred.hear({ type: 'device', data: device('active') })
    expect(barred.has(gate)).toBe(false)
  }
})

it('a snapshot replaces all that was known', () => {
  const barred = new BarredDevices()
  barred.hear({ type: 'device', data: device('suspended') })
  barred.hear(snapshot(device('suspended', 'gate-2')))
  expect(barred.has(gate)).toBe(false)
  expect(barred.has(parseDeviceId('gate-2') as DeviceId)).toBe(true)
})
