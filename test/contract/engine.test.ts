/** What the gate relies on in an engine, over real sockets; every adapter of `broker/engine/engine.ts` passes it. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { duplexPair } from 'node:stream'
import { inspect } from 'node:util'
import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, it } from 'vitest'
import { createAedesEngine } from '../../broker/engine/aedes.ts'
import type { ConnectRequest, Engine, EngineHooks, Link, Taken } from '../../broker/engine/engine.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { connectPacket, publishPacket, RawClient } from '../kit/mqtt.ts'
import { eventually } from '../kit/program.ts'

interface TestPeer {
  readonly id: string
  readonly link: Link
}

/** Admits everybody, settles nothing by itself, and writes down what happens. */
class Desk implements EngineHooks<TestPeer> {
  readonly requests: ConnectRequest[] = []
  readonly published: {
    peer: TestPeer
    topic: string
    text: string
    packetId: number
    qos: number
    retain: boolean
  }[] = []
  readonly closedPeers: { id: string; reason: string }[] = []
  readonly refusals: { mqttClientId: string | undefined; error: unknown }[] = []
  readonly subscriptions: { peer: TestPeer; filters: readonly string[] }[] = []
  isReceiving = true
  /** The quality of service with which each delivery was to go. */
  readonly receiving: number[] = []
  decide: () => Promise<void> = async () => undefined

  async connect(request: ConnectRequest, link: Link): Promise<TestPeer> {
    this.requests.push(request)
    await this.decide()
    return { id: request.mqttClientId, link }
  }
  publish(
    peer: TestPeer,
    topic: string,
    payload: Uint8Array,
    packet: { packetId: number; qos: 0 | 1; retain: boolean },
  ): Taken {
    this.published.push({ peer, topic, text: new TextDecoder().decode(payload), ...packet })
    return topic.endsWith('/apart') ? 'apart' : 'held'
  }
  maySubscribe(_peer: TestPeer, filter: string): boolean {
    return filter.startsWith('allowed')
  }
  subscribed(peer: TestPeer, filters: readonly string[]): void {
    this.subscriptions.push({ peer, filters })
  }
  mayReceive(_peer: TestPeer, _topic: string, qos: 0 | 1): boolean {
    this.receiving.push(qos)
    return this.isReceiving
  }
  closed(peer: TestPeer, reason: string): void {
    this.closedPeers.push({ id: peer.id, reason })
  }
  refused(refusal: { mqttClientId: string | undefined; error: unknown }): void {
    this.refusals.push(refusal)
  }
}

const adapters = {
  aedes: (hooks: EngineHooks<TestPeer>, timeoutMs: number) =>
    createAedesEngine(hooks, {
      connectTimeoutMs: timeoutMs,
      authenticationTimeoutMs: timeoutMs,
      random: () => 0.5,
    }),
}

