import { describe, expect, it } from 'vitest'
import { Attempts } from '../../../broker/attempts.ts'
import type { Authenticator, DevicePrincipal } from '../../../broker/authenticate.ts'
import { BarredDevices } from '../../../broker/barred.ts'
import { Downlink } from '../../../broker/downlink.ts'
import type { ConnectRequest, Link } from '../../../broker/engine/engine.ts'
import { Gate } from '../../../broker/gate.ts'
import type { Handover } from '../../../broker/handover.ts'
import type { Outcomes } from '../../../broker/outcomes.ts'
import { Revocations } from '../../../core/auth/revocations.ts'
import type { ConnectionEvent } from '../../../core/contract/connection.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import type { Contention } from '../../../core/contract/downlink.ts'
import { FleetError } from '../../../core/contract/errors.ts'
import type { FeedEvent } from '../../../core/contract/feed.ts'
import type { AclRule } from '../../../core/contract/principal.ts'
import { createLog } from '../../../core/runtime/log.ts'

const deviceId = parseDeviceId('gate-1') as DeviceId
const principal = {
  deviceId,
  oauthClientId: 'gate-1',
  tokenId: 't',
  credentialId: 'cred_1',
  issuedAtSec: 0,
  expiresAtSec: 3600,
  scopes: new Set<string>(['publish:readings', 'receive:commands']),
} as unknown as DevicePrincipal
const request: ConnectRequest = {
  mqttClientId: deviceId,
  username: deviceId,
  password: 'x',
  keepAliveSec: 60,
  remoteAddress: '',
}

/** The far side of the engine: a connection that goes when the test lets it. */
class TestLink implements Link {
  readonly remoteAddress = '192.0.2.1'
  isOpen = true
  letGo: () => void = () => undefined
  readonly gone = new Promise<void>((resolve) => {
    this.letGo = resolve
  })
  readonly acknowledged: number[] = []
  acknowledge(packetId: number): void {
    this.acknowledged.push(packetId)
  }
  deliver(): 'sent' {
    return 'sent'
  }
  close(): void {
    this.isOpen = false
  }
}

function setUp(
  authenticate = async () => principal,
  burst = 10,
  answered: Outcomes['answered'] = async () => 'taken',
  renew: Authenticator['renew'] = async () => principal,
) {
  const revocations = new Revocations()
  const barred = new BarredDevices()
  const events: ConnectionEvent[] = []
  const contended: Contention[] = []
  const gate = new Gate({
    authenticator: { authenticate, renew },
    attempts: new Attempts({ perAddressBurst: burst, perAddressPerSec: 1, burst, perSec: 1 }),
    revocations,
    barred,
    handover: { isAvailable: true } as Handover, // no reading is published here
    downlink: new Downlink({ now: () => 0, onDelivered: () => undefined }),
    outcomes: { answered },
    presence: {
      connected: () => undefined,
      closed: () => undefined,
      contended: (contention) => contended.push(contention),
    },
    onEvent: (event) => events.push(event),
    isFeedKnown: () => true,
    skewSec: 30,
    log: createLog({ program: 'test', level: 'silent' }),
    metrics: { refused: () => undefined, replied: () => undefined },
    now: () => 0,
    nowMs: () => 0,
  })
  return { gate, revocations, barred, events, contended }
}

it('a device that is revoked while its older connection is on its way out is not admitted', async () => {
  const { gate, revocations } = setUp()
  const older = new TestLink()
  await gate.connect(request, older)
  const taking = gate.connect(request, new TestLink())
  await Promise.resolve()
  revocations.apply({ of: 'credential', credentialId: 'cred_1', atMs: 1 })
  older.letGo()
  await expect(taking).rejects.toMatchObject({ code: 'token.revoked' })
  expect(gate.connectionCount).toBe(0)
})

it('a newer connection comes in when the older one is gone, and not before', async () => {
  const { gate } = setUp()
  const older = new TestLink()
  await gate.connect(request, older)
  let isIn = false
  const taking = gate.connect(request, new TestLink()).then(() => {
    isIn = true
  })
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  expect([older.isOpen, isIn]).toEqual([false, false])
  older.letGo()
  await taking
  expect(gate.connectionCount).toBe(1)
})

