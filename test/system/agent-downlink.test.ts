/** Commands to a device of a running system, from the operator's request to the answer in the registry. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EnrolmentParts, enrol, pendingFileOf } from '../../agent/enrolment.ts'
import { writeKept } from '../../agent/kept-file.ts'
import type { CredentialRecord } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { Command, CommandRequest } from '../../core/contract/downlink.ts'
import type { IssuedEnrolKey } from '../../core/contract/enrolment.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { Device } from '../../core/contract/registry.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import { root } from '../../scripts/build.mjs'
import { startCommand } from '../kit/command.ts'
import { eventually, makeDataDir, type Program, startProgram } from '../kit/program.ts'
import { System } from '../kit/system.ts'

let system: System
const board = makeDataDir()
const credentialFile = join(board.path, 'credentials.json')
let agent: Program | undefined
let deviceId: string

const env = {
  LOT_AGENT_CONFIG: '/dev/null',
  LOT_AGENT_CREDENTIAL_FILE: credentialFile,
  LOT_AGENT_OUTBOX_DIR: join(board.path, 'outbox'),
  LOT_AGENT_SIMULATED_HISTORY_DAYS: '0',
  LOT_AGENT_SCHEDULE: '* * * * * *',
  LOT_AGENT_RECONNECT_MIN_MS: '20',
}
const credential = () => JSON.parse(readFileSync(credentialFile, 'utf8')) as CredentialFile
const startAgent = async (outboxDir = env.LOT_AGENT_OUTBOX_DIR) => {
  agent = await startProgram('agent', { args: ['run'], env: { ...env, LOT_AGENT_OUTBOX_DIR: outboxDir } })
}
const connections = () => (agent?.lines ?? []).filter((line) => line.includes('device.connected')).length
async function command(request: CommandRequest): Promise<string> {
  const { commandId } = await system.registry.json<Command>(`/v1/devices/${deviceId}/commands`, {
    method: 'POST',
    body: request,
  })
  return commandId
}
const answered = (commandId: string) =>
  eventually(async () => {
    const now = await system.registry.json<Command>(`/v1/commands/${commandId}`)
    return (now.state === 'succeeded' || now.state === 'failed') && now
  })
const ids = async () => {
  type Shown = Device & { credentials: CredentialRecord[] }
  const { credentials } = await system.registry.json<Shown>(`/v1/devices/${deviceId}`)
  return credentials.map(({ credentialId }) => credentialId)
}

beforeAll(async () => {
  system = await System.start()
  const { key } = await system.registry.json<IssuedEnrolKey>('/v1/enrol-keys', { method: 'POST', body: {} })
  const { ended } = startCommand(
    join(root, 'dist/agent.mjs'),
    ['enrol', system.issuer, '--key', key, '--device', 'north-1'],
    env,
  )
  expect(await ended).toMatchObject({ exit: 0 })
  deviceId = credential().deviceId ?? ''
  await startAgent()
}, 120_000)
afterAll(async () => {
  await agent?.kill()
  await system.stop()
  board.remove()
})

// Real programs, several after another: a busy machine may take its time.
const options = { timeout: 120_000 }

describe('a command', options, () => {
  it('is answered by the device', async () => {
    const { state, reply } = await answered(await command({ name: 'ping' }))
    expect({ state, reply }).toMatchObject({
      state: 'succeeded',
      reply: { result: { version: expect.any(String) } },
    })
    expect((await answered(await command({ name: 'report' }))).state).toBe('succeeded')
    const told = await answered(await command({ name: 'set-count', arguments: { occupied: 3 } }))
    expect(told).toMatchObject({ state: 'failed', reply: { error: expect.stringContaining('measures') } })
  })

  it('to restart is answered after it, and one that came meanwhile too', async () => {
    const restart = await command({ name: 'restart' })
    const ping = await command({ name: 'ping' })
    expect((await answered(restart)).state).toBe('succeeded')
    expect((await answered(ping)).state).toBe('succeeded')
    await eventually(() => connections() >= 2)
  })

  it('waits for a device that is away', async () => {
    await agent?.kill()
    const ping = await command({ name: 'ping' })
    await startAgent()
    expect((await answered(ping)).state).toBe('succeeded')
  })

  it('to rotate makes a new key, which the living connection goes on with and the next one too', async () => {
    await eventually(() => connections() === 1)
    const before = credential()
    const { state, reply } = await answered(await command({ name: 'rotate' }))
    expect(state).toBe('succeeded')
    const after = credential()
    expect(reply).toEqual({ result: { credentialId: after.credentialId } })
    expect(after.credentialId).not.toBe(before.credentialId)
    expect(after.private_key_jwk?.d).not.toBe(before.private_key_jwk?.d)
    expect(existsSync(pendingFileOf(credentialFile))).toBe(false)
    await eventually(() => (agent?.lines ?? []).some((line) => line.includes('credential.changed')))

    // The old one is nobody's any more.
    await system.registry.json(`/v1/devices/${deviceId}/credentials/${before.credentialId}`, {
      method: 'DELETE',
    })
    expect((await answered(await command({ name: 'ping' }))).state).toBe('succeeded')
    await agent?.kill()
    await startAgent()
    await eventually(() => connections() === 1)
  })
})

describe('a rotation', options, () => {
  class PowerCut extends Error {}

  /** Everything as on the board, until the power fails at one of its calls: before it is sent, or when it was answered. */
  function parts(cut?: { call: number; when: 'before' | 'after' }): EnrolmentParts {
    let calls = 0
    const real = createFetch()
    const fetch: ReturnType<EnrolmentParts['fetchOf']> = async (url, init) => {
      const isNow = calls++ === cut?.call
      if (isNow && cut.when === 'before') throw new PowerCut()
      const response = await real(url, init)
      if (isNow) throw new PowerCut()
      return response
    }
    return {
      credentialFile,
      fetchOf: () => fetch,
      boot: { bootId: undefined, serial: undefined },
      async tryCredential(file) {
        const isNow = calls++ === cut?.call
        if (isNow && cut.when === 'before') throw new PowerCut()
        await system.tokensOf(file, audiences.broker).get()
        if (isNow) throw new PowerCut()
      },
      // Whoever waits for a server that is away is cut off there.
      wait: async () => {
        throw new PowerCut()
      },
      nowMs: Date.now,
      random: () => 0,
    }
  }
  const rotate = (cut?: { call: number; when: 'before' | 'after' }) =>
    enrol({ url: system.issuer, insecure: false, previous: credential() }, parts(cut), {
      signal: new AbortController().signal,
      tell: () => undefined,
    })

  it.each([0, 1, 2].flatMap((call) => (['before', 'after'] as const).map((when) => ({ call, when }))))(
    'that is cut off at call $call, $when it, leaves the old credential, and is finished by the next',
    async (cut) => {
      const before = credential()
      const had = await ids()
      await expect(rotate(cut)).rejects.toThrow(PowerCut)
      expect(credential()).toEqual(before)
      await system.deviceToken(before)

      const after = await rotate()
      expect(credential()).toEqual(after)
      expect(existsSync(pendingFileOf(credentialFile))).toBe(false)
      await system.deviceToken(after)
      expect(await ids()).toHaveLength(had.length + 1)
    },
  )

  it('whose new credential is no good leaves the old one in its place', async () => {
    const before = credential()
    const refusing: EnrolmentParts = {
      ...parts(),
      tryCredential: () => Promise.reject(new Error('the token is refused')),
    }
    const request = { url: system.issuer, insecure: false, previous: before }
    const options = { signal: new AbortController().signal, tell: () => undefined }
    await expect(enrol(request, refusing, options)).rejects.toThrow('refused')
    expect(credential()).toEqual(before)
    await system.deviceToken(before)
  })

  it('that was cut off when all was done but for the tidying up does not count as the next one', async () => {
    const done = await rotate()
    const { private_key_jwk: key } = done
    const { alg: _, ...jwk } = (key ?? {}) as Record<string, unknown>
    writeKept(pendingFileOf(credentialFile), {
      v: 1,
      url: system.issuer,
      private_key_jwk: jwk,
      credential: done,
    })
    expect((await rotate()).credentialId).not.toBe(done.credentialId)
  })

  it('gives a device that has a secret a key, which it shows to its own issuer alone', async () => {
    const { credential: secret } = await system.register('south-1')
    await agent?.kill()
    writeKept(credentialFile, secret)
    const elsewhere = { ...secret, issuer: 'https://elsewhere.example' }
    const request = { url: system.issuer, insecure: false, previous: elsewhere }
    const asked = enrol(request, parts(), { signal: new AbortController().signal, tell: () => undefined })
    await expect(asked).rejects.toThrow('elsewhere.example alone')

    deviceId = 'south-1'
    await startAgent(join(board.path, 'outbox-of-south-1'))
    const { state, reply } = await answered(await command({ name: 'rotate' }))
    expect({ state, reply }).toEqual({
      state: 'succeeded',
      reply: { result: { credentialId: credential().credentialId } },
    })
    expect(credential()).toMatchObject({ deviceId, token_endpoint_auth_method: 'private_key_jwt' })
    expect(credential().client_secret).toBeUndefined()
    await system.deviceToken(credential())
  })
})
