import { expect, it } from 'vitest'
import { Downlink, type Receiver } from '../../../broker/downlink.ts'
import type { Delivered } from '../../../broker/engine/engine.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import type { Command } from '../../../core/contract/downlink.ts'
import { emptySnapshot } from '../../kit/issuer.ts'

const deviceId = parseDeviceId('gate-1') as DeviceId

/** A connection that acknowledges when the test says so. */
class TestReceiver implements Receiver {
  readonly deviceId = deviceId
  readonly sent: { topic: string; message: Record<string, unknown>; acknowledge: () => void }[] = []
  heard: (topic: string) => Delivered = () => 'sent'

  deliver(topic: string, payload: Uint8Array, acknowledge: () => void): Delivered {
    const delivered = this.heard(topic)
    if (delivered !== 'unheard')
      this.sent.push({ topic, message: JSON.parse(new TextDecoder().decode(payload)), acknowledge })
    return delivered
  }
  take(): Record<string, unknown>[] {
    return this.sent.splice(0).map(({ message, acknowledge }) => {
      acknowledge()
      return message
    })
  }
}

function setUp(limits = { windowMax: 2, waitingMax: 4 }) {
  const clock = { nowMs: 0 }
  const delivered: string[] = []
  const dropped: string[] = []
  const downlink = new Downlink({
    limits,
    now: () => clock.nowMs,
    onDelivered: (_device, commandId) => delivered.push(commandId),
    onDropped: (_device, commandId) => dropped.push(commandId),
  })
  return { downlink, delivered, dropped, clock }
}

const command = (commandId: string, more: Partial<Command> = {}): Command => ({
  commandId,
  deviceId,
  name: 'ping',
  createdAtMs: 0,
  expiresAtMs: 1000,
  state: 'pending',
  changedAtMs: 0,
  ...more,
})
const hear = (downlink: Downlink, ...commands: Command[]) => {
  for (const data of commands) downlink.hear({ type: 'command', data })
}
const configure = (downlink: Downlink, version: number) =>
  downlink.hear({ type: 'config', data: { deviceId, version, config: { version }, setAtMs: 0 } })

it('sends what waited when the device subscribes, and what comes later at once', () => {
  const { downlink, delivered } = setUp({ windowMax: 8, waitingMax: 8 })
  const receiver = new TestReceiver()
  configure(downlink, 3)
  hear(downlink, command('a', { arguments: { occupied: 1 } }))
  expect(receiver.sent).toEqual([])
  downlink.subscribed(receiver)
  expect(receiver.sent.map(({ topic }) => topic)).toEqual([
    'devices/gate-1/config',
    'devices/gate-1/commands',
  ])
  expect(receiver.take()).toEqual([
    { v: 1, version: 3, config: { version: 3 } },
    { v: 1, commandId: 'a', name: 'ping', arguments: { occupied: 1 }, expiresAtMs: 1000 },
  ])
  hear(downlink, command('b'))
  configure(downlink, 4)
  expect(receiver.take()).toMatchObject([{ commandId: 'b' }, { version: 4 }])
  expect(delivered).toEqual(['a', 'b'])
})

it('a command is delivered once, though the feed calls it pending for a while', () => {
  const { downlink } = setUp()
  const receiver = new TestReceiver()
  downlink.subscribed(receiver)
  hear(downlink, command('a'))
  receiver.take()
  hear(downlink, command('a'))
  downlink.hear({ type: 'snapshot', data: { ...emptySnapshot, commands: [command('a')] } })
  downlink.subscribed(new TestReceiver())
  expect(receiver.sent).toEqual([])
})

it('a command that was not acknowledged comes again on the next connection', () => {
  const { downlink, delivered } = setUp()
  const first = new TestReceiver()
  downlink.subscribed(first)
  hear(downlink, command('a'))
  expect(first.sent).toHaveLength(1)
  downlink.closed(first)
  const next = new TestReceiver()
  downlink.subscribed(next)
  expect(next.take()).toMatchObject([{ commandId: 'a' }])
  expect(delivered).toEqual(['a'])
})

it('a command that another broker delivered is not delivered here', () => {
  const { downlink } = setUp()
  hear(downlink, command('a'), command('a', { state: 'delivered' }))
  const receiver = new TestReceiver()
  downlink.subscribed(receiver)
  expect(receiver.sent).toEqual([])
  expect(downlink.waitingCount).toBe(0)
})

it('an expired command is not delivered', () => {
  const { downlink, clock } = setUp()
  hear(downlink, command('a'), command('b', { expiresAtMs: 2000 }))
  clock.nowMs = 1000
  const receiver = new TestReceiver()
  downlink.subscribed(receiver)
  expect(receiver.take()).toMatchObject([{ commandId: 'b' }])
  downlink.sweep()
  expect(downlink.waitingCount).toBe(0)
})

it('to a device that acknowledges nothing goes a window, and the oldest of what waits behind it is dropped', () => {
  const { downlink, dropped } = setUp()
  const receiver = new TestReceiver()
  downlink.subscribed(receiver)
  hear(downlink, ...['a', 'b', 'c', 'd', 'e'].map((name) => command(name)))
  expect(receiver.sent).toHaveLength(2)
  expect(dropped).toEqual(['a'])
  expect(downlink.waitingCount).toBe(4)
  const received = [receiver.take(), receiver.take(), receiver.take()].flat()
  expect(received.map(({ commandId }) => commandId)).toEqual(['a', 'b', 'c', 'd', 'e'])
})

it('of configurations that came while nothing was taken only the newest is sent', () => {
  const { downlink } = setUp({ windowMax: 1, waitingMax: 4 })
  const receiver = new TestReceiver()
  downlink.subscribed(receiver)
  for (const version of [1, 2, 3]) configure(downlink, version)
  expect(receiver.take()).toMatchObject([{ version: 1 }])
  expect(receiver.take()).toMatchObject([{ version: 3 }])
  expect(receiver.sent).toEqual([])
})

it('a device that listens to one topic gets what is on it', () => {
  const { downlink } = setUp()
  configure(downlink, 1)
  hear(downlink, command('a'))
  const receiver = new TestReceiver()
  receiver.heard = (topic) => (topic.endsWith('/commands') ? 'sent' : 'unheard')
  downlink.subscribed(receiver)
  expect(receiver.take()).toMatchObject([{ commandId: 'a' }])
})

it('a command sent with QoS 0 may not have arrived: it comes again with each SUBSCRIBE until it is answered', () => {
  const { downlink, delivered } = setUp()
  const receiver = new TestReceiver()
  receiver.heard = () => 'told'
  downlink.subscribed(receiver)
  hear(downlink, command('a'), command('b'))
  hear(downlink, command('a', { state: 'succeeded' }))
  receiver.sent.splice(0)
  downlink.subscribed(receiver)
  expect(receiver.sent.map(({ message }) => message.commandId)).toEqual(['b'])
  expect(delivered).toEqual([])
})

it('a snapshot replaces what was known, and what it brings is sent', () => {
  const { downlink } = setUp({ windowMax: 8, waitingMax: 8 })
  const receiver = new TestReceiver()
  configure(downlink, 1)
  downlink.subscribed(receiver)
  hear(downlink, command('gone'))
  receiver.take()
  const config = { deviceId, version: 2, config: {}, setAtMs: 0 }
  downlink.hear({ type: 'snapshot', data: { ...emptySnapshot, configs: [config], commands: [command('b')] } })
  expect(receiver.take()).toMatchObject([{ version: 2 }, { commandId: 'b' }])
})
