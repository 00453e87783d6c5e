/**
 * MQTT 3.1.1 as bytes in and bytes out, by the numbers of its clauses (OASIS, 29 October 2014), as far as they concern
 * what this broker offers: no sessions, no wills, nothing retained, no QoS 2. Against the real broker and ingest.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BrokerUnderTest, startBroker } from '../kit/broker.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import {
  type ConnectParts,
  connectBytes,
  disconnect,
  packet,
  pair,
  pingreq,
  pingresp,
  publishBytes,
  subscribeBytes,
  text,
  unsubscribeBytes,
  Wire,
} from '../kit/wire.ts'

let ingest: IngestUnderTest
let broker: BrokerUnderTest
const wires: Wire[] = []
let serial = 0

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
afterEach(() => {
  for (const wire of wires.splice(0)) wire.close()
})

const accepted = '20020000'
const refused = (code: number) => `2002000${code}`

async function open(): Promise<Wire> {
  const wire = await Wire.open(broker.port)
  wires.push(wire)
  return wire
}

/** A device of its own for each test, so that none takes another's connection. */
async function device(parts: ConnectParts & { deviceId?: string } = {}) {
  const { deviceId = `wire-${serial++}` } = parts
  const connect = connectBytes(deviceId, await broker.token(deviceId), parts)
  return { deviceId, connect, readings: `devices/${deviceId}/readings`, config: `devices/${deviceId}/config` }
}

async function connected(parts: ConnectParts & { deviceId?: string } = {}) {
  const known = await device(parts)
  const wire = await open()
  wire.send(known.connect)
  expect(await wire.read(4)).toBe(accepted)
  return { wire, ...known }
}

/** The connection lives, and nothing else had come. */
async function isQuiet(wire: Wire): Promise<void> {
  wire.send(pingreq)
  expect(await wire.read(2)).toBe(pingresp)
}

type Connected = Awaited<ReturnType<typeof connected>>

describe('CONNECT', () => {
  it.each<[string, ConnectParts]>([
    ['[MQTT-3.1.0-1] that is right is answered with CONNACK, which is the first packet [MQTT-3.2.0-1]', {}],
    ['[MQTT-3.2.2-3] for a session that does not exist is told so', { flags: 0xc0 }],
    ['[MQTT-3.1.3-5] with an identifier of 23 letters and digits is accepted', {}],
  ])('%s', async (what, parts) => {
    const deviceId = what.includes('23 letters') ? 'abcdefghijklmnopqrstu01' : undefined
    const { wire } = await connected({ ...parts, ...(deviceId === undefined ? {} : { deviceId }) })
    await isQuiet(wire)
  })

  it.each<[string, ConnectParts, string]>([
    ['[MQTT-3.1.2-2] of protocol level 3 gets 1, and the connection is closed', { level: 3 }, refused(1)],
    [
      '[MQTT-3.1.2-2] of protocol level 5 gets 1, and the connection is closed',
      { level: 5, properties: [0] },
      refused(1),
    ],
    ['[MQTT-3.1.2-1] of another protocol is closed', { name: 'MQTQ' }, ''],
    ['[MQTT-3.1.2-3] with the reserved flag is closed', { flags: 0xc3 }, ''],
    ['[MQTT-3.1.2-13] without a will but with its QoS is closed', { flags: 0xca }, ''],
    ['[MQTT-3.1.2-15] without a will but with its retain flag is closed', { flags: 0xe2 }, ''],
    [
      '[MQTT-3.1.2-14] with a will of QoS 3 is refused',
      { flags: 0xde, rest: [text('t'), text('x'), text('a'), text('b')] },
      refused(5),
    ],
    ['[MQTT-3.1.3-8] without an identifier and not clean gets 2', { id: '', flags: 0xc0 }, refused(2)],
    ['[MQTT-3.1.3-6] without an identifier gets 2', { id: '' }, refused(2)],
    ['[MQTT-3.1.3-9] with an identifier that is none gets 2', { id: 'a/b' }, refused(2)],
    [
      '[MQTT-3.1.3-4] with an identifier that is not UTF-8 gets 2',
      { id: Buffer.from('c328', 'hex') },
      refused(2),
    ],
    ['[MQTT-2.2.2-2] with flags in its first byte is closed', { firstByte: 0x11 }, ''],
    ['[MQTT-3.1.2-22] with a password but without a user name is let nowhere', { flags: 0x42 }, refused(5)],
    ['[MQTT-3.1.4-1] that ends before its password is closed', { rest: [text('x')] }, ''],
    ['[MQTT-3.1.2-23] without a keep-alive is not offered', { keepAliveSec: 0 }, refused(5)],
  ])('%s', async (_what, parts, answer) => {
    const { connect } = await device(parts)
    const wire = await open()
    wire.send(connect)
    // [MQTT-3.2.2-4]: a refusal that has a word gets it, without a session.
    expect(await wire.end()).toBe(answer)
  })

  it('[MQTT-3.1.0-1] is the first packet, or the connection is closed', async () => {
    for (const first of [pingreq, publishBytes('devices/x/readings', 1), subscribeBytes(1, [['a', 0]])]) {
      const wire = await open()
      wire.send(first)
      expect(await wire.end()).toBe('')
    }
  })

  it('[MQTT-3.1.0-2] a second time closes the connection', async () => {
    const { wire, connect } = await connected()
    wire.send(connect)
    expect(await wire.end()).toBe('')
  })

  it('[MQTT-3.1.4-2] of a device that is connected closes the connection it had', async () => {
    const { wire, connect } = await connected()
    const newer = await open()
    newer.send(connect)
    expect(await newer.read(4)).toBe(accepted)
    expect(await wire.end()).toBe('')
    await isQuiet(newer)
  })

  it('[MQTT-3.1.4-5] may be followed at once: what follows an accepted one is handled', async () => {
    const { connect, readings } = await device()
    const wire = await open()
    wire.send(connect, publishBytes(readings, 0x1234))
    expect(await wire.read(8)).toBe(`${accepted}40021234`)
  })

  it('[MQTT-3.1.4-5] may be followed at once: what follows a refused one is not handled', async () => {
    const { readings, deviceId } = await device()
    const wire = await open()
    wire.send(connectBytes(deviceId, 'no token'), publishBytes(readings, 1), subscribeBytes(2, [['a', 0]]))
    expect(await wire.end()).toBe(refused(5))
  })

  it('[MQTT-3.1.2-6] begins anew each time, whatever was subscribed to before', async () => {
    const { wire, connect, config } = await connected({ flags: 0xc0 })
    wire.send(subscribeBytes(1, [[config, 1]]))
    expect(await wire.read(5)).toBe('9003000101')
    wire.send(disconnect)
    await wire.end()
    const again = await open()
    again.send(connect)
    expect(await again.read(4)).toBe(accepted)
  })
})

