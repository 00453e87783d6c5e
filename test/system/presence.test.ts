/** One device, three brokers: who is connected where is known, the newest connection stays, and a fight is noticed. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Alarm, Presence } from '../../core/contract/downlink.ts'
import { openSocket } from '../kit/broker.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually, freePort, type Program } from '../kit/program.ts'
import { System } from '../kit/system.ts'

describe('three brokers', () => {
  let system: System
  let ports: number[]
  const others: Program[] = []

  beforeAll(async () => {
    system = await System.start()
    ports = [system.mqttPort, await freePort(), await freePort()]
    others.push(...(await Promise.all(ports.slice(1).map((port) => system.startAnotherBroker(port)))))
    const everybody = [system.program('broker'), ...others]
    await eventually(() =>
      everybody.every(({ lines }) => lines.some((line) => line.includes('"feed.connected"'))),
    )
  })
  afterAll(async () => {
    await Promise.all(others.map((broker) => broker.stop()))
    await system.stop()
  })

  const tokens = new Map<string, string>()
  async function tokenOf(deviceId: string): Promise<string> {
    const known = tokens.get(deviceId)
    if (known !== undefined) return known
    const token = await system.deviceToken((await system.register(deviceId)).credential)
    tokens.set(deviceId, token)
    return token
  }
  /** @param at which of the brokers */
  async function connect(deviceId: string, at: number, from = '127.0.0.1') {
    const token = await tokenOf(deviceId)
    const client = RawClient.over(await openSocket(ports[at] ?? 0, from))
    client.connect({ clientId: deviceId, username: deviceId, password: Buffer.from(token) })
    return client
  }
  async function admitted(deviceId: string, at: number, from?: string): Promise<RawClient> {
    const client = await connect(deviceId, at, from)
    expect((await client.next('connack')).returnCode).toBe(0)
    return client
  }
  /** Undefined unless it is connected. */
  async function presenceOf(deviceId: string): Promise<Presence | undefined> {
    const presence = await system.registry
      .json<Presence>(`/v1/devices/${deviceId}/presence`)
      .catch(() => undefined)
    return presence?.connected === true ? presence : undefined
  }

  it('a newer connection at another broker closes the older one, and the registry knows which it is', async () => {
    const older = await admitted('mover', 0, '127.0.0.2')
    await eventually(async () => (await presenceOf('mover'))?.address === '127.0.0.2')
    const newer = await admitted('mover', 1, '127.0.0.3')
    await older.closed()
    await eventually(async () => (await presenceOf('mover'))?.address === '127.0.0.3')
    newer.send({ cmd: 'pingreq' })
    await newer.next('pingresp')
    newer.close()
    await eventually(async () => (await presenceOf('mover')) === undefined)
  })

  it('of connections that come at the same moment at all of them exactly one stays', async () => {
    for (let round = 0; round < 5; round++) {
      const deviceId = `twin-${round}`
      await tokenOf(deviceId)
      const clients = await Promise.all([0, 1, 2].map((at) => connect(deviceId, at)))
      const open = () => clients.filter(({ isClosed }) => !isClosed)
      await eventually(() => open().length === 1)
      // What it does after that goes through, so it was not merely the last to be closed.
      const [left] = open()
      if (left === undefined) throw new Error('none is left')
      await eventually(async () => (await presenceOf(deviceId)) !== undefined)
      const readings = [{ seq: 0, timestampMs: 1_767_225_600_000, occupied: 1 }]
      const epoch = `000000000000000${round}`
      left.publish(1, `devices/${deviceId}/readings`, JSON.stringify({ v: 1, epoch, readings }))
      await left.next('puback')
      left.close()
    }
  }, 60_000)

  it('connections that take the device from each other again and again are held everywhere, and an alarm names both', async () => {
    const addresses = ['127.0.0.7', '127.0.0.8']
    let last = await admitted('cloned', 0, addresses[0])
    for (let i = 1; !last.isClosed && i < 20; i++) {
      const next = await connect('cloned', i % 2, addresses[i % 2])
      await eventually(() => last.isClosed && (next.isClosed || next.packets.length > 0))
      last = next
      const [answer] = next.packets
      if (answer?.cmd === 'connack' && answer.returnCode !== 0) break
    }
    const alarm = await eventually(async () => {
      const { alarms } = await system.registry.json<{ alarms: Alarm[] }>('/v1/alarms')
      return alarms.find(({ kind, subject }) => kind === 'device.contended' && subject === 'cloned')
    })
    expect((alarm.detail.addresses as string[]).toSorted()).toEqual(addresses)
    for (const at of [0, 1, 2]) {
      await eventually(async () => {
        const client = await connect('cloned', at, '127.0.0.9')
        const { returnCode } = await client.next('connack')
        client.close()
        return returnCode === 3
      })
    }
  }, 60_000)

  it('a device of a broker that is killed is let in by another at once, and what it had there is over', async () => {
    const [victim] = others
    const older = await admitted('orphan', 1)
    await eventually(async () => (await presenceOf('orphan')) !== undefined)
    await victim?.kill()
    await older.closed()
    const newer = await admitted('orphan', 2, '127.0.0.4')
    await eventually(async () => (await presenceOf('orphan'))?.address === '127.0.0.4')
    newer.close()
  })
})