it('an identity that connections fight over is held, so that neither has it', async () => {
  const { gate, contended, events } = setUp()
  let link = new TestLink()
  await gate.connect(request, link)
  for (let takeover = 1; takeover <= 5; takeover++) {
    const next = new TestLink()
    link.letGo()
    await gate.connect(request, next)
    link = next
  }
  link.letGo()
  await expect(gate.connect(request, new TestLink())).rejects.toMatchObject({ code: 'device.contended' })
  await expect(gate.connect(request, new TestLink())).rejects.toMatchObject({ kind: 'unavailable' })
  expect(gate.connectionCount).toBe(0)
  expect(gate.decisions(deviceId)[0]).toMatchObject({ outcome: 'admitted' })
  expect(contended).toEqual([{ deviceId, addresses: ['192.0.2.1', '192.0.2.1'], holdMs: 60_000 }])
  expect(events.filter(({ type }) => type === 'taken_over')).toHaveLength(6)
  expect(events.at(-1)).toMatchObject({ type: 'contended', device: deviceId, byAddress: '192.0.2.1' })
})

it('a device that another broker has found to be fought over is held here too, and only for as long', async () => {
  const { gate } = setUp()
  const link = new TestLink()
  await gate.connect(request, link)
  const alarm = (heldUntilMs: number, more: object = {}) =>
    ({
      type: 'alarm',
      data: {
        alarmId: 1,
        kind: 'device.contended',
        subject: deviceId,
        detail: { addresses: ['192.0.2.1'], times: 1, heldUntilMs },
        atMs: 0,
        acknowledgedAtMs: null,
        ...more,
      },
    }) as const
  gate.heard(alarm(0)) // heard long after
  gate.heard(alarm(60_000, { acknowledgedAtMs: 1 }))
  gate.heard(alarm(60_000, { subject: 'gate-2' }))
  expect(link.isOpen).toBe(true)
  gate.heard(alarm(60_000))
  expect(link.isOpen).toBe(false)
  link.letGo()
  await expect(gate.connect(request, new TestLink())).rejects.toMatchObject({ code: 'device.contended' })
})

it('a connection that has a newer one elsewhere is closed, and no other', async () => {
  const { gate } = setUp()
  const link = new TestLink()
  const { connectionId } = await gate.connect(request, link)
  gate.superseded(deviceId, `${connectionId}0`)
  expect(link.isOpen).toBe(true)
  gate.superseded(deviceId, connectionId)
  expect(link.isOpen).toBe(false)
})

it('a delivery is checked again: what was revoked since the SUBSCRIBE gets nothing more', async () => {
  const { gate, revocations } = setUp()
  const peer = await gate.connect(request, new TestLink())
  expect(gate.mayReceive(peer, 'devices/gate-1/config', 1)).toBe(true)
  expect(gate.mayReceive(peer, 'devices/gate-2/config', 1)).toBe(false)
  revocations.apply({ of: 'credential', credentialId: 'cred_1', atMs: 1 })
  expect(gate.mayReceive(peer, 'devices/gate-1/config', 1)).toBe(false)
})

it('a delivery is checked with the quality of service that was granted', async () => {
  const topic = 'devices/gate-1/config'
  const acl: AclRule[] = [{ permission: 'allow', action: 'subscribe', topic, qos: [1] }]
  const { gate } = setUp(async () => ({ ...principal, acl }))
  const peer = await gate.connect(request, new TestLink())
  expect(gate.maySubscribe(peer, topic, 1)).toBe(true)
  expect(gate.mayReceive(peer, topic, 1)).toBe(true)
  expect(gate.mayReceive(peer, topic, 0)).toBe(false)
})