describe('PUBLISH', () => {
  it('[MQTT-3.3.4-1] of QoS 1 is answered with PUBACK, [MQTT-2.3.1-6] of the same packet identifier', async () => {
    const { wire, readings } = await connected()
    for (const id of [1, 0x0100, 0xffff]) {
      wire.send(publishBytes(readings, id))
      expect(await wire.read(4)).toBe(`4002${pair(id).toString('hex')}`)
    }
  })

  it('[MQTT-3.3.4-1] of QoS 0 is not answered', async () => {
    const { wire, readings } = await connected()
    wire.send(publishBytes(readings, undefined, '{}', 0x30))
    await isQuiet(wire)
  })

  it('[MQTT-3.3.1-1] that is sent again is acknowledged again', async () => {
    const { wire, readings } = await connected()
    wire.send(publishBytes(readings, 7), publishBytes(readings, 7, '{}', 0x3a))
    expect(await wire.read(8)).toBe('4002000740020007')
  })

  it('[MQTT-4.6.0-2] is acknowledged in the order in which it came', async () => {
    const { wire, readings } = await connected()
    const ids = Array.from({ length: 300 }, (_, i) => i + 1)
    wire.send(...ids.map((id) => publishBytes(readings, id)))
    expect(await wire.read(4 * ids.length)).toBe(ids.map((id) => `4002${pair(id).toString('hex')}`).join(''))
  })

  it('[MQTT-2.2.3] may have a Remaining Length of one, two and three bytes, come in any pieces', async () => {
    const { wire, readings } = await connected()
    for (const [i, size] of [2, 200, 20_000].entries()) {
      const bytes = publishBytes(readings, i + 1, 'x'.repeat(size))
      for (let at = 0; at < 5; at++) wire.send(bytes.subarray(at, at + 1))
      wire.send(bytes.subarray(5))
      expect(await wire.read(4)).toBe(`4002000${i + 1}`)
    }
  })

  it.each<[string, (known: Connected) => Uint8Array]>([
    ['[MQTT-2.3.1-1] of QoS 1 without a packet identifier', ({ readings }) => publishBytes(readings, 0)],
    [
      '[MQTT-3.3.1-2] of QoS 0 that says it is a duplicate',
      ({ readings }) => publishBytes(readings, undefined, '{}', 0x38),
    ],
    ['[MQTT-3.3.1-4] of QoS 3', ({ readings }) => publishBytes(readings, 1, '{}', 0x36)],
    ['of QoS 2, which is not offered', ({ readings }) => publishBytes(readings, 1, '{}', 0x34)],
    [
      '[MQTT-3.3.5-2] to be retained, which is not offered',
      ({ readings }) => publishBytes(readings, 1, '{}', 0x33),
    ],
    ['[MQTT-3.3.5-2] on a topic of another device', () => publishBytes('devices/another/readings', 1)],
    ['[MQTT-3.3.2-2] on a topic with +', ({ deviceId }) => publishBytes(`devices/${deviceId}/+`, 1)],
    ['[MQTT-3.3.2-2] on a topic with #', ({ deviceId }) => publishBytes(`devices/${deviceId}/#`, 1)],
    ['[MQTT-4.7.3-1] on an empty topic', () => publishBytes('', 1)],
    ['[MQTT-1.5.3-2] on a topic with U+0000', ({ readings }) => publishBytes(`${readings}\u0000`, 1)],
    [
      '[MQTT-1.5.3-1] on a topic that is not UTF-8',
      ({ readings }) => publishBytes(Buffer.concat([Buffer.from(readings), Buffer.from('eda080', 'hex')]), 1),
    ],
    ['[MQTT-1.5.3-3] on a topic behind U+FEFF', ({ readings }) => publishBytes(`\ufeff${readings}`, 1)],
    ['[MQTT-4.7.3-4] on a topic in capitals', ({ readings }) => publishBytes(readings.toUpperCase(), 1)],
    ['[MQTT-4.7.3-4] on a topic with an empty level', ({ readings }) => publishBytes(`/${readings}`, 1)],
    ['[MQTT-4.7.2-1] on a topic of the broker’s own', () => publishBytes('$SYS/x/new/clients', 1)],
    ['of a topic longer than the packet', () => packet(0x32, pair(500), Buffer.from('devices'))],
  ])('%s closes the connection', async (_what, bytes) => {
    const known = await connected()
    known.wire.send(bytes(known))
    expect(await known.wire.end()).toBe('')
  })
})

