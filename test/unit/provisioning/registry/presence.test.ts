import { afterEach, beforeEach, expect, it } from 'vitest'
import type { PresenceNews } from '../../../../core/contract/downlink.ts'
import { openRegistry, type RegistryKit } from '../kit.ts'

let kit: RegistryKit
beforeEach(async () => {
  kit = await openRegistry()
})
afterEach(() => kit.close())

/** By default of a broker whose clock is right. */
const report = (brokerId: string, presence: Partial<PresenceNews>[], sentAtMs = kit.clock.nowMs) =>
  kit.registry.presence.report({
    brokerId,
    sentAtMs,
    presence: presence.map((one) => ({
      deviceId: 'd1',
      connected: true,
      connectionId: '1',
      atMs: sentAtMs,
      ...one,
    })),
  })
const connected = async () => (await kit.repository.feedSnapshot()).snapshot.presence

it('a connect and a disconnect are known, and on the feed', async () => {
  expect(await report('b1', [{ address: '192.0.2.7' }])).toEqual({ superseded: [], isNew: true })
  expect(await connected()).toMatchObject([{ deviceId: 'd1', brokerId: 'b1', address: '192.0.2.7' }])
  kit.clock.nowMs += 1000
  expect(await report('b1', [{ connected: false }])).toEqual({ superseded: [], isNew: false })
  expect(await connected()).toEqual([])
  expect((await kit.events()).filter((type) => type === 'presence')).toHaveLength(2)
})

it('the connection that is older by the clock of provisioning is superseded, whatever the brokers’ clocks say', async () => {
  const { nowMs } = kit.clock
  await report('b1', [{}], nowMs + 3_600_000)
  kit.clock.nowMs += 5000
  const slowClock = nowMs - 3_600_000
  expect((await report('b2', [{ atMs: slowClock - 6000 }], slowClock)).superseded).toEqual(['1'])
  expect(await connected()).toMatchObject([{ brokerId: 'b1' }])
  kit.clock.nowMs += 1
  expect(
    (await report('b2', [{ connectionId: '2', atMs: slowClock - 1000 }], slowClock + 1)).superseded,
  ).toEqual([])
  expect(await connected()).toMatchObject([{ brokerId: 'b2', connectionId: '2', atMs: nowMs + 4000 }])
})

it('the late copy of a report changes nothing', async () => {
  const { nowMs } = kit.clock
  await report('b1', [{}], nowMs)
  await report('b1', [{ connected: false }], nowMs + 2)
  expect(await report('b1', [{}], nowMs)).toEqual({ superseded: [], isNew: false })
  expect(await connected()).toEqual([])
})

it('the connections of a broker that falls silent end, and it is asked for them when it is back', async () => {
  await report('b1', [{}, { deviceId: 'd2', connectionId: '2' }])
  await report('b2', [{ deviceId: 'd3' }])
  kit.clock.nowMs += 34_999
  expect(await kit.registry.presence.sweep()).toEqual([])
  await report('b2', [])
  kit.clock.nowMs += 1
  expect(await kit.registry.presence.sweep()).toEqual(['b1'])
  expect(await connected()).toMatchObject([{ deviceId: 'd3' }])
  expect((await report('b1', [])).isNew).toBe(true)
  await report('b1', [{}], kit.clock.nowMs + 1)
  expect(await connected()).toMatchObject([{ deviceId: 'd1' }, { deviceId: 'd3' }])
})

it('connections that fight over a device are one alarm with all addresses, until somebody has looked at it', async () => {
  const contended = async (brokerId: string, addresses: string[]) => {
    kit.clock.nowMs += 1
    const { nowMs: sentAtMs } = kit.clock
    const contention = { deviceId: 'd1', addresses, holdMs: 60_000 }
    await kit.registry.presence.report({ brokerId, sentAtMs, presence: [], contended: [contention] })
  }
  const alarms = () => kit.repository.alarms({ limit: 10 })
  await contended('b1', ['192.0.2.1', '192.0.2.2'])
  await contended('b2', ['192.0.2.2', '192.0.2.3'])
  expect(await alarms()).toMatchObject([
    {
      kind: 'device.contended',
      subject: 'd1',
      detail: {
        addresses: ['192.0.2.2', '192.0.2.3', '192.0.2.1'],
        times: 2,
        heldUntilMs: kit.clock.nowMs + 60_000,
      },
    },
  ])
  expect((await kit.events()).filter((type) => type === 'alarm')).toHaveLength(2)
  expect((await kit.verbs()).filter((verb) => verb === 'alarm.raised')).toHaveLength(1)
  await kit.registry.boards.acknowledge({ actor: 'operator' }, (await alarms())[0]?.alarmId ?? 0)
  await contended('b1', ['192.0.2.1', '192.0.2.2'])
  expect(await alarms()).toHaveLength(2)
})
