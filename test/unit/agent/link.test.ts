import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readIdentity } from '../../../agent/identity.ts'
import { createLink, type Link } from '../../../agent/link.ts'
import type { Uplink, UplinkEvents } from '../../../agent/uplink.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'
import { writeCredential } from './peers.ts'

let data: ReturnType<typeof makeDataDir>
let link: Link
/** What happened to connections, in order. */
let happened: string[]
let heard: UplinkEvents | undefined
let given: number

beforeEach(() => {
  data = makeDataDir()
  happened = []
  heard = undefined
  given = 0
})
afterEach(async () => {
  await link.stop()
  data.remove()
})

const path = () => join(data.path, 'credentials.json')
const write = (brokerUrl: string, client = 'north-1') =>
  writeCredential(path(), { deviceId: client, brokerUrl, tokenEndpoint: 'http://127.0.0.1:1/oauth/token' })
const events: UplinkEvents = {
  onConnected: () => undefined,
  onSettled: (id) => happened.push(`settled ${id}`),
  onDisconnected: () => undefined,
}

function open(): Link {
  link = createLink({
    credentialFile: path(),
    readIdentity: () => readIdentity(path(), { insecure: false }),
    createTokens: () => {
      const serial = ++given
      return {
        get: async () => ({ token: `of ${serial}`, expiresAtMs: 0, renewAtMs: 0 }),
        invalidate: () => undefined,
      }
    },
    createUplink: ({ broker, deviceId }, tokens, onFault): Uplink => ({
      isConnected: false,
      start(all) {
        heard = all
        happened.push(`${deviceId} to ${broker.url}`)
        onFault('econnrefused')
        void tokens.get()
      },
      send: () => undefined,
      publish: async () => false,
      renew: () => void tokens.get().then(({ token }) => happened.push(`renews with ${token}`)),
      async stop() {
        await new Promise((resolve) => setImmediate(resolve))
        happened.push(`leaves ${broker.url}`)
      },
    }),
    lookEveryMs: 10,
    log: createLog({ program: 'agent', level: 'silent' }),
  })
  return link
}

describe('the link', () => {
  it('waits for a credential, says why there is none, and connects once when it comes', async () => {
    open().start(events)
    expect(link.state()).toMatchObject({ identity: undefined, isConnected: false })
    writeFileSync(path(), '{', { mode: 0o600 })
    await eventually(() => link.state().identityFault?.includes('is not JSON'))
    write('mqtt://127.0.0.1:1')
    await eventually(() => happened.length > 0)
    expect(link.state()).toMatchObject({
      identityFault: undefined,
      connectFault: 'econnrefused',
      token: 'ok',
    })
    expect(happened).toEqual(['north-1 to mqtt://127.0.0.1:1'])
  })

  it('goes on with a new token where only the credential is another, and counts anew what it settles', async () => {
    write('mqtt://127.0.0.1:1')
    open().start(events)
    heard?.onSettled(7)
    expect(link.state().acknowledged).toBe(1)
    write('mqtt://127.0.0.1:1')
    await eventually(() => happened.includes('renews with of 2'))
    expect(link.state().acknowledged).toBe(0)
    expect(happened).toEqual(['north-1 to mqtt://127.0.0.1:1', 'settled 7', 'renews with of 2'])
  })

  it('leaves one broker before it goes to another', async () => {
    write('mqtt://127.0.0.1:1')
    open().start(events)
    write('mqtt://127.0.0.1:2')
    await eventually(() => happened.length === 3)
    expect(happened).toEqual([
      'north-1 to mqtt://127.0.0.1:1',
      'leaves mqtt://127.0.0.1:1',
      'north-1 to mqtt://127.0.0.1:2',
    ])
  })

  it('stays who it is while the file is gone or wrong', async () => {
    write('mqtt://127.0.0.1:1')
    open().start(events)
    rmSync(path())
    await eventually(() => link.state().identityFault !== undefined)
    expect(link.state().identity?.deviceId).toBe('north-1')
    expect(happened).toHaveLength(1)
  })
})