describe('SUBSCRIBE', () => {
  it('[MQTT-3.8.4-1] is answered with SUBACK, [MQTT-3.8.4-2] of the same packet identifier', async () => {
    const { wire, config } = await connected()
    wire.send(subscribeBytes(0x0a0b, [[config, 1]]))
    expect(await wire.read(5)).toBe('90030a0b01')
  })

  it('[MQTT-3.8.4-5] of several filters has [MQTT-3.9.3-1] a return code for each, in their order', async () => {
    const { wire, config, deviceId } = await connected()
    wire.send(
      subscribeBytes(1, [
        ['devices/another/config', 0],
        [config, 0],
        ['#', 1],
        [`devices/${deviceId}/commands`, 1],
      ]),
    )
    expect(await wire.read(8)).toBe('9006000180008001')
  })

  it('[MQTT-3.8.4-6] of QoS 2 is granted QoS 1', async () => {
    const { wire, config } = await connected()
    wire.send(subscribeBytes(1, [[config, 2]]))
    expect(await wire.read(5)).toBe('9003000101')
  })

  it('[MQTT-3.8.4-3] of a filter it has replaces what it had', async () => {
    const { wire, config } = await connected()
    for (const [id, qos] of [
      [1, 0],
      [2, 1],
    ] as const) {
      wire.send(subscribeBytes(id, [[config, qos]]))
      expect(await wire.read(5)).toBe(`9003000${id}0${qos}`)
    }
  })

  it.each([
    ['[MQTT-4.7.2-1] of the broker’s own topics', '$SYS/#'],
    ['of a share of others, which 3.1.1 does not know', '$share/g/devices/+/readings'],
    ['of everybody’s topics', 'devices/+/config'],
    ['of everything', '+/+/+'],
  ])('%s is refused with 0x80', async (_what, filter) => {
    const { wire } = await connected()
    wire.send(subscribeBytes(1, [[filter, 1]]))
    expect(await wire.read(5)).toBe('9003000180')
  })

  it.each<[string, (known: Connected) => Uint8Array]>([
    ['[MQTT-3.8.1-1] without its flags', ({ config }) => subscribeBytes(1, [[config, 0]], 0x80)],
    ['[MQTT-3.8.3-3] of nothing', () => subscribeBytes(1, [])],
    ['[MQTT-3.8.3-4] of QoS 3', ({ config }) => subscribeBytes(1, [[config, 3]])],
    ['[MQTT-3.8.3-4] with reserved bits', ({ config }) => subscribeBytes(1, [[config, 0x41]])],
    ['[MQTT-2.3.1-1] without a packet identifier', ({ config }) => subscribeBytes(0, [[config, 0]])],
    ['[MQTT-4.7.3-1] of an empty filter', () => subscribeBytes(1, [['', 0]])],
    ['[MQTT-4.7.1-2] with # before the end', () => subscribeBytes(1, [['devices/#/config', 0]])],
    ['[MQTT-4.7.1-2] with # in a level', () => subscribeBytes(1, [['devices#', 0]])],
    ['[MQTT-4.7.1-3] with + in a level', () => subscribeBytes(1, [['devices/a+/config', 0]])],
    ['that ends within a filter', () => packet(0x82, pair(1), pair(40), Buffer.from('devices'))],
  ])('%s closes the connection or is refused', async (what, bytes) => {
    const known = await connected()
    known.wire.send(bytes(known))
    // A filter that is none is refused like one that is not granted, or closes: nothing is subscribed to either way.
    if (what.includes('4.7')) expect(['', '9003000180']).toContain(await known.wire.read(5))
    else expect(await known.wire.end()).toBe('')
  })
})

