/**
 * The configuration that was sent to this device, on disk beside its outbox: what to run with now, and what to do when
 * another one comes. The rules are in `remote-config.ts`.
 */
import { Type } from 'typebox'
import type { ConfigMessage } from '../core/contract/downlink.ts'
import { isFleetError } from '../core/contract/errors.ts'
import { ConfigReport } from '../core/contract/status.ts'
import type { Log } from '../core/runtime/log.ts'
import { type AgentConfig, withRemote } from './config.ts'
import { readKept, writeKept } from './kept-file.ts'
import {
  confirmed,
  foreignSettings,
  noRemoteConfig,
  type RemoteConfig,
  type RemoteSettings,
  received,
  rolledBack,
  settingsOf,
  started,
} from './remote-config.ts'

const Versioned = {
  version: Type.Integer({ minimum: 1 }),
  settings: Type.Record(Type.String(), Type.Unknown()),
}
const RemoteFile = Type.Object({
  v: Type.Literal(1),
  current: Type.Optional(Type.Object(Versioned)),
  trial: Type.Optional(Type.Object({ ...Versioned, starts: Type.Integer({ minimum: 0 }) })),
  seen: Type.Optional(Type.Integer({ minimum: 1 })),
  report: Type.Optional(ConfigReport),
})

export interface Remote {
  /** To run with from here on. */
  readonly config: AgentConfig
  /** Of that, what was set from afar. */
  readonly settings: RemoteSettings
  /** It is not proved yet that the device can be connected with it. */
  readonly isOnTrial: boolean
  report(): ConfigReport | undefined
  /** `trial`: the device has to start anew, with what came. */
  received(message: ConfigMessage): 'known' | 'rejected' | 'trial'
  /** The device is connected and heard with it. */
  proved(): void
  /** It is not going to be. */
  giveUp(reason: string): void
}

export function remoteFileOf(outboxDir: string): string {
  return `${outboxDir}.remote.json`
}

/** What was set from afar, for whoever only looks. */
export function readRemote(outboxDir: string): { version: number; settings: RemoteSettings } | undefined {
  const state = readKept(remoteFileOf(outboxDir), RemoteFile)
  return state?.trial ?? state?.current
}

/** Begins a start of the device with what there is. */
export function openRemote(base: AgentConfig, log: Log): Remote {
  const path = remoteFileOf(base.outboxDir)
  let state: RemoteConfig = readKept(path, RemoteFile) ?? noRemoteConfig

  function keep(next: RemoteConfig): void {
    if (next === state) return
    const { report } = next
    if (report !== undefined && report !== state.report) log.info('config.reported', { ...report })
    state = next
    try {
      writeKept(path, next)
    } catch (error) {
      // A full disk: it holds until the next start, and is sent again then.
      log.error('config.not_kept', { path, error })
    }
  }

  function faultsOf(settings: RemoteSettings): readonly string[] {
    const foreign = foreignSettings(settings)
    if (foreign.length > 0) return foreign
    try {
      withRemote(base, settings)
      return []
    } catch (error) {
      return isFleetError(error) ? error.faults : [String(error)]
    }
  }

  function configNow(): AgentConfig {
    const faults = faultsOf(settingsOf(state))
    if (faults.length === 0) return withRemote(base, settingsOf(state))
    // The device's own settings have changed since, and the two do not go together.
    if (state.trial !== undefined) {
      keep(rolledBack(state, faults.join('; ')))
      return configNow()
    }
    log.error('config.unfit', { faults })
    return base
  }

  keep(started(state))
  const config = configNow()
  return {
    config,
    settings: config === base ? {} : settingsOf(state),
    get isOnTrial() {
      return state.trial !== undefined
    },
    report: () => state.report,
    received(message) {
      const next = received(state, message, faultsOf)
      if (next === undefined) return 'known'
      keep(next)
      return next.trial?.version === message.version ? 'trial' : 'rejected'
    },
    proved: () => keep(confirmed(state)),
    giveUp: (reason) => keep(rolledBack(state, reason)),
  }
}
