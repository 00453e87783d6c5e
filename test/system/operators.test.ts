/** What operators see of the broker and do to connections: by lotctl, and by the routes behind it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import type {
  ConnectionDecision,
  ConnectionEvent,
  ConnectionsAnswer,
} from '../../core/contract/connection.ts'
import { audiences } from '../../core/contract/principal.ts'
import { type Api, createApi, createFetch } from '../../core/runtime/fetch.ts'
import { lotctlEnv, runLotctl, startLotctl } from '../kit/lotctl.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

describe('operators', () => {
  let system: System
  let broker: Api
  let brokerUrl: string
  let env: Record<string, string>

  beforeAll(async () => {
    system = await System.start()
    brokerUrl = `http://127.0.0.1:${system.program('broker').ready.httpPort}`
    env = { ...lotctlEnv(system), LOTWATCH_CLI_BROKER_URL: brokerUrl }
    broker = createApi({
      baseUrl: brokerUrl,
      tokens: system.tokensOf(system.operator, audiences.broker),
      fetch: createFetch(),
      unavailable: 'broker.unavailable',
    })
  })
  afterAll(async () => {
    await system.stop()
  })

  async function connect(deviceId: string, token?: string): Promise<RawClient> {
    const password = token ?? (await system.deviceToken((await system.register(deviceId)).credential))
    return RawClient.connect(system.mqttPort, {
      clientId: deviceId,
      username: deviceId,
      password: Buffer.from(password),
    })
  }
  async function admitted(deviceId: string): Promise<RawClient> {
    const client = await connect(deviceId)
    expect((await client.next('connack')).returnCode).toBe(0)
    return client
  }

  it('watch what happens to a device as it happens, kick it, and are told why it was refused', async () => {
    const watching = startLotctl(['tail', '--device', 'watched', '-o', 'ndjson'], env)
    await watching.says(/watching/)
    const client = await admitted('watched')
    const other = await admitted('unwatched')
    const kicked = await runLotctl(['device', 'kick', 'watched', '-o', 'json'], env)
    expect([kicked.exit, JSON.parse(kicked.stdout)]).toEqual([0, { deviceId: 'watched', kicked: true }])
    await client.closed()
    expect(other.isClosed).toBe(false)
    await (await connect('watched', 'no-token')).closed()
    await watching.says(/"refused"/)
    watching.process.kill('SIGINT')
    const { exit, stdout } = await watching.ended
    expect(exit).toBe(0)
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as ConnectionEvent)
    expect(events).toMatchObject([
      { type: 'connected', device: 'watched', remoteAddress: '127.0.0.1' },
      { type: 'kicked', device: 'watched' },
      { type: 'disconnected', device: 'watched', reason: 'closed by an operator' },
      { type: 'refused', device: 'watched', code: 'token.malformed' },
    ])

    const explained = await runLotctl(['explain', '--device', 'watched', '-o', 'json'], env)
    const { decisions } = JSON.parse(explained.stdout) as { decisions: ConnectionDecision[] }
    expect(decisions.map(({ outcome, code }) => code ?? outcome)).toEqual([
      'token.malformed',
      'closed',
      'admitted',
    ])
    other.close()
  }, 60_000)

  it('cannot kick who is not there, and change nothing in a dry run', async () => {
    const client = await admitted('dry')
    const dry = await runLotctl(['device', 'kick', 'dry', '--dry-run', '-o', 'json'], env)
    expect(JSON.parse(dry.stdout).requests).toEqual([{ method: 'DELETE', path: '/v1/connections/dry' }])
    client.send({ cmd: 'pingreq' })
    await client.next('pingresp')
    client.close()
    expect((await runLotctl(['device', 'kick', 'nobody'], env)).exit).toBe(4)
  }, 60_000)

  it('see a taken over device in the table, with both addresses', async () => {
    const watching = startLotctl(['tail'], env)
    await watching.says(/watching/)
    const older = await admitted('taken')
    const newer = await connect('taken', await tokenOf('taken'))
    await older.closed()
    await watching.says(/taken_over\s+taken\s+127\.0\.0\.1\s+by 127\.0\.0\.1/)
    watching.process.kill('SIGINT')
    expect((await watching.ended).exit).toBe(0)
    newer.close()
  }, 60_000)

  /** By another credential of a device that is registered. */
  async function tokenOf(deviceId: string): Promise<string> {
    const path = `/v1/devices/${deviceId}/credentials`
    const { credential } = await system.registry.json<IssuedCredential>(path, { method: 'POST', body: {} })
    return system.deviceToken(credential)
  }

  it('leaf through connections in order, and find one', async () => {
    const clients = await Promise.all(['page-1', 'page-2', 'page-3', 'zebra'].map(admitted))
    const page = (query: Record<string, string>) =>
      broker.json<ConnectionsAnswer>('/v1/connections', { query })
    const first = await page({ search: 'page', limit: '2' })
    expect(first.connections.map(({ deviceId }) => deviceId)).toEqual(['page-1', 'page-2'])
    expect(first.total).toBeGreaterThanOrEqual(4)
    const second = await page({ search: 'page', limit: '2', cursor: first.nextCursor ?? '' })
    expect(second.connections.map(({ deviceId }) => deviceId)).toEqual(['page-3'])
    expect(second.nextCursor).toBeUndefined()
    expect(await broker.json('/v1/connections/zebra')).toMatchObject({ deviceId: 'zebra' })
    for (const client of clients) client.close()
    await eventually(async () => (await page({ search: 'page' })).connections.length === 0)
  })

  it('are turned away without the scope, and cut when their token is void', async () => {
    const routes = ['/v1/connections', '/v1/connections/x', '/v1/decisions?device=x', '/v1/events']
    const { token: foreign } = await system.tokensOf(system.operator, audiences.ingest).get()
    const { token: writes } = await system.tokensOf(system.operator, audiences.broker).get()
    for (const path of routes) {
      expect((await fetch(brokerUrl + path)).status).toBe(401)
      expect(
        (await fetch(brokerUrl + path, { headers: { authorization: `Bearer ${foreign}` } })).status,
      ).toBe(401)
    }
    const { credential } = await system.registry.json<IssuedCredential>('/v1/clients', {
      method: 'POST',
      body: {
        oauthClientId: 'kicker',
        kind: 'service',
        grants: [{ audience: audiences.broker, scopes: ['manage:connections'] }],
      },
    })
    const { token: kicks } = await system.tokensOf(credential, audiences.broker).get()
    for (const path of routes)
      expect((await fetch(brokerUrl + path, { headers: { authorization: `Bearer ${kicks}` } })).status).toBe(
        403,
      )
    const events = await fetch(`${brokerUrl}/v1/events`, { headers: { authorization: `Bearer ${writes}` } })
    expect(events.status).toBe(200)
    let hasEnded = false
    const followed = events.text().finally(() => {
      hasEnded = true
    })
    await system.registry.json('/v1/tokens/revoke', { method: 'POST', body: { token: writes } })
    await eventually(() => hasEnded, 1000, 5)
    expect(await followed).toMatch(/^:\n\n/)
  }, 30_000)
})
