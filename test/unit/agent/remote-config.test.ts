import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { agentSettings } from '../../../agent/config.ts'
import {
  confirmed,
  foreignSettings,
  noRemoteConfig,
  type RemoteConfig,
  received,
  remoteSettings,
  rolledBack,
  settingsOf,
  started,
} from '../../../agent/remote-config.ts'
import { root } from '../../../scripts/build.mjs'

const message = (version: number, config: Record<string, unknown> = { statusEveryMs: version * 1000 }) => ({
  v: 1 as const,
  version,
  config,
})
const take = (state: RemoteConfig, version: number, faults: readonly string[] = []) => {
  const next = received(state, message(version), () => faults)
  if (next === undefined) throw new Error('known')
  return next
}
const proved = confirmed(started(take(noRemoteConfig, 1)))

describe('a configuration from afar', () => {
  it('is run with on trial, and holds when the device is connected with it', () => {
    const trial = started(take(noRemoteConfig, 1))
    expect(settingsOf(trial)).toEqual({ statusEveryMs: 1000 })
    expect(trial.report).toBeUndefined()
    expect(confirmed(trial)).toMatchObject({
      current: { version: 1 },
      report: { version: 1, state: 'applied' },
    })
    expect(settingsOf(confirmed(trial))).toEqual({ statusEveryMs: 1000 })
  })

  it('gives way to the one before when the device is not connected with it, and is not tried again', () => {
    const back = rolledBack(started(take(proved, 2)), 'not connected')
    expect(settingsOf(back)).toEqual({ statusEveryMs: 1000 })
    expect(back.report).toEqual({ version: 2, state: 'rolled_back', reason: 'not connected' })
    expect(received(back, message(2), () => [])).toBeUndefined()
    expect(settingsOf(take(back, 3))).toEqual({ statusEveryMs: 3000 })
  })

  it('gives way when the device does not come up with it, however often it starts', () => {
    let state = take(proved, 2)
    for (let starts = 0; starts < 2; starts++) {
      state = started(state)
      expect(settingsOf(state)).toEqual({ statusEveryMs: 2000 })
    }
    state = started(state)
    expect(settingsOf(state)).toEqual({ statusEveryMs: 1000 })
    expect(state.report).toMatchObject({ version: 2, state: 'rolled_back' })
    expect(started(state)).toBe(state)
  })

  it('that is wrong is rejected and leaves everything as it is', () => {
    const rejected = take(proved, 2, ['statusEveryMs: is too small'])
    expect(settingsOf(rejected)).toEqual(settingsOf(proved))
    expect(rejected.report).toEqual({ version: 2, state: 'rejected', reason: 'statusEveryMs: is too small' })
    expect(received(rejected, message(2), () => [])).toBeUndefined()
  })

  it('that is wrong does not stop the one on trial from being proved, and stays what is told', () => {
    const both = take(take(proved, 2), 3, ['no'])
    expect(settingsOf(confirmed(both))).toEqual({ statusEveryMs: 2000 })
    expect(confirmed(both).report).toMatchObject({ version: 3, state: 'rejected' })
  })

  it('of a registry that was made anew counts, though its number is lower', () => {
    expect(settingsOf(take(confirmed(take(proved, 9)), 1))).toEqual({ statusEveryMs: 1000 })
  })

  it('may set what is on the list, which the guide has too, and nothing else', () => {
    const guide = readFileSync(join(root, 'docs/agent.md'), 'utf8')
    for (const name of remoteSettings) {
      expect(Object.keys(agentSettings.properties)).toContain(name)
      expect(guide).toContain(`\`${name}\``)
    }
    for (const name of ['brokerUrl', 'tokenEndpoint', 'execCommand', 'credentialFile', 'insecure', 'httpUrl'])
      expect(foreignSettings({ [name]: 'x', logLevel: 'debug' })).toHaveLength(1)
  })
})