describe('a PUBLISH to a device', () => {
  /** What a device is sent when a configuration is set for it, as hexadecimal digits. */
  const configured = (
    known: Connected,
    version: number,
    head: { firstByte: number; id?: number },
  ): string => {
    const payload = JSON.stringify({ v: 1, version, config: {} })
    return publishBytes(known.config, head.id, payload, head.firstByte).toString('hex')
  }
  const configure = ({ deviceId }: Connected, version: number) =>
    ingest.issuer.push({ type: 'config', data: { deviceId, version, config: {}, setAtMs: 0 } })

  async function listening(
    qos: 0 | 1,
    more: readonly string[] = [],
    claims: object = {},
  ): Promise<Connected> {
    const deviceId = `wire-${serial++}`
    const wire = await open()
    wire.send(connectBytes(deviceId, await broker.token(deviceId, claims)))
    expect(await wire.read(4)).toBe(accepted)
    const known = { wire, ...(await device({ deviceId })) }
    const filters = [known.config, ...more]
    wire.send(subscribeBytes(1, [[known.config, qos], ...more.map((filter) => [filter, 1] as const)]))
    const codes = filters.map((_, i) => (i === 0 ? `0${qos}` : '01')).join('')
    expect(await wire.read(4 + filters.length)).toBe(`90${`0${2 + filters.length}`}0001${codes}`)
    return known
  }
  const read = ({ wire }: Connected, digits: string) => wire.read(digits.length / 2)

  it('[MQTT-3.3.1-9] is not retained, [MQTT-3.3.1-1] no duplicate, and [MQTT-2.3.1-1] of QoS 1 numbered', async () => {
    const known = await listening(1)
    configure(known, 1)
    const expected = configured(known, 1, { firstByte: 0x32, id: 1 })
    expect(await read(known, expected)).toBe(expected)
  })

  it('[MQTT-3.3.1-2] of QoS 0 has no number and is no duplicate', async () => {
    const known = await listening(0)
    configure(known, 1)
    const expected = configured(known, 1, { firstByte: 0x30 })
    expect(await read(known, expected)).toBe(expected)
    await isQuiet(known.wire)
  })

  it('[MQTT-2.3.1-4] has another number while the one before is not acknowledged', async () => {
    const known = await listening(1)
    for (const version of [1, 2]) {
      configure(known, version)
      const expected = configured(known, version, { firstByte: 0x32, id: version })
      expect(await read(known, expected)).toBe(expected)
    }
  })

  it('[MQTT-3.3.5-1] of overlapping subscriptions has the highest QoS of them', async () => {
    const acl = [{ permission: 'allow', action: 'subscribe', topic: 'devices/${clientid}/#' }]
    const known = await listening(0, [`devices/wire-${serial}/#`], { acl })
    configure(known, 1)
    const expected = configured(known, 1, { firstByte: 0x32, id: 1 })
    expect(await read(known, expected)).toBe(expected)
    await isQuiet(known.wire)
  })

  it('[MQTT-3.10.4-2] comes no more after UNSUBSCRIBE', async () => {
    const known = await listening(1)
    known.wire.send(unsubscribeBytes(2, [known.config]))
    expect(await known.wire.read(4)).toBe('b0020002')
    configure(known, 1)
    const other = await listening(1)
    configure(other, 1)
    const expected = configured(other, 1, { firstByte: 0x32, id: 1 })
    expect(await read(other, expected)).toBe(expected)
    await isQuiet(known.wire)
  })
})

