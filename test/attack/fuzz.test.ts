/**
 * Mutated and truncated packets from strangers and from admitted devices, while one device does its work. Twenty seconds
 * here, ten minutes with LOTWATCH_TEST_LONG=true (`npm run test:long`). The seed is in the test's name;
 * LOTWATCH_TEST_SEED plays another.
 */
import { generate } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BrokerUnderTest, startBroker } from '../kit/broker.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'
import { heldBy, inspectable } from '../kit/inspector.ts'
import { connectPacket, publishPacket, type RawClient } from '../kit/mqtt.ts'
import { eventually } from '../kit/program.ts'
import { randomFrom } from '../kit/random.ts'

const lastsMs = process.env.LOTWATCH_TEST_LONG === 'true' ? 600_000 : 20_000
const seed = Number(process.env.LOTWATCH_TEST_SEED ?? 20_261_124)
const strangers = 12
/** What the log's own buffers and code that was just compiled may take. */
const slackBytes = 8 * 1024 * 1024

describe('malformed packets', () => {
  let ingest: IngestUnderTest
  let broker: BrokerUnderTest

  beforeAll(async () => {
    ingest = await startIngest()
    broker = await startBroker({
      issuer: ingest.issuer,
      ingestUrl: ingest.url(),
      // What is looked for here lies behind the limits.
      nodeOptions: inspectable,
      env: {
        LOTWATCH_BROKER_CONNECT_TIMEOUT_MS: '1000',
        LOTWATCH_BROKER_ATTEMPTS_PER_ADDRESS_BURST: '1000000',
        LOTWATCH_BROKER_ATTEMPTS_BURST: '1000000',
      },
    })
  })
  afterAll(async () => {
    process.stderr.write(
      broker.program.lines
        .filter((l) => /error|fatal|Error/.test(l) || !l.startsWith('{'))
        .slice(-5)
        .join('\n'),
    )
    await broker.stop()
    await ingest.stop()
  })

  it(
    `neither end the broker nor hold up a device nor stay in its memory (seed ${seed})`,
    async () => {
      const random = randomFrom(seed)
      const below = (limit: number) => Math.floor(random() * limit)
      const valid = await validPackets(broker)
      const behaved = await broker.connect('behaved')
      expect((await behaved.next('connack')).returnCode).toBe(0)
      await publishAndWait(behaved, 1)
      const idle = await heldBy(broker.program)

      const endMs = performance.now() + lastsMs
      let connections = 0
      const stranger = async (at: number) => {
        while (performance.now() < endMs) {
          const client = await broker.open(`127.0.4.${at + 1}`)
          connections++
          try {
            // Half of them are let in first: what is behind CONNACK is fuzzed as much as what is before it.
            if (random() < 0.5) {
              client.write(valid.connects[at] as Buffer) // one for each stranger
              await eventually(() => client.isClosed || client.packets.length > 0, 5000, 2)
            }
            for (let n = below(6); n >= 0 && !client.isClosed; n--) {
              client.write(mutate(valid.packets[below(valid.packets.length)] as Buffer, random)) // within
              await new Promise(setImmediate)
            }
          } finally {
            client.close()
          }
        }
      }
      const tookMs: number[] = []
      const work = async () => {
        for (let id = 2; performance.now() < endMs; id = (id % 60_000) + 1) {
          const startMs = performance.now()
          await publishAndWait(behaved, id)
          tookMs.push(performance.now() - startMs)
        }
      }
      await Promise.all([work(), ...Array.from({ length: strangers }, (_, at) => stranger(at))])

      expect(connections).toBeGreaterThan(100)
      tookMs.sort((a, b) => a - b)
      expect(tookMs.length).toBeGreaterThan(20)
      expect(tookMs[Math.floor(tookMs.length * 0.99)]).toBeLessThan(1000)
      expect(behaved.isClosed).toBe(false)
      expect(broker.program.process.exitCode).toBeNull()
      await eventually(async () => (await metric('lotwatch_broker_connections')) === 1)
      expect(await metric('lotwatch_broker_buffered_bytes')).toBe(0)
      const held = await heldBy(broker.program)
      expect(held.heapBytes + held.externalBytes).toBeLessThan(
        idle.heapBytes + idle.externalBytes + slackBytes,
      )
      for (const line of broker.program.lines) expect(line).not.toMatch(/eyJ|"level":"(error|fatal)"/)
    },
    lastsMs + 60_000,
  )

  async function metric(name: string): Promise<number> {
    const lines = (await (await fetch(`${broker.url}/metrics`)).text()).split('\n')
    return Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1])
  }
})

async function publishAndWait(client: RawClient, id: number): Promise<void> {
  client.publish(id, 'devices/behaved/readings', '{}')
  await eventually(() => client.packets.pop()?.cmd === 'puback', 10_000, 2)
}

async function validPackets(broker: BrokerUnderTest): Promise<{ connects: Buffer[]; packets: Buffer[] }> {
  const topic = 'devices/fuzz-0/readings'
  const connects = await Promise.all(
    Array.from({ length: strangers }, async (_, at) => {
      const deviceId = `fuzz-${at}`
      const password = Buffer.from(await broker.token(deviceId))
      return Buffer.from(generate(connectPacket({ clientId: deviceId, username: deviceId, password })))
    }),
  )
  const will = { topic, payload: Buffer.from('x'), qos: 1 as const, retain: true }
  const packets = [
    connectPacket({ will }),
    connectPacket({ protocolVersion: 5 } as Parameters<typeof connectPacket>[0]),
    publishPacket(1, topic, '{"v":1,"readings":[]}'),
    publishPacket(2, topic, 'x'.repeat(3000), 2),
    publishPacket(3, 'authz-info', 'not a token'),
    {
      cmd: 'subscribe' as const,
      messageId: 4,
      subscriptions: [
        { topic: 'devices/fuzz-0/config', qos: 1 as const },
        { topic: '#', qos: 2 as const },
      ],
    },
    { cmd: 'unsubscribe' as const, messageId: 5, unsubscriptions: ['devices/fuzz-0/config'] },
    { cmd: 'puback' as const, messageId: 6 },
    { cmd: 'pubrel' as const, messageId: 7 },
    { cmd: 'pubrec' as const, messageId: 8 },
    { cmd: 'pingreq' as const },
    { cmd: 'disconnect' as const },
  ].map((packet) => Buffer.from(generate(packet)))
  return { connects, packets: [...connects, ...packets] }
}

/** Cuts, flips, doubles, or makes up bytes; one in eight stays as it was. */
function mutate(original: Buffer, random: () => number): Buffer {
  const bytes = Buffer.from(original)
  const below = (limit: number) => Math.floor(random() * limit)
  switch (below(8)) {
    case 0:
      return bytes
    case 1:
      return bytes.subarray(0, below(bytes.length))
    case 2:
      return Buffer.from(Array.from({ length: below(64) }, () => below(256)))
    case 3:
      // The Remaining Length, which everything else hangs on.
      bytes.set([below(256), below(256)].slice(0, bytes.length - 1), 1)
      return bytes
    case 4:
      bytes[0] = below(256)
      return bytes
    case 5:
      return Buffer.concat([bytes, bytes.subarray(below(bytes.length))])
    default:
      for (let flips = 1 + below(6); flips > 0; flips--) bytes[below(bytes.length)] = below(256)
      return bytes
  }
}
