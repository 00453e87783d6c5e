/** The agent on a disk that takes nothing any more, and then does again. */
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ReadingsMessage } from '../../core/contract/payload.ts'
import { describeWithMount } from '../kit/needs.ts'
import { eventually, makeDataDir, type Program, startProgram } from '../kit/program.ts'
import { mountDisk, type SmallDisk } from '../kit/small-disk.ts'
import {
  startTestBroker,
  startTestIssuer,
  type TestBroker,
  type TestIssuer,
  writeCredential,
} from '../unit/agent/peers.ts'

describeWithMount()('an agent whose disk is full', () => {
  let data: ReturnType<typeof makeDataDir>
  let disk: SmallDisk
  let broker: TestBroker
  let issuer: TestIssuer
  let program: Program

  beforeEach(async () => {
    data = makeDataDir()
    disk = mountDisk(join(data.path, 'disk'), { bytes: 4 * 1024 * 1024 })
    broker = await startTestBroker()
    issuer = await startTestIssuer()
    program = await startProgram('agent', {
      args: ['run'],
      env: {
        LOT_AGENT_CREDENTIAL_FILE: writeCredential(join(data.path, 'north-1.json'), {
          deviceId: 'north-1',
          brokerUrl: broker.url,
          tokenEndpoint: issuer.tokenEndpoint,
        }),
        LOT_AGENT_OUTBOX_DIR: join(disk.path, 'outbox'),
        LOT_AGENT_FLUSH_EVERY_MS: '0',
        LOT_AGENT_SENSOR_TYPE: 'exec',
        LOT_AGENT_EXEC_COMMAND: '/bin/echo,7',
        LOT_AGENT_SCHEDULE: '* * * * * *',
      },
    })
  })
  afterEach(async () => {
    await program.kill()
    disk.unmount()
    await broker.stop()
    issuer.stop()
    data.remove()
  })

  const readings = () =>
    broker.published
      .filter(({ topic }) => topic.endsWith('/readings'))
      .flatMap(({ payload }) => (JSON.parse(payload) as ReadingsMessage).readings)
  const says = (event: string) => program.lines.some((line) => line.includes(event))

  it('goes on counting, and keeps and sends all of it once there is room again', async () => {
    await eventually(() => readings().length > 0)
    disk.fill()
    // The page that its log ends in takes a few more.
    await eventually(() => says('outbox.unavailable'), 60_000)
    const fullAtMs = Date.now()
    // Some readings fall into the time without a disk.
    await eventually(() => Date.now() - fullAtMs > 3000)
    disk.free()
    const freedAtMs = Date.now()
    await eventually(() => says('outbox.recovered'), 60_000)
    await eventually(() => readings().some(({ timestampMs }) => timestampMs > freedAtMs))

    const seqs = [...new Set(readings().map(({ seq = -1 }) => seq))].sort((a, b) => a - b)
    expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, seq) => seq))
    const between = readings().filter(({ timestampMs }) => timestampMs > fullAtMs && timestampMs < freedAtMs)
    expect(new Set(between.map(({ seq }) => seq)).size).toBeGreaterThanOrEqual(2)
  }, 120_000)
})
