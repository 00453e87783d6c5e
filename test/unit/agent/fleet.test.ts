import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AgentProgress } from '../../../agent/agent.ts'
import { createConnectTurns, readFleetFile, startFleet } from '../../../agent/fleet.ts'
import type { Host } from '../../../agent/host.ts'
import { type FleetDevice, type FleetProgress, replayColumnsDefault } from '../../../core/contract/fleet.ts'
import { createLog } from '../../../core/runtime/log.ts'
import { eventually, makeDataDir } from '../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
beforeEach(() => {
  data = makeDataDir()
})
afterEach(() => data.remove())

const deviceOf = (deviceId: string): FleetDevice => ({
  deviceId,
  credentialFile: `devices/${deviceId}.json`,
  outboxDir: `/var/lib/outbox/${deviceId}`,
  sensor: {
    type: 'replay',
    file: '../parks.csv',
    key: 'A',
    columns: replayColumnsDefault,
    tz: 'UTC',
    shiftToNow: false,
  },
})

function write(value: unknown): string {
  const path = join(data.path, 'fleet.json')
  writeFileSync(path, JSON.stringify(value))
  return path
}

/** An agent that is as far as the test says. */
function agentAt(progress: Partial<AgentProgress>): Pick<Host, 'progress' | 'done' | 'stop'> {
  return {
    progress: () => ({ connected: true, kept: 0, settled: 0, queued: 0, finished: false, ...progress }),
    done: new Promise(() => undefined),
    stop: async () => undefined,
  }
}

describe('fleet file', () => {
  it('has paths from the folder it lies in', () => {
    const [device] = readFleetFile(write({ v: 1, devices: [deviceOf('a')] })).devices
    expect(device).toMatchObject({
      credentialFile: join(data.path, 'devices', 'a.json'),
      outboxDir: '/var/lib/outbox/a',
      sensor: { file: join(data.path, '..', 'parks.csv') },
    })
  })

  it('is refused with every fault named', () => {
    const { outboxDir: _, ...homeless } = deviceOf('a')
    expect(() =>
      readFleetFile(write({ v: 1, devices: [homeless, { ...deviceOf('b'), colour: 'red' }] })),
    ).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        faults: expect.arrayContaining([
          expect.stringContaining('/devices/0: must have required properties outboxDir'),
          expect.stringContaining('/devices/1/colour'),
        ]),
      }),
    )
  })

  it('is refused when it is not JSON, or not there', () => {
    writeFileSync(join(data.path, 'fleet.json'), '{')
    expect(() => readFleetFile(join(data.path, 'fleet.json'))).toThrow(/cannot be read/)
    expect(() => readFleetFile(join(data.path, 'none.json'))).toThrow(/cannot be read/)
  })
})

describe('fleet', () => {
  it('reports the sum of its devices, and that it has finished when the last of them has', async () => {
    const reports: FleetProgress[] = []
    const last = { finished: false }
    const fleet = await startFleet({
      devices: ['a', 'b', 'c'].map(deviceOf),
      openDevice: async ({ deviceId }) => {
        if (deviceId === 'c') throw new Error('no credential')
        const rest = agentAt({ kept: 10, settled: 7, queued: 3, finished: true })
        return deviceId === 'a' ? rest : { ...rest, progress: () => ({ ...rest.progress(), ...last }) }
      },
      brokenLines: () => 1,
      report: (progress) => reports.push(progress),
      log: createLog({ program: 'agent', level: 'silent' }),
    })
    const sum = { devices: 3, connected: 2, failed: 1, kept: 20, settled: 14, queued: 6, brokenLines: 1 }
    expect(fleet.progress()).toEqual({ ...sum, finished: false })
    last.finished = true
    await eventually(() => reports.some(({ finished }) => finished))
    await fleet.stop()
    expect(reports.at(-1)).toEqual({ ...sum, finished: true })
  })

  it('lets a few devices connect at a time, and the next when one is done', async () => {
    const inTurn = createConnectTurns(() => 0)
    const release: (() => void)[] = []
    const attempts = Array.from({ length: 40 }, () =>
      inTurn(() => new Promise<void>((resolve) => release.push(resolve))),
    )
    await eventually(() => release.length === 16)
    release[0]?.()
    await eventually(() => release.length === 17)
    for (let i = 1; i < 40; i++) {
      await eventually(() => release.length > i)
      release[i]?.()
    }
    await Promise.all(attempts)
    expect(release).toHaveLength(40)
  })
})
