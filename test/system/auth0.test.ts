/** Devices whose tokens come from a hosted issuer, through real provisioning, broker and ingest. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Auth0StandIn, startAuth0 } from '../kit/auth0-stand-in.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

describe('devices at Auth0', () => {
  let tenant: Auth0StandIn
  let system: System
  const secrets: string[] = []

  beforeAll(async () => {
    tenant = await startAuth0()
    system = await System.start({
      env: {
        provisioning: {
          LOTWATCH_PROVISIONING_DEVICE_ISSUER: 'auth0',
          LOTWATCH_PROVISIONING_AUTH0_URL: `${tenant.url}/`,
          LOTWATCH_PROVISIONING_AUTH0_CLIENT_ID: tenant.management.oauthClientId,
          LOTWATCH_PROVISIONING_AUTH0_CLIENT_SECRET: tenant.management.clientSecret,
          LOTWATCH_PROVISIONING_LOG_LEVEL: 'debug',
        },
        broker: {
          LOTWATCH_BROKER_ISSUERS: JSON.stringify([{ issuer: `${tenant.url}/`, dialect: 'auth0' }]),
          LOTWATCH_BROKER_LOG_LEVEL: 'debug',
        },
      },
    })
  })
  afterAll(async () => {
    await system.stop()
    await tenant.stop()
  })

  const connect = (deviceId: string, token: string) =>
    RawClient.connect(system.mqttPort, {
      clientId: deviceId,
      username: deviceId,
      password: Buffer.from(token),
    })
  const returnCodeOf = async (deviceId: string, token: string) =>
    (await (await connect(deviceId, token)).next('connack')).returnCode

  async function admitted(deviceId: string) {
    const { credential } = await system.register(deviceId)
    const token = await system.deviceToken(credential)
    secrets.push(credential.client_secret ?? '', token)
    const client = await connect(deviceId, token)
    expect((await client.next('connack')).returnCode).toBe(0)
    return { client, credential, token }
  }

  it('are stored from, and cut off by the registry though the token lives on', async () => {
    const { client, credential, token } = await admitted('gate-1')
    expect(credential.issuer).toBe(`${tenant.url}/`)
    const readings = [{ seq: 1, timestampMs: Date.UTC(2026, 0, 1), occupied: 42 }]
    client.publish(
      1,
      'devices/gate-1/readings',
      JSON.stringify({ v: 1, epoch: '0123456789abcdef', readings }),
    )
    await client.next('puback')
    expect((await system.stored({ device: 'gate-1' })).rows).toMatchObject([{ seq: 1, occupied: 42 }])

    await system.registry.json('/v1/devices/gate-1/suspend', { method: 'POST' })
    await eventually(() => client.isClosed)
    expect(await returnCodeOf('gate-1', token)).toBe(5)
    await expect(system.deviceToken(credential)).rejects.toMatchObject({ code: 'client.refused' })
  })

  it('are cut off when their credential is revoked, and nobody else is', async () => {
    const other = await admitted('gate-2')
    const { client, credential, token } = await admitted('gate-3')
    await system.registry.json(`/v1/devices/gate-3/credentials/${credential.credentialId}`, {
      method: 'DELETE',
    })
    await eventually(() => client.isClosed)
    expect(await returnCodeOf('gate-3', token)).toBe(5)
    await expect(system.deviceToken(credential)).rejects.toMatchObject({ code: 'client.refused' })
    expect(other.client.isClosed).toBe(false)
    other.client.close()
  })

  it('do not get in with a token that names no device, or with another’s', async () => {
    const { client, credential, token } = await admitted('gate-4')
    expect(await returnCodeOf('gate-2', token)).toBe(5)
    client.close()
    tenant.of('gate-4').client_metadata = {}
    expect(await returnCodeOf('gate-4', await system.deviceToken(credential))).toBe(5)
  })

  it('are not registered when Auth0 refuses, which the operator reads, and are when asked again', async () => {
    tenant.faults.push({ on: 'POST /clients', times: 1, status: 403 })
    await expect(system.register('gate-6')).rejects.toMatchObject({
      code: 'issuer.refused',
      message: expect.stringContaining('creating the application: 403'),
    })
    await expect(system.registry.json('/v1/devices/gate-6')).rejects.toMatchObject({
      code: 'request.not_found',
    })
    const { client } = await admitted('gate-6')
    client.close()
    expect(tenant.of('gate-6').name).toBe('gate-6')
  })

  it('get in at a broker that starts while Auth0 is away', async () => {
    const { client, token } = await admitted('gate-5')
    client.close()
    await tenant.stop()
    await system.program('broker').stop()
    await system.restart('broker')
    await eventually(async () => (await returnCodeOf('gate-5', token)) === 0)
    expect(system.program('broker').lines.some((line) => line.includes('"keys.kept"'))).toBe(true)
    tenant = await startAuth0()
  })

  it('have left no secret in any log', () => {
    const lines = system.lines().join('\n')
    expect(secrets.length).toBeGreaterThan(6)
    for (const secret of [...secrets, tenant.management.clientSecret])
      expect(lines.includes(secret), 'a secret in a log').toBe(false)
  })
})
