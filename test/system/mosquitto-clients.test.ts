/** Clients we did not write: Eclipse mosquitto's publish and subscribe through our broker into the store. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWithCommand, findCommand } from '../kit/needs.ts'
import { System } from '../kit/system.ts'

const run = promisify(execFile)

describeWithCommand('mosquitto_pub')('mosquitto’s clients', () => {
  let system: System
  let device: readonly string[]

  beforeAll(async () => {
    system = await System.start()
    const { credential } = await system.register('gate-1')
    const token = await system.deviceToken(credential)
    device = [
      '-h',
      '127.0.0.1',
      '-p',
      String(system.mqttPort),
      '-i',
      'gate-1',
      '-u',
      'gate-1',
      '-P',
      token,
      '-k',
      '60',
    ]
  })
  afterAll(async () => {
    await system.stop()
  })

  const publish = (topic: string, payload: string, ...more: string[]) =>
    run(findCommand('mosquitto_pub') ?? '', [...device, '-t', topic, '-m', payload, '-q', '1', ...more], {
      timeout: 10_000,
    })
  const payload = (timestampMs: number, occupied: number) =>
    JSON.stringify({ v: 1, readings: [{ timestampMs, occupied }] })

  it('publish a reading that is stored when the command returns', async () => {
    await publish('devices/gate-1/readings', payload(1_767_225_600_000, 17))
    const { rows } = await system.stored({ device: 'gate-1' })
    expect(rows).toMatchObject([{ occupied: 17, epoch: null, seq: null }])
  })

  it('may repeat themselves without an outbox, and it counts once', async () => {
    await publish('devices/gate-1/readings', payload(1_767_225_660_000, 18))
    await publish('devices/gate-1/readings', payload(1_767_225_660_000, 18))
    expect((await system.stored({ device: 'gate-1', from: '2026-01-01T00:01:00Z' })).rows).toHaveLength(1)
  })

  it.each([
    ['a topic of another device', 'devices/gate-2/readings', []],
    ['a retained reading', 'devices/gate-1/readings', ['-r']],
  ] as const)('are cut off when they publish %s', async (_what, topic, more) => {
    const before = (await system.stored()).rows.length
    // mosquitto_pub comes back after a lost connection and tries again; what it must never get is success.
    await expect(
      run(
        findCommand('mosquitto_pub') ?? '',
        [...device, '-t', topic, '-m', payload(1_767_225_720_000, 19), '-q', '1', ...more],
        { timeout: 2000 },
      ),
    ).rejects.toThrow()
    expect((await system.stored()).rows.length).toBe(before)
  })

  it('are told that they may not subscribe to everything', async () => {
    const { stdout, stderr } = await run(
      findCommand('mosquitto_sub') ?? '',
      [...device, '-t', '#', '-d', '-W', '2'],
      { timeout: 10_000 },
    ).catch((error: { stdout: string; stderr: string }) => error)
    expect(stdout + stderr).toMatch(/denied|128/i)
  })
})
