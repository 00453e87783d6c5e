import { describe, expect, it } from 'vitest'
import type { DeviceState } from '../../../core/contract/registry.ts'
import { type DeviceVerb, mayAuthenticate, mayChange, nextState } from '../../../provisioning/device.ts'

describe('the life of a device', () => {
  it.each<[DeviceState, DeviceVerb, DeviceState | undefined]>([
    ['active', 'suspend', 'suspended'],
    ['active', 'resume', 'active'],
    ['active', 'retire', 'retired'],
    ['suspended', 'suspend', 'suspended'],
    ['suspended', 'resume', 'active'],
    ['suspended', 'retire', 'retired'],
    ['retired', 'retire', 'retired'],
    ['retired', 'suspend', undefined],
    ['retired', 'resume', undefined],
  ])('%s, told to %s, is %s', (state, verb, next) => {
    expect(nextState(state, verb)).toBe(next)
  })

  it('lets only an active device authenticate', () => {
    expect(mayAuthenticate('active')).toBe(true)
    expect(mayAuthenticate('suspended')).toBe(false)
    expect(mayAuthenticate('retired')).toBe(false)
  })

  it('gives a retired device nothing any more', () => {
    expect(mayChange('suspended')).toBe(true)
    expect(mayChange('retired')).toBe(false)
  })
})
