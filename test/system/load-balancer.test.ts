/** Three brokers behind Debian's HAProxy: none of them holds anything that cannot be had from another. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { openSocket } from '../kit/broker.ts'
import { type LoadBalancer, startHaproxy } from '../kit/haproxy.ts'
import { RawClient } from '../kit/mqtt.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { eventually, freePort, type Program } from '../kit/program.ts'
import { type Fleet, nothingAmiss, outcome, record, startFleet } from '../kit/replayed-fleet.ts'
import { System } from '../kit/system.ts'

const playMs = 5000

describeWithCommand('haproxy')('behind a load balancer', () => {
  let system: System
  let balancer: LoadBalancer
  let port: number
  const others: Program[] = []
  let fleet: Fleet | undefined

  beforeAll(async () => {
    port = await freePort()
    system = await System.start({
      env: {
        provisioning: { LOTWATCH_PROVISIONING_BROKER_URL: `mqtt://127.0.0.1:${port}` },
        broker: { LOTWATCH_BROKER_PROXY_PEERS: '127.0.0.1' },
      },
    })
    const ports = [await freePort(), await freePort()]
    others.push(...(await Promise.all(ports.map((other) => system.startAnotherBroker(other)))))
    balancer = await startHaproxy(system.data, port, [system.mqttPort, ...ports])
    // HAProxy speaks for itself when it looks whether they live.
    await eventually(() => everyBroker().every((broker) => logged(broker, 'feed.connected').length > 0))
  })
  afterAll(async () => {
    await fleet?.program?.kill()
    await balancer.stop()
    await Promise.all(others.map((broker) => broker.stop()))
    await system.stop()
  })

  const everyBroker = () => [system.program('broker'), ...others]
  const logged = (broker: Program, event: string) =>
    broker.lines.filter((line) => line.includes(`"${event}"`)).map((line) => JSON.parse(line))

  async function connect(deviceId: string, from = '127.0.0.1'): Promise<RawClient> {
    const { credential } = await system.register(deviceId)
    const password = Buffer.from(await system.deviceToken(credential))
    const client = RawClient.over(await openSocket(port, from))
    client.connect({ clientId: deviceId, username: deviceId, password })
    expect((await client.next('connack')).returnCode).toBe(0)
    return client
  }

  it('every row of a recording is stored exactly once though a broker is killed on the way', async () => {
    const recording = record(system.data, playMs)
    fleet = await startFleet(system, recording)
    await eventually(() => (fleet?.progress?.settled ?? 0) > 0)
    const [victim] = others
    if (victim === undefined) throw new Error('no broker to kill')
    expect(logged(victim, 'device.connected').length).toBeGreaterThan(0)
    await victim.kill()
    expect(await outcome(system, fleet, recording)).toEqual(nothingAmiss)
    for (const broker of [system.program('broker'), others[1] as Program]) // two were started
      expect(logged(broker, 'device.connected').length).toBeGreaterThan(0)
  }, 60_000)

  it('a device is cut within a second of its suspension, wherever it is connected', async () => {
    const clients = new Map<string, RawClient>()
    for (const deviceId of ['far-1', 'far-2', 'far-3', 'far-4'])
      clients.set(deviceId, await connect(deviceId))
    const at = (deviceId: string) =>
      everyBroker().findIndex((broker) =>
        logged(broker, 'device.connected').some((line) => line.deviceId === deviceId),
      )
    expect(new Set([...clients.keys()].map(at)).size).toBe(2)
    for (const [deviceId, client] of clients) {
      await system.registry.json(`/v1/devices/${deviceId}/suspend`, { method: 'POST' })
      await eventually(() => client.isClosed, 1000, 5)
    }
  })

  it('a device that comes again is let in wherever it comes, and its older connection is closed wherever that is', async () => {
    const first = await connect('wanderer')
    const { credential } = await system.registry.json<IssuedCredential>('/v1/devices/wanderer/credentials', {
      method: 'POST',
      body: {},
    })
    const password = Buffer.from(await system.deviceToken(credential))
    let older = first
    for (let round = 0; round < 4; round++) {
      const newer = RawClient.over(await openSocket(port))
      newer.connect({ clientId: 'wanderer', username: 'wanderer', password })
      expect((await newer.next('connack')).returnCode).toBe(0)
      await older.closed()
      newer.send({ cmd: 'pingreq' })
      await newer.next('pingresp')
      older = newer
    }
    // Each came to another broker than the one before.
    const lines = everyBroker().flatMap((broker) => logged(broker, 'device.disconnected'))
    const reasons = lines.filter((line) => line.deviceId === 'wanderer').map((line) => line.reason)
    expect(reasons).toContain('taken over at another broker')
    older.close()
  })

  it('shows whose connection it is', async () => {
    const client = await connect('behind', '127.0.5.9')
    const lines = everyBroker().flatMap((broker) => logged(broker, 'device.connected'))
    expect(lines.find((line) => line.deviceId === 'behind')).toMatchObject({ remoteAddress: '127.0.5.9' })
    client.close()
  })
})
