/**
 * What the device makes of the configuration it is sent: which settings may be set from afar, and the state of a
 * configuration from its arrival to its proof. One that has been taken on is on trial until the device is connected with
 * it; when that does not happen, or it does not even start with it, the one before holds again. Pure.
 */
import type { ConfigMessage } from '../core/contract/downlink.ts'
import type { ConfigReport } from '../core/contract/status.ts'

/**
 * Settings that may be set from afar: how it counts and how it tells. None says where the device connects or what it
 * runs, so that whoever takes over an operator's account cannot lead devices away for good.
 */
export const remoteSettings = [
  'schedule',
  'flushEveryMs',
  'flushReadings',
  'sensorCapacity',
  'sensorTimeoutMs',
  'sensorSilentAfterMs',
  'sensorStuckAfterSec',
  'windowMessages',
  'reconnectMinMs',
  'reconnectMaxMs',
  'refusedMinMs',
  'refusedMaxMs',
  'stableMs',
  'ackTimeoutMs',
  'statusEveryMs',
  'logLevel',
] as const

export type RemoteSettings = Readonly<Record<string, unknown>>

export interface RemoteConfig {
  readonly v: 1
  /** Proved; absent: nothing was ever set from afar. */
  readonly current?: { readonly version: number; readonly settings: RemoteSettings }
  /** Not proved yet, and how often the device has started with it. */
  readonly trial?: { readonly version: number; readonly settings: RemoteSettings; readonly starts: number }
  /** The newest that was looked at, whatever became of it: it is not tried again. */
  readonly seen?: number
  /** What became of the newest of which that is known. */
  readonly report?: ConfigReport
}

export const noRemoteConfig: RemoteConfig = { v: 1 }

/** A device that has started so often without being connected is not going to be. */
const startsMax = 2
const reasonCharsMax = 500

/** The settings to run with. */
export function settingsOf({ current, trial }: RemoteConfig): RemoteSettings {
  return trial?.settings ?? current?.settings ?? {}
}

/** Why settings may not be set from afar; empty when they may. Whether their values are right is another question. */
export function foreignSettings(settings: RemoteSettings): string[] {
  return Object.keys(settings)
    .filter((name) => !remoteSettings.some((known) => known === name))
    .map((name) => `${name}: may not be set from afar`)
}

/**
 * A configuration has come.
 * @param faultsOf why the device cannot run with these settings; empty when it can
 * @returns undefined when it is known already
 */
export function received(
  state: RemoteConfig,
  { version, config }: ConfigMessage,
  faultsOf: (settings: RemoteSettings) => readonly string[],
): RemoteConfig | undefined {
  // Another version is tried, also a lower one: the registry may have been made anew.
  if (version === state.seen) return undefined
  const faults = faultsOf(config)
  if (faults.length > 0)
    return {
      ...state,
      seen: version,
      report: { version, state: 'rejected', reason: faults.join('; ').slice(0, reasonCharsMax) },
    }
  return { ...without(state, 'report'), seen: version, trial: { version, settings: config, starts: 0 } }
}

/** The device starts; a trial that has had its starts is over. */
export function started(state: RemoteConfig): RemoteConfig {
  const { trial } = state
  if (trial === undefined) return state
  if (trial.starts >= startsMax) return rolledBack(state, 'the device started with it and was not connected')
  return { ...state, trial: { ...trial, starts: trial.starts + 1 } }
}

/** It is connected: what was on trial is proved. */
export function confirmed(state: RemoteConfig): RemoteConfig {
  const { trial } = state
  if (trial === undefined) return state
  const { version, settings } = trial
  return {
    ...without(state, 'trial'),
    current: { version, settings },
    // A newer one that was rejected meanwhile is what there is to tell.
    ...(version === state.seen ? { report: { version, state: 'applied' } } : {}),
  }
}

/** What was on trial does not hold. */
export function rolledBack(state: RemoteConfig, reason: string): RemoteConfig {
  const { trial } = state
  if (trial === undefined) return state
  const { version } = trial
  const report = { version, state: 'rolled_back', reason: reason.slice(0, reasonCharsMax) } as const
  return { ...without(state, 'trial'), ...(version === state.seen ? { report } : {}) }
}

function without(state: RemoteConfig, name: 'trial' | 'report'): RemoteConfig {
  const { [name]: _, ...rest } = state
  return rest
}
