import { afterEach, expect, it } from 'vitest'
import { PresenceBook } from '../../../broker/presence.ts'
import { type PresenceReporter, reportPresence } from '../../../broker/presence-report.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import type { PresenceReport } from '../../../core/contract/downlink.ts'
import { FleetError } from '../../../core/contract/errors.ts'

let reporter: PresenceReporter | undefined
afterEach(() => reporter?.stop(0))

/** Provisioning takes each report, unless it is away. */
function setUp() {
  const provisioning = { isAway: false, reports: [] as PresenceReport[], states: [] as boolean[] }
  const book = new PresenceBook({
    brokerId: 'b1',
    now: () => 5,
    onSuperseded: () => undefined,
    onTakenOver: () => undefined,
    onNews: () => reporter?.poke(),
  })
  reporter = reportPresence({
    api: {
      async json<Answer>(_path: string, request: { body?: unknown } = {}) {
        if (provisioning.isAway) throw new FleetError('provisioning.unavailable', 'away')
        provisioning.reports.push(request.body as PresenceReport)
        return { superseded: [], isNew: false } as Answer
      },
    },
    brokerId: 'b1',
    book,
    now: () => 5,
    random: () => 0.01,
    onState: ({ arrives }) => provisioning.states.push(arrives),
  })
  const connect = (i: number) => {
    const deviceId = parseDeviceId(`gate-${i}`) as DeviceId
    book.connected({ deviceId, connectionId: String(i), remoteAddress: 'x' })
  }
  const told = () => provisioning.reports.flatMap(({ presence }) => presence.map(({ deviceId }) => deviceId))
  return { provisioning, connect, told }
}

it('speaks when it starts, tells news soon, and many of them in few reports, each later than the one before', async () => {
  const { provisioning, connect, told } = setUp()
  await expect.poll(() => provisioning.reports.length).toBe(1)
  for (let i = 0; i < 200; i++) {
    connect(i)
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await expect.poll(() => told().length).toBe(200)
  expect(provisioning.reports.length).toBeLessThan(20)
  const moments = provisioning.reports.map(({ sentAtMs }) => sentAtMs)
  expect(moments).toEqual([...new Set(moments)].toSorted((a, b) => a - b))
})

it('keeps what does not arrive, and says once that it does not and once that it does', async () => {
  const { provisioning, connect, told } = setUp()
  provisioning.isAway = true
  connect(1)
  await expect.poll(() => provisioning.states).toEqual([false])
  connect(2)
  provisioning.isAway = false
  await expect.poll(() => told().toSorted()).toEqual(['gate-1', 'gate-2'])
  expect(provisioning.states).toEqual([false, true])
})

it('says what is left before it stops', async () => {
  const { provisioning, connect, told } = setUp()
  await expect.poll(() => provisioning.reports.length).toBe(1)
  connect(1)
  connect(2)
  await reporter?.stop(5000)
  expect(told().toSorted()).toEqual(['gate-1', 'gate-2'])
})