describe('UNSUBSCRIBE', () => {
  it('[MQTT-3.10.4-4] is answered with UNSUBACK, [MQTT-3.10.4-5] also of what was not subscribed to', async () => {
    const { wire, config } = await connected()
    wire.send(subscribeBytes(1, [[config, 1]]))
    expect(await wire.read(5)).toBe('9003000101')
    wire.send(unsubscribeBytes(2, [config]), unsubscribeBytes(3, ['never/heard', config]))
    expect(await wire.read(8)).toBe('b0020002b0020003')
  })

  it.each([
    ['[MQTT-3.10.1-1] without its flags', unsubscribeBytes(1, ['a'], 0xa0)],
    ['[MQTT-3.10.3-2] of nothing', unsubscribeBytes(1, [])],
    ['[MQTT-2.3.1-1] without a packet identifier', unsubscribeBytes(0, ['a'])],
  ])('%s closes the connection', async (_what, bytes) => {
    const { wire } = await connected()
    wire.send(bytes)
    expect(await wire.end()).toBe('')
  })
})

describe('the rest', () => {
  it('[MQTT-3.12.4-1] PINGREQ is answered with PINGRESP', async () => {
    const { wire } = await connected()
    wire.send(pingreq, pingreq)
    expect(await wire.read(4)).toBe(pingresp + pingresp)
  })

  it('[MQTT-3.14.4-2] DISCONNECT closes the connection, and nothing behind it is handled', async () => {
    const { wire, readings } = await connected()
    wire.send(disconnect, publishBytes(readings, 1), pingreq)
    expect(await wire.end()).toBe('')
  })

  it.each([
    ['[MQTT-2.2.2-2] PINGREQ with flags', Buffer.from([0xc1, 0])],
    ['[MQTT-3.14.1-1] DISCONNECT with flags', Buffer.from([0xe1, 0])],
    ['[MQTT-4.8.0-1] packet type 0', Buffer.from([0x00, 0])],
    ['[MQTT-4.8.0-1] packet type 15', Buffer.from([0xf0, 0])],
    ['[MQTT-4.8.0-1] CONNACK, which is the server’s', Buffer.from([0x20, 2, 0, 0])],
    ['[MQTT-4.8.0-1] SUBACK, which is the server’s', Buffer.from([0x90, 3, 0, 1, 0])],
    ['[MQTT-4.8.0-1] UNSUBACK, which is the server’s', Buffer.from([0xb0, 2, 0, 1])],
    ['[MQTT-4.8.0-1] PINGRESP, which is the server’s', Buffer.from([0xd0, 0])],
    ['[MQTT-3.6.1-1] PUBREL without its flags', Buffer.from([0x60, 2, 0, 1])],
    ['[MQTT-4.8.0-1] PUBREL, since there is no QoS 2', Buffer.from([0x62, 2, 0, 1])],
    ['[MQTT-4.8.0-1] PUBREC, since there is no QoS 2', Buffer.from([0x50, 2, 0, 1])],
    ['[MQTT-2.2.3] a Remaining Length of five bytes', Buffer.from([0x32, 0xff, 0xff, 0xff, 0xff, 0x01])],
  ])('%s closes the connection', async (_what, bytes) => {
    const { wire } = await connected()
    wire.send(bytes)
    expect(await wire.end()).toBe('')
  })

  it('[MQTT-4.8.0-1] PUBACK and PUBCOMP of what was never delivered change nothing', async () => {
    const { wire, readings } = await connected()
    wire.send(Buffer.from([0x40, 2, 0, 9, 0x70, 2, 0, 9]), publishBytes(readings, 3))
    expect(await wire.read(4)).toBe('40020003')
  })

  // Fifteen seconds is the shortest keep-alive that is offered.
  it.runIf(process.env.LOTWATCH_TEST_LONG === 'true')(
    '[MQTT-3.1.2-24] silence for one and a half times the keep-alive closes the connection',
    async () => {
      const { wire } = await connected({ keepAliveSec: 15 })
      const askedMs = performance.now()
      expect(await wire.end(30_000)).toBe('')
      expect(performance.now() - askedMs).toBeGreaterThan(22_000)
    },
    60_000,
  )

  it('leaves no token in the log', () => {
    expect(broker.program.lines.length).toBeGreaterThan(50)
    for (const line of broker.program.lines) expect(line).not.toContain('eyJ')
  })
})
