/** Configuration and commands on their way down, replies on their way up, over the running system. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Command } from '../../core/contract/downlink.ts'
import { RawClient } from '../kit/mqtt.ts'
import { describeWithCommand, findCommand } from '../kit/needs.ts'
import { eventually } from '../kit/program.ts'
import { System } from '../kit/system.ts'

describe('the downlink', () => {
  let system: System

  beforeAll(async () => {
    system = await System.start({ env: { broker: { LOTWATCH_BROKER_HANDOVER_DEADLINE_MS: '4000' } } })
  })
  afterAll(async () => {
    await system.stop()
  })

  const tokens = new Map<string, string>()
  async function connect(deviceId: string): Promise<RawClient> {
    if (!tokens.has(deviceId))
      tokens.set(deviceId, await system.deviceToken((await system.register(deviceId)).credential))
    const client = await RawClient.connect(system.mqttPort, {
      clientId: deviceId,
      username: deviceId,
      password: Buffer.from(tokens.get(deviceId) ?? ''),
    })
    expect((await client.next('connack')).returnCode).toBe(0)
    return client
  }
  async function subscribe(client: RawClient, deviceId: string): Promise<void> {
    const topics = ['config', 'commands'].map((kind) => `devices/${deviceId}/${kind}`)
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos: 1 })) })
    expect((await client.next('suback')).granted).toEqual([1, 1])
  }
  /** The next message, not acknowledged yet. */
  async function receive(client: RawClient) {
    const { topic, payload, messageId = 0 } = await client.next('publish')
    return { topic, messageId, message: JSON.parse(String(payload)) }
  }
  const configure = (deviceId: string, body: object) =>
    system.registry.json(`/v1/devices/${deviceId}/config`, { method: 'PUT', body })
  const command = (deviceId: string, body: object = { name: 'ping' }) =>
    system.registry.json<Command>(`/v1/devices/${deviceId}/commands`, { method: 'POST', body })
  const found = (commandId: string) => system.registry.json<Command>(`/v1/commands/${commandId}`)
  const reply = (commandId: string, more: object = {}) =>
    JSON.stringify({ v: 1, commandId, state: 'succeeded', ...more })
  const reading = (epoch: string, seq: number) => {
    const readings = [{ seq, timestampMs: 1_767_225_600_000 + seq * 60_000, occupied: 1 }]
    return JSON.stringify({ v: 1, epoch: epoch.padStart(16, '0'), readings })
  }
  async function metric(name: string): Promise<number> {
    const { httpPort } = system.program('broker').ready
    const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text()
    return text
      .split('\n')
      .filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  it('a device gets its configuration when it subscribes, and each change as it is made', async () => {
    const early = await connect('configured')
    await configure('configured', { schedule: '*/5 * * * *' })
    await subscribe(early, 'configured')
    expect(await receive(early)).toMatchObject({
      topic: 'devices/configured/config',
      message: { v: 1, version: 1, config: { schedule: '*/5 * * * *' } },
    })
    await configure('configured', { schedule: '* * * * *' })
    expect((await receive(early)).message).toMatchObject({ version: 2, config: { schedule: '* * * * *' } })
    early.close()
    const later = await connect('configured')
    await subscribe(later, 'configured')
    expect((await receive(later)).message.version).toBe(2)
    later.close()
  })

  it('a command waits for its device, is delivered when PUBACK comes, and ends with the reply', async () => {
    const client = await connect('told')
    const { commandId } = await command('told', { name: 'set-count', arguments: { occupied: 12 } })
    expect((await found(commandId)).state).toBe('pending')
    await subscribe(client, 'told')
    const { topic, messageId, message } = await receive(client)
    expect(topic).toBe('devices/told/commands')
    expect(message).toMatchObject({ v: 1, commandId, name: 'set-count', arguments: { occupied: 12 } })
    expect((await found(commandId)).state).toBe('pending')
    client.send({ cmd: 'puback', messageId })
    await eventually(async () => (await found(commandId)).state === 'delivered')
    client.publish(9, 'devices/told/replies', reply(commandId, { result: { occupied: 12 } }))
    expect((await client.next('puback')).messageId).toBe(9)
    expect(await found(commandId)).toMatchObject({
      state: 'succeeded',
      reply: { result: { occupied: 12 } },
    })
    // Again, as from a device that did not see PUBACK: acknowledged, and nothing changes.
    client.publish(10, 'devices/told/replies', reply(commandId, { state: 'failed', error: 'no' }))
    await client.next('puback')
    expect((await found(commandId)).state).toBe('succeeded')
    client.close()
  })

  it('a command that was not acknowledged comes again on the next connection', async () => {
    const first = await connect('twice')
    await subscribe(first, 'twice')
    const { commandId } = await command('twice')
    await receive(first)
    first.close()
    const next = await connect('twice')
    await subscribe(next, 'twice')
    expect((await receive(next)).message.commandId).toBe(commandId)
    next.close()
  })

  it('a device cannot answer for another, and nonsense is acknowledged and counted', async () => {
    const client = await connect('liar')
    const stranger = await connect('victim')
    const { commandId } = await command('victim')
    const before = await metric('lotwatch_broker_replies_total{outcome="foreign"}')
    client.publish(1, 'devices/liar/replies', reply(commandId))
    client.publish(2, 'devices/liar/replies', '{"v":1')
    for (const messageId of [1, 2])
      await eventually(() => client.packets.some((packet) => packet.messageId === messageId))
    expect((await found(commandId)).state).toBe('pending')
    expect(await metric('lotwatch_broker_replies_total{outcome="foreign"}')).toBe(before + 1)
    expect(await metric('lotwatch_broker_replies_total{outcome="unreadable"}')).toBe(1)
    client.publish(3, 'devices/victim/replies', reply(commandId))
    await client.closed()
    stranger.close()
  })

  it('while provisioning is away a reply is not acknowledged, the connection is closed, and readings go on', async () => {
    const client = await connect('patient')
    await subscribe(client, 'patient')
    const { commandId } = await command('patient')
    const { messageId } = await receive(client)
    client.publish(100, 'devices/patient/readings', reading('aa', 100))
    await client.next('puback') // the broker has a token for ingest from now on
    await system.kill('provisioning')
    client.send({ cmd: 'puback', messageId })
    client.publish(1, 'devices/patient/replies', reply(commandId))
    // More than are held of a connection at once: what waits for provisioning is not among them.
    for (let seq = 0; seq < 20; seq++) client.publish(seq + 2, 'devices/patient/readings', reading('aa', seq))
    const acknowledged = () =>
      client.packets.flatMap(({ cmd, messageId }) => (cmd === 'puback' ? [messageId] : []))
    await eventually(() => acknowledged().length === 20)
    expect(acknowledged()).not.toContain(1)
    await client.closed()
    await system.restart('provisioning')
    const again = await eventually(async () => {
      const next = await connect('patient').catch(() => undefined)
      return next
    })
    again.publish(1, 'devices/patient/replies', reply(commandId))
    await again.next('puback')
    expect((await found(commandId)).state).toBe('succeeded')
    again.close()
  }, 30_000)

  /** PUBACK latencies of a device that sends one reading after the other. */
  async function latencies(deviceId: string, count: number): Promise<number[]> {
    const client = await connect(deviceId)
    const took: number[] = []
    for (let seq = 0; seq < count; seq++) {
      const startMs = performance.now()
      client.publish(1, `devices/${deviceId}/readings`, reading('bb', seq))
      await client.next('puback')
      took.push(performance.now() - startMs)
    }
    client.close()
    return took.sort((a, b) => a - b)
  }

  describeWithCommand('mosquitto_pub')('beside a client of Debian’s', () => {
    it('a device that is frozen slows no other, and loses the oldest of what waits for it', async () => {
      const binary = findCommand('mosquitto_sub')
      if (binary === undefined) throw new Error('needs mosquitto_sub')
      await (await connect('frozen')).close()
      const args = [
        '-h',
        '127.0.0.1',
        '-p',
        String(system.mqttPort),
        '-q',
        '1',
        '-v',
        '-t',
        'devices/frozen/commands',
      ]
      const who = ['-i', 'frozen', '-u', 'frozen', '-P', tokens.get('frozen') ?? '']
      const child = spawn(binary, [...args, ...who], { stdio: ['ignore', 'pipe', 'ignore'] })
      try {
        const [first] = await Promise.all([once(child.stdout, 'data'), command('frozen')])
        expect(String(first[0])).toContain('devices/frozen/commands')
        child.kill('SIGSTOP')
        const sentBefore = await metric('lotwatch_broker_downlink_total{topic="commands"}')
        const busy = latencies('quick', 50)
        for (let i = 0; i < 70; i++)
          await command('frozen', { name: 'report', arguments: { text: 'x'.repeat(8000) } })
        const took = await busy
        expect(took.at(-1)).toBeLessThan(5000)
        await eventually(async () => (await metric('lotwatch_broker_downlink_dropped_total')) === 6)
        expect((await metric('lotwatch_broker_downlink_total{topic="commands"}')) - sentBefore).toBe(8)
      } finally {
        child.kill('SIGKILL')
      }
    }, 40_000)
  })
})
