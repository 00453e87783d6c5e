/** The agent's archive as a device has it: unpacked into an empty folder, run by a Node of one's choice, killed and started again. */
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ReadingsMessage } from '../../core/contract/payload.ts'
import { startTestBroker, startTestIssuer, type TestBroker, writeCredential } from '../unit/agent/peers.ts'
import { eventually, type Program, startProgram } from './program.ts'

/** A device counts, is killed with readings unsettled, comes back with the same outbox, and delivers them. */
export async function expectToSurviveAKill(options: {
  readonly program: string
  readonly folder: string
  readonly node?: readonly string[]
  readonly deadlineMs: number
}): Promise<void> {
  const { program, folder, deadlineMs } = options
  const [broker, issuer] = await Promise.all([startTestBroker(), startTestIssuer()])
  const running: Program[] = []
  const start = async () => {
    const one = await startProgram(program, {
      args: ['run'],
      startMs: deadlineMs,
      ...(options.node === undefined ? {} : { node: options.node }),
      env: {
        LOT_AGENT_CREDENTIAL_FILE: writeCredential(join(folder, 'credentials.json'), {
          deviceId: 'archived',
          brokerUrl: broker.url,
          tokenEndpoint: issuer.tokenEndpoint,
        }),
        LOT_AGENT_OUTBOX_DIR: join(folder, 'outbox'),
        LOT_AGENT_SIMULATED_HISTORY_DAYS: '1',
        LOT_AGENT_RECONNECT_MIN_MS: '20',
        LOT_AGENT_RECONNECT_MAX_MS: '200',
      },
    })
    running.push(one)
    return one
  }
  try {
    broker.acknowledges = false
    const first = await start()
    const before = await eventually(() => readingsOf(broker)[0], deadlineMs)
    await first.kill()

    broker.published.length = 0
    broker.acknowledges = true
    const second = await start()
    const after = await eventually(() => readingsOf(broker)[0], deadlineMs)
    expect(after.epoch).toBe(before.epoch)
    expect(after.readings[0]).toEqual(before.readings[0])
    expect(await second.stop()).toBe(0)
  } finally {
    for (const one of running) await one.kill()
    await broker.stop()
    issuer.stop()
  }
}

function readingsOf(broker: TestBroker): ReadingsMessage[] {
  return broker.published
    .filter(({ topic }) => topic.endsWith('/readings'))
    .map(({ payload }) => JSON.parse(payload) as ReadingsMessage)
    .sort((a, b) => (a.readings[0]?.seq ?? 0) - (b.readings[0]?.seq ?? 0))
}
