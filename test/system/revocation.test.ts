/** Every way in which access is taken away, on the running system: gone within a second, for sockets and for tokens. */
import { once } from 'node:events'
import { type IncomingMessage, request as startRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { handoverMediaType } from '../../core/contract/handover.ts'
import { audiences } from '../../core/contract/principal.ts'
import { handoverOf } from '../kit/handover.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

const within = 1000

/** What is taken away, and from whom. */
interface Case {
  readonly system: System
  readonly id: string
  readonly credential: CredentialFile
  readonly token: string
}
type Way = readonly [string, (one: Case) => Promise<unknown>]

const del = { method: 'DELETE' } as const
const post = (body?: object) => ({ method: 'POST', ...(body === undefined ? {} : { body }) }) as const
const at = encodeURIComponent

/** RFC 7009, as the owner of the token. */
async function revokeOwn({ system, credential, token }: Case): Promise<void> {
  const { client_id, client_secret = '' } = credential
  const body = new URLSearchParams({ client_id, client_secret, token })
  const response = await fetch(`${system.issuer}/oauth/revoke`, { method: 'POST', body })
  expect(response.status).toBe(200)
}

const tokenIdOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).jti

describe('access that is taken away is gone within a second', () => {
  let system: System
  beforeAll(async () => {
    system = await System.start()
  })
  afterAll(() => system.stop())

  const connect = (deviceId: string, token: string) =>
    RawClient.connect(system.mqttPort, {
      clientId: deviceId,
      username: deviceId,
      password: Buffer.from(token),
    })

  it.each<Way>([
    ['suspended', ({ id }) => system.registry.json(`/v1/devices/${id}/suspend`, post())],
    ['retired', ({ id }) => system.registry.json(`/v1/devices/${id}/retire`, post())],
    [
      'without its credential',
      ({ id, credential }) =>
        system.registry.json(`/v1/devices/${id}/credentials/${credential.credentialId}`, del),
    ],
    [
      'rotated without a grace',
      ({ id }) => system.registry.json(`/v1/devices/${id}/rotate`, post({ graceSec: 0 })),
    ],
    [
      'without its grant',
      ({ id }) => system.registry.json(`/v1/clients/${id}/grants/${at(audiences.broker)}`, del),
    ],
    [
      'with a smaller grant',
      ({ id }) =>
        system.registry.json(`/v1/clients/${id}/grants/${at(audiences.broker)}`, {
          method: 'PUT',
          body: { scopes: ['receive:commands'] },
        }),
    ],
    [
      'without the grant type',
      ({ id }) => system.registry.json(`/v1/clients/${id}`, { method: 'PATCH', body: { grantTypes: [] } }),
    ],
    ['that voids its own token', revokeOwn],
    ['whose token is voided', ({ token }) => system.registry.json('/v1/tokens/revoke', post({ token }))],
    [
      'whose token is voided by its number',
      ({ token }) => system.registry.json('/v1/tokens/revoke', post({ tokenId: tokenIdOf(token) })),
    ],
  ])('from a device %s', async (what, take) => {
    const id = `gate-${what.replaceAll(/\W/g, '-')}`
    const { credential } = await system.register(id)
    const token = await system.deviceToken(credential)
    const client = await connect(id, token)
    expect((await client.next('connack')).returnCode).toBe(0)

    await take({ system, id, credential, token })

    await eventually(() => client.isClosed, within, 5)
    const again = await connect(id, token)
    expect((await again.next('connack')).returnCode).toBe(5)
  })

  it('in the middle of a flood: nothing that came later than a second after is stored', async () => {
    const { credential } = await system.register('flood')
    const client = await connect('flood', await system.deviceToken(credential))
    expect((await client.next('connack')).returnCode).toBe(0)
    let seq = 0
    const send = () => {
      for (let i = 0; i < 20 && !client.isClosed; i++, seq++) {
        const readings = [{ seq, timestampMs: 1_767_225_600_000 + seq * 1000, occupied: 1 }]
        const payload = JSON.stringify({ v: 1, epoch: '00000000000000ff', readings })
        client.publish((seq % 60_000) + 1, 'devices/flood/readings', payload)
      }
    }
    const flooding = setInterval(send, 10)
    await eventually(() => client.packets.filter(({ cmd }) => cmd === 'puback').length > 100)
    await system.registry.json('/v1/devices/flood/suspend', post())
    const answeredAtMs = Date.now()
    await eventually(() => client.isClosed, within, 5)
    clearInterval(flooding)
    // What another device sends now is stored behind everything that this one had handed over.
    const { credential: other } = await system.register('after')
    const witness = await connect('after', await system.deviceToken(other))
    const readings = [{ seq: 0, timestampMs: 1_767_225_600_000, occupied: 1 }]
    witness.publish(
      1,
      'devices/after/readings',
      JSON.stringify({ v: 1, epoch: '00000000000000fe', readings }),
    )
    await witness.next('puback')
    const { rows } = await system.stored({ device: 'flood' })
    expect(rows.length).toBeGreaterThan(100)
    expect(rows.filter(({ receivedAt }) => Date.parse(receivedAt) > answeredAtMs + within)).toEqual([])
    witness.close()
  })

  it.each<Way>([
    ['retired', ({ id }) => system.registry.json(`/v1/clients/${id}`, del)],
    [
      'without its credential',
      ({ id, credential }) =>
        system.registry.json(`/v1/clients/${id}/credentials/${credential.credentialId}`, del),
    ],
    [
      'rotated without a grace',
      ({ id }) => system.registry.json(`/v1/clients/${id}/rotate`, post({ graceSec: 0 })),
    ],
    [
      'without its grant',
      ({ id }) => system.registry.json(`/v1/clients/${id}/grants/${at(audiences.ingest)}`, del),
    ],
    [
      'with fewer lots',
      ({ id }) => system.registry.json(`/v1/clients/${id}`, { method: 'PATCH', body: { lots: ['south'] } }),
    ],
    ['that voids its own token', revokeOwn],
    ['whose token is voided', ({ token }) => system.registry.json('/v1/tokens/revoke', post({ token }))],
  ])('from an analyst %s', async (what, take) => {
    const id = `analyst-${what.replaceAll(/\W/g, '-')}`
    const { credential } = await system.registry.json<IssuedCredential>(
      '/v1/clients',
      post({
        oauthClientId: id,
        kind: 'command-line',
        grants: [{ audience: audiences.ingest, scopes: ['read:readings'] }],
        lots: ['north', 'south'],
      }),
    )
    const { token } = await system.tokensOf(credential, audiences.ingest).get()
    const ask = async () =>
      (await fetch(`${system.ingestUrl}/v1/latest`, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await ask()).toBe(200)

    await take({ system, id, credential, token })

    await eventually(async () => (await ask()) === 401, within, 5)
  })

  /** Sends all of a request but its last byte. @returns sends that, and tells the status of the answer */
  async function begin(
    url: string,
    { token, type, body }: { token: string; type: string; body: Uint8Array },
  ): Promise<() => Promise<number | undefined>> {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': type,
      'content-length': body.length,
    }
    const sending = startRequest(url, { method: 'POST', headers })
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>
    await new Promise((resolve) => sending.write(body.subarray(0, -1), resolve))
    return async () => {
      sending.end(body.subarray(-1))
      const [answer] = await answered
      answer.resume()
      return answer.statusCode
    }
  }

  it.each([
    {
      at: 'provisioning',
      audience: audiences.provisioning,
      scope: 'manage:devices',
      path: '/v1/devices',
      type: 'application/json',
      bodyOf: (id: string) => Buffer.from(JSON.stringify({ deviceId: id })),
      done: 201,
    },
    {
      at: 'provisioning, for many devices',
      audience: audiences.provisioning,
      scope: 'manage:devices',
      path: '/v1/devices/import',
      type: 'text/csv',
      bodyOf: (id: string) => Buffer.from(`device\n${id}\n`),
      done: 200,
    },
    {
      at: 'ingest',
      audience: audiences.ingest,
      scope: 'write:readings',
      path: '/v1/readings',
      type: handoverMediaType,
      bodyOf: (deviceId: string) => handoverOf([{ deviceId, payload: { v: 1, readings: [] } }]),
      done: 200,
    },
  ])(
    'from who had begun a request before: $at',
    async ({ at, audience, scope, path, type, bodyOf, done }) => {
      const id = `began-${at.replaceAll(/\W/g, '-')}`
      const { credential } = await system.registry.json<IssuedCredential>(
        '/v1/clients',
        post({ oauthClientId: id, kind: 'service', grants: [{ audience, scopes: [scope] }] }),
      )
      const { token } = await system.tokensOf(credential, audience).get()
      const base = audience === audiences.ingest ? system.ingestUrl : system.issuer
      const isGone = async () => {
        const answer = await fetch(base + path, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': type },
          body: bodyOf(`${id}-gone`) as Uint8Array<ArrayBuffer>,
        })
        return answer.status === 401
      }
      const request = (name: string) => begin(base + path, { token, type, body: bodyOf(`${id}-${name}`) })
      const finishBefore = await request('before')
      expect(await finishBefore()).toBe(done)

      const finish = await request('after')
      await system.registry.json(`/v1/clients/${id}`, del)
      await eventually(isGone, within, 5)

      expect(await finish()).toBe(401)
    },
  )
})
