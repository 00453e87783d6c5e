import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openCommandLog } from '../../../agent/command-log.ts'
import { createDownlink, type Doings, type Downlink } from '../../../agent/downlink.ts'
import type { ConfigMessage, ReplyMessage } from '../../../core/contract/downlink.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
let done: string[]
let sent: ReplyMessage[]
let configs: ConfigMessage[]
/** Whether replies are acknowledged. */
let isHeard: boolean

beforeEach(() => {
  data = makeDataDir()
  mkdirSync(join(data.path, 'state'))
  done = []
  sent = []
  configs = []
  isHeard = true
})
afterEach(() => data.remove())

/** The device, as it is after each start. */
function open(doings: Partial<Doings> = {}): Downlink {
  return createDownlink({
    commands: openCommandLog(join(data.path, 'state', 'outbox')),
    onConfig: (message) => configs.push(message),
    reply: async (payload) => {
      sent.push(JSON.parse(payload) as ReplyMessage)
      return isHeard
    },
    doings: {
      ping: () => done.push('ping'),
      report: async () => true,
      setCount: async (occupied) => void done.push(`set-count ${occupied}`),
      rotate: async () => ({ credentialId: 'c-2' }),
      restart: () => void done.push('restart'),
      ...doings,
    },
    nowMs: () => 1_000_000,
    log: createLog({ program: 'agent', level: 'silent' }),
  })
}
const command = (commandId: string, name: string, given?: Record<string, unknown>, expiresAtMs = 2_000_000) =>
  JSON.stringify({ v: 1, commandId, name, ...(given === undefined ? {} : { arguments: given }), expiresAtMs })
const answers = () => sent.map(({ commandId, state, error }) => `${commandId} ${state} ${error ?? ''}`.trim())

describe('commands', () => {
  it('are done in turn and answered once each, however often they come', async () => {
    const device = open()
    for (let time = 0; time < 3; time++) {
      device.received('commands', command('a', 'ping'))
      device.received('commands', command('b', 'set-count', { occupied: 12 }))
    }
    await eventually(() => sent.length === 2)
    device.connected()
    device.received('commands', command('a', 'ping'))
    device.received('commands', command('c', 'report'))
    await eventually(() => sent.length === 3)
    expect(done).toEqual(['ping', 'set-count 12'])
    expect(answers()).toEqual(['a succeeded', 'b succeeded', 'c succeeded'])
  })

  it('are answered once over a restart of the device, which forgets none', async () => {
    isHeard = false
    const before = open()
    before.received('commands', command('a', 'ping'))
    await eventually(() => sent.length === 1)

    isHeard = true
    const after = open()
    after.received('commands', command('a', 'ping'))
    after.connected()
    await eventually(() => sent.length === 2)
    after.connected()
    open().connected()
    after.received('commands', command('z', 'ping'))
    await eventually(() => answers().includes('z succeeded'))
    expect(answers()).toEqual(['a succeeded', 'a succeeded', 'z succeeded'])
    expect(done).toEqual(['ping', 'ping'])
  })

  it('to restart are answered by who comes back', async () => {
    const before = open()
    before.received('commands', command('r', 'restart'))
    await eventually(() => done.length === 1)
    // What comes behind it is left to who comes back, too.
    before.received('commands', command('p', 'ping'))
    expect(sent).toEqual([])

    const after = open()
    expect(sent).toEqual([])
    after.connected()
    await eventually(() => sent.length === 2)
    expect(answers()).toEqual(['r succeeded', 'p succeeded'])
    expect(done).toEqual(['restart', 'ping', 'ping'])
  })

  it('that were cut off in the middle are not done twice where that would be wrong', async () => {
    const never = new Promise<never>(() => undefined)
    open({ setCount: () => never }).received('commands', command('s', 'set-count', { occupied: 3 }))
    const after = open()
    after.connected()
    await eventually(() => sent.length === 1)
    expect(answers()).toEqual(['s failed the device was interrupted; whether the count was set is not known'])
    expect(done).toEqual([])
  })

  it.each<[string, string, Partial<Doings>, RegExp]>([
    ['unknown', command('x', 'dance'), {}, /does not know/],
    ['expired', command('x', 'ping', {}, 999_999), {}, /expired/],
    ['without a count', command('x', 'set-count', { occupied: -1 }), {}, /occupied/],
    [
      'for a sensor that measures',
      command('x', 'set-count', { occupied: 1 }),
      { setCount: undefined },
      /measures/,
    ],
    ['that nobody hears', command('x', 'report'), { report: async () => false }, /not acknowledged/],
    [
      'that breaks',
      command('x', 'rotate'),
      { rotate: () => Promise.reject(new Error('lotsec_secret in a stack')) },
      /^the device could not do it$/,
    ],
  ])('that are %s fail, with the reason', async (_, text, doings, reason) => {
    open(doings).received('commands', text)
    await eventually(() => sent.length === 1)
    expect(sent[0]).toMatchObject({ commandId: 'x', state: 'failed' })
    expect(sent[0]?.error).toMatch(reason)
    expect(done).toEqual([])
  })

  it('are told from configuration, and what is neither is passed over', async () => {
    const device = open()
    device.received('config', JSON.stringify({ v: 1, version: 3, config: { logLevel: 'warn' } }))
    device.received('config', command('a', 'ping'))
    for (const text of ['', '{', '[]', '{"v":2}', command('../x', 'ping')]) device.received('commands', text)
    device.received('commands', command('b', 'ping'))
    await eventually(() => sent.length === 1)
    expect(configs).toEqual([{ v: 1, version: 3, config: { logLevel: 'warn' } }])
    expect(answers()).toEqual(['b succeeded'])
  })
})