describe.each(Object.entries(adapters))('the engine over %s', (_name, create) => {
  let engine: Engine
  let server: Server
  let port: number
  const clients: RawClient[] = []

  /** @param timeoutMs for a CONNECT to arrive, and for the decision on it; short only where it is to pass */
  async function setUp(timeoutMs = 10_000): Promise<Desk> {
    const desk = new Desk()
    engine = await create(desk, timeoutMs)
    server = createServer((socket) => engine.accept(socket, { remoteAddress: '192.0.2.1' })).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    return desk
  }
  async function connect(packet: Parameters<typeof RawClient.connect>[1] = {}): Promise<RawClient> {
    const client = await RawClient.connect(port, packet)
    clients.push(client)
    return client
  }
  async function admitted(packet: Parameters<typeof RawClient.connect>[1] = {}): Promise<RawClient> {
    const client = await connect(packet)
    expect((await client.next('connack')).returnCode).toBe(0)
    return client
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    await engine.stop()
    server.close()
  })

  describe('at CONNECT', () => {
    it('asks the gate with identifier, user name and password', async () => {
      const desk = await setUp()
      await admitted({ clientId: 'gate-7', username: 'gate-7', password: Buffer.from('secret') })
      expect(desk.requests).toMatchObject([
        { mqttClientId: 'gate-7', username: 'gate-7', password: 'secret', keepAliveSec: 60 },
      ])
    })

    it.each([
      ['MQTT 3.1', { protocolId: 'MQIsdp', protocolVersion: 3 }, 1],
      ['MQTT 5', { protocolVersion: 5 }, 1],
      ['an identifier outside the grammar', { clientId: '../x' }, 2],
      [
        'a will',
        { will: { topic: 'devices/gate-1/status', payload: Buffer.from('x'), qos: 0, retain: false } },
        5,
      ],
      ['no keep-alive', { keepalive: 0 }, 5],
      ['a keep-alive beyond the limit', { keepalive: 121 }, 5],
    ] as const)('refuses %s without asking the gate', async (_what, packet, returnCode) => {
      const desk = await setUp()
      const client = await connect(packet as Parameters<typeof RawClient.connect>[1])
      expect((await client.next('connack')).returnCode).toBe(returnCode)
      await client.closed()
      expect(desk.requests).toEqual([])
      await eventually(() => desk.refusals.length === 1)
    })

    it.each([
      ['refuses', new FleetError('token.expired', 'expired'), 5],
      ['cannot decide', new FleetError('keys.unavailable', 'no keys'), 3],
    ] as const)('answers with the right code when the gate %s', async (_what, error, returnCode) => {
      const desk = await setUp()
      desk.decide = async () => {
        throw error
      }
      const client = await connect()
      expect((await client.next('connack')).returnCode).toBe(returnCode)
      await client.closed()
      expect(desk.refusals).toMatchObject([{ mqttClientId: 'gate-1', error }])
    })

    it('answers “come back” when the gate takes too long', async () => {
      const desk = await setUp(300)
      desk.decide = () => new Promise(() => undefined)
      const client = await connect()
      expect((await client.next('connack')).returnCode).toBe(3)
    })

    it('closes a socket on which no CONNECT arrives', async () => {
      await setUp(300)
      const client = await RawClient.open(port)
      client.write(Buffer.from([0x10]))
      await client.closed()
    })

    it('closes a socket whose first packet is another', async () => {
      const desk = await setUp()
      const client = await RawClient.open(port)
      client.publish(1, 'devices/gate-1/readings')
      await client.closed()
      expect(desk.published).toEqual([])
    })

    it('closes a socket that announces a CONNECT larger than any token, before it is sent', async () => {
      await setUp()
      const client = await RawClient.open(port)
      client.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]))
      await client.closed()
    })

    it('closes on a second CONNECT', async () => {
      const desk = await setUp()
      const client = await admitted()
      client.send(connectPacket())
      await client.closed()
      await eventually(() => desk.closedPeers.length === 1)
    })
  })

  describe('a PUBLISH', () => {
    it('is acknowledged when the gate says so, and not before', async () => {
      const desk = await setUp()
      const client = await admitted()
      client.publish(7, 'devices/gate-1/readings', 'hello')
      const published = await eventually(() => desk.published[0])
      expect(published).toMatchObject({
        topic: 'devices/gate-1/readings',
        text: 'hello',
        packetId: 7,
        qos: 1,
        retain: false,
      })
      client.send({ cmd: 'pingreq' })
      await client.next('pingresp')
      expect(client.packets).toEqual([])
      published.peer.link.acknowledge(7)
      expect((await client.next('puback')).messageId).toBe(7)
    })

    it('that came with the CONNECT in one segment is not lost', async () => {
      const desk = await setUp()
      const client = await RawClient.open(port)
      clients.push(client)
      client.send(
        connectPacket(),
        publishPacket(1, 'devices/gate-1/readings'),
        publishPacket(2, 'devices/gate-1/readings'),
      )
      await eventually(() => desk.published.length === 2)
      expect(desk.published.map((message) => message.packetId)).toEqual([1, 2])
    })

    it('of many in one write all are given to the gate and all PUBACKs arrive', async () => {
      const desk = await setUp()
      const client = await admitted()
      const ids = Array.from({ length: 500 }, (_, i) => i + 1)
      client.send(...ids.map((id) => publishPacket(id, 'devices/gate-1/readings', 'x'.repeat(200))))
      const acknowledged = new Set<number>()
      await eventually(() => {
        for (const { peer, packetId } of desk.published.splice(0)) peer.link.acknowledge(packetId)
        for (const packet of client.packets.splice(0))
          if (packet.cmd === 'puback') acknowledged.add(packet.messageId ?? 0)
        return acknowledged.size === ids.length
      })
    })

    it('behind one that closed the connection is not handled, though it came in the same segment', async () => {
      const desk = await setUp()
      const record = desk.publish.bind(desk)
      desk.publish = (peer, ...rest) => {
        peer.link.close('enough')
        return record(peer, ...rest)
      }
      const client = await admitted()
      client.send(publishPacket(1, 'devices/gate-1/readings'), publishPacket(2, 'devices/gate-1/readings'))
      await eventually(() => desk.closedPeers.length === 1)
      expect(desk.published.map((message) => message.packetId)).toEqual([1])
    })

    it('whose PUBACKs nobody reads closes the connection before they fill the memory', async () => {
      const desk = await setUp()
      desk.publish = (peer, _topic, _payload, { packetId }) => {
        peer.link.acknowledge(packetId)
        return 'held'
      }
      const [near, far] = duplexPair()
      engine.accept(near, { remoteAddress: '192.0.2.1' })
      far.on('error', () => undefined).write(generate(connectPacket()))
      await eventually(() => far.readableLength === 4)
      const window = Buffer.concat(
        Array.from({ length: 1000 }, (_, i) => generate(publishPacket(i + 1, 'devices/gate-1/readings', ''))),
      )

      for (let sent = 0; sent < 100 && !near.destroyed; sent++) {
        far.write(window)
        await new Promise((resolve) => setImmediate(resolve))
      }

      await eventually(() => near.destroyed)
      expect(desk.closedPeers).toMatchObject([{ reason: 'does not read its acknowledgements' }])
    })

    it('of QoS 0 is given to the gate without a packet identifier', async () => {
      const desk = await setUp()
      const client = await admitted()
      client.send(publishPacket(0, 'devices/gate-1/readings', 'x', 0))
      expect(await eventually(() => desk.published[0])).toMatchObject({ packetId: 0, qos: 0 })
    })

    it('of QoS 2 closes the connection', async () => {
      const desk = await setUp()
      const client = await admitted()
      client.send(publishPacket(1, 'devices/gate-1/readings', 'x', 2))
      await client.closed()
      expect(desk.published).toEqual([])
    })

    it('over 64 KiB closes the connection, one just below does not', async () => {
      const desk = await setUp()
      const client = await admitted()
      client.publish(1, 'devices/gate-1/readings', Buffer.alloc(65_000))
      await eventually(() => desk.published.length === 1)
      client.publish(2, 'devices/gate-1/readings', Buffer.alloc(66_000))
      await client.closed()
      expect(desk.published).toHaveLength(1)
    })

    it('that is apart holds up nothing behind it, however many there are', async () => {
      const desk = await setUp()
      const client = await admitted()
      const apart = Array.from({ length: 20 }, (_, i) => publishPacket(i + 1, 'devices/gate-1/apart'))
      const held = Array.from({ length: 15 }, (_, i) => publishPacket(i + 21, 'devices/gate-1/readings'))
      client.send(...apart, ...held)
      await eventually(() => desk.published.length === 35)
      client.publish(50, 'devices/gate-1/readings')
      const { link } = (await eventually(() => desk.published[35])).peer
      // The sixteenth that is held stops the reading: what comes next is taken when they are settled, not before.
      client.publish(51, 'devices/gate-1/readings')
      await admitted({ clientId: 'other' })
      expect(desk.published).toHaveLength(36)
      for (const { packetId } of desk.published.slice(20)) link.acknowledge(packetId)
      await eventually(() => desk.published.length === 37)
      for (const { packetId } of desk.published) link.acknowledge(packetId)
      await eventually(() => client.packets.filter(({ cmd }) => cmd === 'puback').length >= 36)
    })

    it('reaches no subscriber: only the gate decides what becomes of it', async () => {
      const desk = await setUp()
      const listener = await admitted({ clientId: 'listener' })
      listener.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'allowed/x', qos: 1 }] })
      await listener.next('suback')
      const client = await admitted()
      client.publish(1, 'allowed/x', 'x')
      const published = await eventually(() => desk.published[0])
      published.peer.link.acknowledge(1)
      await client.next('puback')
      listener.send({ cmd: 'pingreq' })
      await listener.next('pingresp')
      expect(listener.packets).toEqual([])
    })
  })

  describe('what goes down', () => {
    const payload = new TextEncoder().encode('hello')

    async function subscribed(desk: Desk, qos: 0 | 1, topics = ['allowed/a']) {
      const client = await admitted()
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos })) })
      await client.next('suback')
      const { peer, filters } = await eventually(() => desk.subscriptions.at(-1))
      return { client, link: peer.link, filters }
    }

    it('tells the gate what was granted, and nothing of what was not', async () => {
      const desk = await setUp()
      const { filters } = await subscribed(desk, 1, ['allowed/a', 'forbidden', 'allowed/b'])
      expect(filters).toEqual(['allowed/a', 'allowed/b'])
    })

    it('is for nobody whose connection ends with the SUBSCRIBE', async () => {
      const desk = await setUp()
      desk.maySubscribe = (peer) => {
        peer.link.close('enough')
        return true
      }
      const client = await admitted()
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'allowed/a', qos: 1 }] })
      await client.closed()
      await eventually(() => desk.closedPeers.length === 1)
      await new Promise(setImmediate)
      expect(desk.subscriptions).toEqual([])
    })

    it('arrives, and PUBACK is told once', async () => {
      const desk = await setUp()
      const { client, link } = await subscribed(desk, 1, ['allowed/+'])
      let acknowledged = 0
      expect(link.deliver('allowed/a', payload, () => acknowledged++)).toBe('sent')
      const message = await client.next('publish')
      expect(message).toMatchObject({ topic: 'allowed/a', qos: 1, retain: false, dup: false })
      expect(String(message.payload)).toBe('hello')
      const { messageId } = message
      if (messageId === undefined) throw new Error('no packet identifier')
      client.send({ cmd: 'puback', messageId: messageId + 1 })
      client.send({ cmd: 'puback', messageId }, { cmd: 'puback', messageId }, { cmd: 'pingreq' })
      await client.next('pingresp')
      expect(acknowledged).toBe(1)
      expect(desk.receiving).toEqual([1])
    })

    it('of many bytes arrives whole, each under a packet identifier of its own', async () => {
      const desk = await setUp()
      const { client, link } = await subscribed(desk, 1)
      const large = new TextEncoder().encode('x'.repeat(20_000))
      for (let i = 0; i < 3; i++) link.deliver('allowed/a', large, () => undefined)
      await eventually(() => client.packets.length === 3)
      const ids = client.packets.map((packet) => (packet as { messageId?: number }).messageId)
      expect(new Set(ids).size).toBe(3)
      expect(
        client.packets.every((packet) => String((packet as { payload: Buffer }).payload).length === 20_000),
      ).toBe(true)
    })

    it('has QoS 0 where the device wanted no more, and nobody is told', async () => {
      const desk = await setUp()
      const { client, link } = await subscribed(desk, 0)
      expect(link.deliver('allowed/a', payload, () => expect.fail('told'))).toBe('told')
      expect(await client.next('publish')).toMatchObject({ qos: 0 })
      expect(desk.receiving).toEqual([0])
    })

    it('does not go where nothing was subscribed, where it may not be received any more, or when nobody is there', async () => {
      const desk = await setUp()
      const { client, link } = await subscribed(desk, 1)
      expect(link.deliver('allowed/other', payload, () => undefined)).toBe('unheard')
      desk.isReceiving = false
      expect(link.deliver('allowed/a', payload, () => undefined)).toBe('unheard')
      desk.isReceiving = true
      client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['allowed/a'] })
      await client.next('unsuback')
      expect(link.deliver('allowed/a', payload, () => undefined)).toBe('unheard')
      link.close('enough')
      expect(link.deliver('allowed/a', payload, () => undefined)).toBe('unheard')
      await client.closed()
      expect(client.packets).toEqual([])
    })

    it('closes a device that does not read, and hinders no other', async () => {
      const desk = await setUp()
      const [near, far] = duplexPair()
      engine.accept(near, { remoteAddress: '192.0.2.1' })
      far.on('error', () => undefined)
      far.write(generate(connectPacket({ clientId: 'frozen' })))
      far.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'allowed/a', qos: 1 }] }))
      const { peer } = await eventually(() => desk.subscriptions[0])
      for (let i = 0; i < 8; i++) peer.link.deliver('allowed/a', new Uint8Array(16_384), () => undefined)
      const { client, link } = await subscribed(desk, 1)
      while (!near.destroyed) {
        let isThere = false
        link.deliver('allowed/a', payload, () => (isThere = true))
        const { messageId = 0 } = await client.next('publish')
        client.send({ cmd: 'puback', messageId })
        await eventually(() => isThere)
      }
      await eventually(() => desk.closedPeers.length === 1)
      expect(desk.closedPeers).toEqual([{ id: 'frozen', reason: 'does not read what it is sent' }])
    }, 15_000)
  })

  it('grants each filter of a SUBSCRIBE by itself', async () => {
    await setUp()
    const client = await admitted()
    client.send({
      cmd: 'subscribe',
      messageId: 3,
      subscriptions: [
        { topic: 'allowed/a', qos: 1 },
        { topic: 'forbidden', qos: 1 },
      ],
    })
    expect((await client.next('suback')).granted).toEqual([1, 128])
  })

  it('grants so many filters to a connection, and closes it on more in one packet than any device has', async () => {
    await setUp()
    const client = await admitted()
    const filters = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ topic: `allowed/${from + i}`, qos: 0 as const }))
    const granted: unknown[] = []
    for (const [messageId, from] of [0, 8, 16].entries()) {
      client.send({ cmd: 'subscribe', messageId: messageId + 1, subscriptions: filters(from, 8) })
      granted.push(...(await client.next('suback')).granted)
    }
    expect(granted).toEqual([...Array(16).fill(0), ...Array(8).fill(128)])
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: filters(0, 8) })
    expect((await client.next('suback')).granted).toEqual(Array(8).fill(0))
    client.send({ cmd: 'subscribe', messageId: 10, subscriptions: filters(0, 9) })
    await client.closed()
  })

  it('keeps no token of a connection', async () => {
    const desk = await setUp()
    const client = await admitted({ password: Buffer.from('the-token-itself') })
    client.publish(1, 'devices/gate-1/readings')
    const { link } = (await eventually(() => desk.published[0])).peer
    // From the link everything can be reached that the engine keeps of a connection.
    const kept = inspect(link, { depth: 12 })
    expect(kept).toContain("clientId: 'gate-1'")
    expect(kept).not.toMatch(/the-token-itself|74 68 65 2d 74 6f/)
  })

  it('stops reading and goes on when told, losing nothing', async () => {
    const desk = await setUp()
    const client = await admitted()
    client.publish(1, 'devices/gate-1/readings')
    const first = await eventually(() => desk.published[0])
    engine.setReading(false)
    first.peer.link.acknowledge(1)
    await client.next('puback')
    client.publish(2, 'devices/gate-1/readings')
    // Another connection's whole exchange passes meanwhile.
    await admitted({ clientId: 'other' })
    expect(desk.published).toHaveLength(1)
    engine.setReading(true)
    await eventually(() => desk.published.length === 2)
    desk.published[1]?.peer.link.acknowledge(2)
    expect((await client.next('puback')).messageId).toBe(2)
  })

  it('reads connections on after pressure, those too that came meanwhile or asked for something', async () => {
    const desk = await setUp()
    const older = await admitted({ clientId: 'older' })
    older.send({ cmd: 'pingreq' }, publishPacket(1, 'devices/older/readings'), { cmd: 'pingreq' })
    await eventually(() => desk.published.length === 1)
    engine.setReading(false)
    const newer = await admitted({ clientId: 'newer' })
    for (const client of [older, newer]) client.publish(2, 'devices/x/readings')
    desk.published[0]?.peer.link.acknowledge(1)
    await older.next('puback')
    expect(desk.published).toHaveLength(1)
    engine.setReading(true)
    await eventually(() => desk.published.length === 3)
    for (const { peer, packetId } of desk.published.slice(1)) peer.link.acknowledge(packetId)
    for (const client of [older, newer]) client.publish(3, 'devices/x/readings')
    await eventually(() => desk.published.length === 5)
  })

  it('stops every connection again when the first one read brings the pressure back', async () => {
    const desk = await setUp()
    const clients = [
      await admitted({ clientId: 'a' }),
      await admitted({ clientId: 'b' }),
      await admitted({ clientId: 'c' }),
    ]
    engine.setReading(false)
    const record = desk.publish.bind(desk)
    desk.publish = (...message) => {
      engine.setReading(false)
      return record(...message)
    }
    for (const client of clients) client.publish(1, 'devices/x/readings')
    // All three are in the kernel's hands once another exchange has passed.
    await admitted({ clientId: 'other' })
    for (let read = 1; read <= clients.length; read++) {
      engine.setReading(true)
      await eventually(() => desk.published.length === read)
    }
  })

  it('takes a whole window that arrives right behind CONNACK', async () => {
    const desk = await setUp()
    const client = await connect()
    await client.next('connack')
    client.send(...Array.from({ length: 50 }, (_, i) => publishPacket(i + 1, 'devices/gate-1/readings')))
    await eventually(() => desk.published.length === 50)
  })

  it('tells the gate of a decision that came too late', async () => {
    const desk = await setUp(300)
    let decide: () => void = () => undefined
    desk.decide = () => new Promise((resolve) => (decide = resolve))
    const client = await connect()
    expect((await client.next('connack')).returnCode).toBe(3)
    decide()
    await eventually(() => desk.closedPeers.length === 1)
  })

  it('closes a connection when told, says why once, and tells when it is gone', async () => {
    const desk = await setUp()
    const client = await admitted()
    client.publish(1, 'devices/gate-1/readings')
    const { link } = (await eventually(() => desk.published[0])).peer
    link.close('revoked')
    link.close('something else')
    await link.gone
    await client.closed()
    expect(link.isOpen).toBe(false)
    expect(desk.closedPeers).toEqual([{ id: 'gate-1', reason: 'revoked' }])
    link.acknowledge(1)
  })

  it('survives a CONNECT whose connection ends before it is looked at', async () => {
    const desk = await setUp()
    const broken = Buffer.concat([generate(connectPacket()), Buffer.from([0x00, 0x00])])
    for (let round = 0; round < 20; round++) {
      const client = await RawClient.open(port)
      client.write(broken)
      await client.closed()
    }
    await admitted()
    expect(desk.requests).toHaveLength(1)
    expect(desk.refusals).toHaveLength(20)
  })

  it('leaves nothing behind when a device comes and goes in one turn', async () => {
    const desk = await setUp()
    for (let round = 0; round < 20; round++) {
      const client = await connect()
      client.close()
    }
    const last = await admitted()
    last.close()
    await eventually(() => desk.closedPeers.length + desk.refusals.length === 21)
  })
})