it('news of a device are about that device’s connection alone', async () => {
  let name = ''
  const { gate, barred } = setUp(async () => ({ ...principal, deviceId: name as DeviceId }), 64)
  const links = new Map<string, TestLink>()
  for (name of ['gate-1', 'gate-2']) {
    const link = new TestLink()
    links.set(name, link)
    await gate.connect({ ...request, mqttClientId: name }, link)
  }
  const asked: string[] = []
  const has = barred.has.bind(barred)
  barred.has = (deviceId) => {
    asked.push(deviceId)
    return has(deviceId)
  }
  const suspended: FeedEvent = {
    type: 'device',
    data: { deviceId: 'gate-2', name: '', state: 'suspended', registeredAtMs: 0, tags: [] },
  }

  barred.hear(suspended)
  gate.heard(suspended)

  expect([links.get('gate-1')?.isOpen, links.get('gate-2')?.isOpen]).toEqual([true, false])
  expect(asked).toEqual(['gate-2'])
})

it('a CONNECT beyond the allowance is asked to come back, and nobody looks at its token', async () => {
  let looked = 0
  const { gate } = setUp(async () => {
    looked++
    throw new FleetError('token.signature', 'forged')
  })
  for (let i = 0; i < 10; i++)
    await expect(gate.connect(request, new TestLink())).rejects.toMatchObject({ code: 'token.signature' })
  await expect(gate.connect(request, new TestLink())).rejects.toMatchObject({ kind: 'unavailable' })
  expect(looked).toBe(10)
})

it('a storm of good devices behind one address is let in, though no more than a few may fail there', async () => {
  const release: (() => void)[] = []
  let names = 0
  const { gate } = setUp(async () => {
    await new Promise<void>((resolve) => release.push(resolve))
    return { ...principal, deviceId: `gate-${++names}` as DeviceId }
  }, 64)
  const storm = Array.from({ length: 500 }, (_, i) =>
    gate.connect({ ...request, mqttClientId: `gate-${i}` }, new TestLink()),
  )
  const all = Promise.all(storm)
  while (names < 500) {
    for (const go of release.splice(0)) go()
    await Promise.resolve()
  }
  await all
  expect(gate.connectionCount).toBe(500)
})

describe('a reply', () => {
  const topic = `devices/${deviceId}/replies`
  const reply = (state: string) =>
    new TextEncoder().encode(JSON.stringify({ v: 1, commandId: 'cmd_1', state, result: { a: 1 } }))
  const packet = { packetId: 7, qos: 1, retain: false } as const

  async function connected(answered?: Outcomes['answered']) {
    const { gate } = setUp(undefined, undefined, answered)
    const link = new TestLink()
    return { gate, link, peer: await gate.connect(request, link) }
  }

  it('is acknowledged when provisioning has it, and not before', async () => {
    const told: unknown[] = []
    let take: (answer: 'taken') => void = () => undefined
    const { gate, link, peer } = await connected((...what) => {
      told.push(what)
      return new Promise((resolve) => (take = resolve))
    })
    expect(gate.publish(peer, topic, reply('succeeded'), packet)).toBe('apart')
    await Promise.resolve()
    expect(link.acknowledged).toEqual([])
    take('taken')
    await expect.poll(() => link.acknowledged).toEqual([7])
    expect(told).toEqual([['cmd_1', { deviceId, state: 'succeeded', reply: { result: { a: 1 } } }]])
  })

  it('closes the connection when provisioning cannot be told in time, so that the device brings it again', async () => {
    const { gate, link, peer } = await connected(async () => {
      throw new FleetError('provisioning.unavailable', 'away')
    })
    gate.publish(peer, topic, reply('failed'), packet)
    await expect.poll(() => link.isOpen).toBe(false)
    expect(link.acknowledged).toEqual([])
  })

  it.each([
    ['is no JSON', '{'],
    ['says another state', JSON.stringify({ v: 1, commandId: 'cmd_1', state: 'delivered' })],
    [
      'is larger than any reply',
      JSON.stringify({ v: 1, commandId: 'c', state: 'failed', result: 'x'.repeat(17_000) }),
    ],
  ])('that %s is acknowledged, and told nobody', async (_what, text) => {
    const { gate, link, peer } = await connected(async () => expect.fail('told'))
    gate.publish(peer, topic, new TextEncoder().encode(text), packet)
    expect(link.acknowledged).toEqual([7])
    expect(link.isOpen).toBe(true)
  })

  it('of which too many wait closes the connection', async () => {
    const { gate, link, peer } = await connected(() => new Promise(() => undefined))
    for (let packetId = 1; packetId <= 16; packetId++)
      gate.publish(peer, topic, reply('succeeded'), { ...packet, packetId })
    expect(link.isOpen).toBe(true)
    gate.publish(peer, topic, reply('succeeded'), { ...packet, packetId: 17 })
    expect(link.isOpen).toBe(false)
  })
})

