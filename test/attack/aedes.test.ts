/** What Aedes leaves open by itself, tried on the real broker: each has to come to nothing. */
import { generate } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BrokerUnderTest, startBroker } from '../kit/broker.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { connectPacket, publishPacket, type RawClient } from '../kit/mqtt.ts'
import { eventually } from '../kit/program.ts'

let ingest: IngestUnderTest
let broker: BrokerUnderTest

beforeAll(async () => {
  ingest = await startIngest()
  broker = await startBroker({
    issuer: ingest.issuer,
    ingestUrl: ingest.url(),
    env: { LOTWATCH_BROKER_CONNECT_TIMEOUT_MS: '1000' },
  })
})
afterAll(async () => {
  await broker.stop()
  await ingest.stop()
})

async function admitted(...args: Parameters<BrokerUnderTest['connect']>): Promise<RawClient> {
  const client = await broker.connect(...args)
  expect((await client.next('connack')).returnCode).toBe(0)
  return client
}
const isAlive = async (client: RawClient) => {
  client.send({ cmd: 'pingreq' })
  await client.next('pingresp')
}
async function connections(): Promise<string[]> {
  const token = await ingest.issuer.token('urn:lotwatch:broker', 'read:connections')
  const answer = await fetch(`${broker.url}/v1/connections?limit=10000`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const { connections: list } = (await answer.json()) as { connections: { deviceId: string }[] }
  return list.map(({ deviceId }) => deviceId)
}

describe('before CONNACK', () => {
  it.each([
    ['an identifier of 6,000 characters', { clientId: 'x'.repeat(6000) }, 2],
    ['an identifier that is a member of every object', { clientId: '__proto__', username: '__proto__' }, 2],
    ['a user name of 6,000 characters', { username: 'x'.repeat(6000) }, 5],
    ['a keep-alive of none', { keepalive: 0 }, 5],
    ['a keep-alive of eighteen hours', { keepalive: 65_535 }, 5],
    [
      'a will on another device’s topic',
      {
        will: { topic: 'devices/other/readings', payload: Buffer.from('{}'), qos: 1 as const, retain: true },
      },
      5,
    ],
    [
      'a will on its own topic',
      {
        will: { topic: 'devices/formal/status', payload: Buffer.from('{}'), qos: 0 as const, retain: false },
      },
      5,
    ],
  ])('%s is refused', async (_what, packet, returnCode) => {
    expect(await broker.answerTo('formal', { packet })).toBe(returnCode)
  })

  it.each([
    ['a password of 60 KB', Buffer.from(generate(connectPacket({ password: Buffer.alloc(60_000, 0x41) })))],
    ['a CONNECT of 256 MiB, announced', Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])],
    ['a PUBLISH of 256 MiB, announced', Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f])],
  ])('%s closes the connection before it is sent', async (_what, bytes) => {
    const client = await broker.open()
    client.write(bytes.subarray(0, 8192))
    await client.closed()
    expect(client.packets).toEqual([])
  })

  it('more PUBLISHes than may come before it close the connection, and none of them is stored', async () => {
    const client = await broker.open()
    const deviceId = 'pipelined'
    const password = Buffer.from(await broker.token(deviceId))
    const reading = JSON.stringify({ v: 1, readings: [{ timestampMs: 1, occupied: 1 }] })
    client.send(
      connectPacket({ clientId: deviceId, username: deviceId, password }),
      ...Array.from({ length: 60 }, (_, i) => publishPacket(i + 1, `devices/${deviceId}/readings`, reading)),
    )
    await client.closed()
    expect(client.packets.filter(({ cmd }) => cmd === 'puback')).toEqual([])
  })

  it('a connection that ends in the turn of its CONNECT ends nothing else', async () => {
    const bystander = await admitted('bystander')
    const bytes = Buffer.concat([generate(connectPacket()), Buffer.from([0, 0, 0xf0, 0])])
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const client = await broker.open()
        client.write(bytes)
        await client.closed()
      }),
    )
    await isAlive(bystander)
    bystander.close()
  })
})

