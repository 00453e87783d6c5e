/** The life of a device as one table of transitions. Pure; what else a change entails is the registry's. */
import type { DeviceState } from '../core/contract/registry.ts'

export type DeviceVerb = 'enrol' | 'activate' | 'suspend' | 'resume' | 'retire'

/**
 * From each state, where a verb leads; what is not here is not allowed. A verb that leads nowhere new changes nothing.
 * registered: no credential yet; enrolled: it has one; active: it has had a token.
 */
const transitions = {
  registered: { enrol: 'enrolled', suspend: 'suspended', resume: 'registered', retire: 'retired' },
  enrolled: {
    enrol: 'enrolled',
    activate: 'active',
    suspend: 'suspended',
    resume: 'enrolled',
    retire: 'retired',
  },
  active: { enrol: 'active', activate: 'active', suspend: 'suspended', resume: 'active', retire: 'retired' },
  suspended: { suspend: 'suspended', resume: 'enrolled', retire: 'retired' },
  retired: { retire: 'retired' },
} as const satisfies Record<DeviceState, Partial<Record<DeviceVerb, DeviceState>>>

/** @returns undefined when the device's state does not allow it */
export function nextState(state: DeviceState, verb: DeviceVerb): DeviceState | undefined {
  const from: Partial<Record<DeviceVerb, DeviceState>> = transitions[state]
  return from[verb]
}

/** Whether tokens may be issued to a device, and those it holds honoured. */
export function mayAuthenticate(state: DeviceState): boolean {
  return state === 'enrolled' || state === 'active'
}

/** A retired device is a record and nothing else: it gets no credential and no lot any more. */
export function mayChange(state: DeviceState): boolean {
  return state !== 'retired'
}