describe('a renewal', () => {
  const token = new TextEncoder().encode('a token')

  /** With renewals that are decided when the test says so. */
  async function connected() {
    const decide: (() => void)[] = []
    const later = async () => {
      await new Promise<void>((resolve) => decide.push(resolve))
      return { ...principal, tokenId: 'later', expiresAtSec: 7200 }
    }
    const { gate, events, revocations } = setUp(undefined, undefined, undefined, later)
    const link = new TestLink()
    const peer = await gate.connect(request, link)
    const publish = (packetId: number) =>
      gate.publish(peer, 'authz-info', token, { packetId, qos: 1, retain: false })
    return { gate, peer, link, events, revocations, publish, decide: () => decide.shift()?.() }
  }

  it('is acknowledged when the connection stands on the new token', async () => {
    const { peer, link, publish, decide } = await connected()
    expect(publish(1)).toBe('apart')
    expect(link.acknowledged).toEqual([])
    decide()
    await expect.poll(() => link.acknowledged).toEqual([1])
    expect(peer.principal.tokenId).toBe('later')
  })

  it('while another is looked at closes the connection, however many tokens a device sends', async () => {
    const { link, publish, decide } = await connected()
    publish(1)
    publish(2)
    expect(link.isOpen).toBe(false)
    decide()
    expect(link.acknowledged).toEqual([])
  })

  it('after another is looked at like the first', async () => {
    const { link, publish, decide } = await connected()
    for (const packetId of [1, 2]) {
      publish(packetId)
      decide()
      await expect.poll(() => link.acknowledged).toContain(packetId)
    }
    expect(link.isOpen).toBe(true)
  })

  it('with a token that is revoked while it is looked at closes the connection', async () => {
    const { peer, link, revocations, publish, decide } = await connected()
    publish(1)
    revocations.apply({ of: 'token', tokenId: 'later', atMs: 1 })
    decide()
    await expect.poll(() => link.isOpen).toBe(false)
    expect(link.acknowledged).toEqual([])
    expect(peer.principal.tokenId).toBe('t')
  })

  it('of a connection that is gone by then is nothing that happened', async () => {
    const { gate, peer, link, events, publish, decide } = await connected()
    publish(1)
    link.close()
    gate.closed(peer, 'closed by the device')
    decide()
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    expect(events.map(({ type }) => type)).toEqual(['connected', 'disconnected'])
  })
})

it('nothing is delivered to a device whose token has expired beyond the skew, or was revoked', async () => {
  const { gate, revocations } = setUp(async () => ({ ...principal, expiresAtSec: -29 }))
  const expiring = await gate.connect(request, new TestLink())
  const topic = `devices/${deviceId}/commands`
  expect(gate.mayReceive(expiring, topic, 1)).toBe(true)
  expect(gate.mayReceive(expiring, 'devices/gate-2/commands', 1)).toBe(false)
  const { gate: later } = setUp(async () => ({ ...principal, expiresAtSec: -30 }))
  expect(later.mayReceive(await later.connect(request, new TestLink()), topic, 1)).toBe(false)
  revocations.apply({ of: 'credential', credentialId: 'cred_1', atMs: 1 })
  expect(gate.mayReceive(expiring, topic, 1)).toBe(false)
})