describe('an identity', () => {
  it('is not another’s to take: who fails in its name leaves its connection where it is', async () => {
    const victim = await admitted('victim')
    for (const token of ['nonsense', await broker.token('thief')])
      expect(await broker.answerTo('victim', { token })).toBe(5)
    await isAlive(victim)
    victim.close()
  })

  it('has one connection at most, however many come at once, and no more when they are gone', async () => {
    const token = await broker.token('crowd')
    for (let round = 0; round < 2; round++) {
      const crowd = await Promise.all([0, 1, 2].map(() => broker.connect('crowd', { token })))
      await eventually(() => crowd.every((client) => client.isClosed || client.packets.length > 0))
      await eventually(() => crowd.filter((client) => !client.isClosed).length === 1)
      expect((await connections()).filter((deviceId) => deviceId === 'crowd')).toHaveLength(1)
      for (const client of crowd) client.close()
      await eventually(async () => !(await connections()).includes('crowd'))
    }
  })

  it('is seen and can be cut after it came, went and came again in one turn', async () => {
    for (let round = 0; round < 5; round++) {
      const deviceId = `ghost-${round}`
      const older = await admitted(deviceId)
      older.send({
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: [{ topic: `devices/${deviceId}/config`, qos: 1 }],
      })
      await older.next('suback')
      older.close()
      const newer = await admitted(deviceId)
      expect(await connections()).toContain(deviceId)
      ingest.issuer.push({
        type: 'revocation',
        data: { of: 'credential', credentialId: `cred_${deviceId}`, atMs: Date.now() },
      })
      await eventually(() => newer.isClosed, 1000)
      await eventually(async () => !(await connections()).includes(deviceId))
    }
  })

  it('that is cut or ends badly speaks no last word', async () => {
    const listener = await admitted('listener')
    listener.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'devices/listener/config', qos: 1 }],
    })
    await listener.next('suback')
    const other = await admitted('mourned')
    other.close()
    await eventually(async () => !(await connections()).includes('mourned'))
    await isAlive(listener)
    expect(listener.packets).toEqual([])
    listener.close()
  })
})

describe('a device that was let in', () => {
  it.each([
    '$SYS/#',
    '$SYS/+/new/clients',
    '$share/group/devices/+/readings',
    '#',
    '+/#',
    'devices/#',
    'devices/+/config',
    'devices/curious2/config',
    'devices/curious/../other/config',
    'devices/curious/config/#',
    'devices/curious/readings',
  ])('may not subscribe to %s', async (topic) => {
    const client = await admitted('curious')
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })
    await eventually(() => client.isClosed || client.packets.length > 0)
    expect(client.packets.map((packet) => (packet.cmd === 'suback' ? packet.granted : packet.cmd))).toEqual(
      client.isClosed ? [] : [[128]],
    )
    client.close()
    // Six takeovers a minute hold an identity: each of these has to be gone before the next.
    await eventually(async () => !(await connections()).includes('curious'))
  })

  it('begins anew each time, whatever it asks for', async () => {
    const client = await admitted('lasting', { packet: { clean: false } })
    client.send({ cmd: 'disconnect' })
    await client.closed()
    const again = await broker.connect('lasting', { packet: { clean: false } })
    expect(await again.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: false })
    again.close()
  })

  it('may not subscribe to thousands of filters at once', async () => {
    const client = await admitted('greedy')
    const subscriptions = Array.from({ length: 5000 }, (_, i) => ({ topic: `a/${i}`, qos: 0 as const }))
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    await client.closed()
    expect(client.packets).toEqual([])
  })

  it.each([
    ['$SYS/x/new/clients'],
    ['$SYS/x/heartbeat'],
    ['devices/other/readings'],
    ['devices/spoofer/readings/'],
    ['devices/spoofer/../other/readings'],
    ['devices/spoofer/readings\u0000'],
    [`devices/spoofer/${'a/'.repeat(101)}`],
    ['devices/spoofer/config'],
    ['authz-info/x'],
  ])('is closed when it publishes on %j', async (topic) => {
    const client = await admitted('spoofer')
    client.publish(1, topic)
    await client.closed()
    expect(client.packets).toEqual([])
    await eventually(async () => !(await connections()).includes('spoofer'))
  })

  it('is closed when it publishes to be retained, or with QoS 2', async () => {
    const topic = 'devices/keeper/readings'
    for (const packet of [{ ...publishPacket(1, topic), retain: true }, publishPacket(1, topic, '{}', 2)]) {
      const client = await admitted('keeper')
      client.send(packet)
      await client.closed()
      expect(client.packets).toEqual([])
    }
  })

  it('is closed by a second CONNECT, whose token is in no log', async () => {
    const client = await admitted('twice')
    client.connect({
      clientId: 'twice',
      username: 'twice',
      password: Buffer.from(await broker.token('twice')),
    })
    await client.closed()
  })

  it('gets every PUBACK in order though it sends hundreds at once', async () => {
    const client = await admitted('eager')
    const ids = Array.from({ length: 400 }, (_, i) => i + 1)
    client.send(...ids.map((id) => publishPacket(id, 'devices/eager/readings')))
    await eventually(() => client.packets.length === ids.length)
    expect(client.packets.map((packet) => packet.messageId)).toEqual(ids)
    client.close()
  })
})

it('no token is in the log, and no bug', () => {
  expect(broker.program.lines.length).toBeGreaterThan(50)
  for (const line of broker.program.lines) expect(line).not.toMatch(/eyJ|"level":"(error|fatal)"/)
})
