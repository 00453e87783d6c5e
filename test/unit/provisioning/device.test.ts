import { describe, expect, it } from 'vitest'
import type { DeviceState } from '../../../core/contract/registry.ts'
import { type DeviceVerb, mayAuthenticate, mayChange, nextState } from '../../../provisioning/device.ts'

describe('the life of a device', () => {
  it.each<[DeviceState, DeviceVerb, DeviceState | undefined]>([
    ['registered', 'enrol', 'enrolled'],
    ['registered', 'activate', undefined],
    ['registered', 'suspend', 'suspended'],
    ['registered', 'retire', 'retired'],
    ['enrolled', 'enrol', 'enrolled'],
    ['enrolled', 'activate', 'active'],
    ['enrolled', 'suspend', 'suspended'],
    ['enrolled', 'retire', 'retired'],
    ['active', 'activate', 'active'],
    ['active', 'enrol', 'active'],
    ['active', 'suspend', 'suspended'],
    ['active', 'resume', 'active'],
    ['active', 'retire', 'retired'],
    ['suspended', 'suspend', 'suspended'],
    ['suspended', 'resume', 'enrolled'],
    ['suspended', 'activate', undefined],
    ['suspended', 'enrol', undefined],
    ['suspended', 'retire', 'retired'],
    ['retired', 'retire', 'retired'],
    ['retired', 'suspend', undefined],
    ['retired', 'resume', undefined],
    ['retired', 'enrol', undefined],
  ])('%s, told to %s, is %s', (state, verb, next) => {
    expect(nextState(state, verb)).toBe(next)
  })

  it('lets only a device authenticate that has a credential and may use it', () => {
    expect(mayAuthenticate('active')).toBe(true)
    expect(mayAuthenticate('enrolled')).toBe(true)
    expect(mayAuthenticate('registered')).toBe(false)
    expect(mayAuthenticate('suspended')).toBe(false)
    expect(mayAuthenticate('retired')).toBe(false)
  })

  it('gives a retired device nothing any more', () => {
    expect(mayChange('suspended')).toBe(true)
    expect(mayChange('retired')).toBe(false)
  })
})
