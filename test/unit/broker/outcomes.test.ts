import { expect, it } from 'vitest'
import { createOutcomes } from '../../../broker/outcomes.ts'
import { type DeviceId, parseDeviceId } from '../../../core/contract/device.ts'
import { FleetError } from '../../../core/contract/errors.ts'
import type { Api } from '../../../core/runtime/fetch.ts'

const deviceId = parseDeviceId('gate-1') as DeviceId
const answer = { deviceId, state: 'succeeded', reply: { result: 1 } } as const

/** Provisioning as it answers: by what the test says, request by request. */
function setUp(answers: (() => Promise<unknown>)[], deadlineMs = 5000) {
  const asked: { path: string; body: unknown }[] = []
  const api: Pick<Api, 'json'> = {
    async json<Answer>(path: string, request: { body?: unknown } = {}) {
      asked.push({ path, body: request.body })
      return (await (answers.shift() ?? (async () => ({})))()) as Answer
    },
  }
  const outcomes = createOutcomes({
    api,
    deadlineMs,
    random: () => 0,
    nowMs: () => performance.now(),
    onDropped: () => undefined,
  })
  return { outcomes, asked }
}

const away = async () => {
  throw new FleetError('provisioning.unavailable', 'away')
}
const unknown = async () => {
  throw new FleetError('request.not_found', '404')
}

it('an answer is told with whose it is, again after a failure', async () => {
  const { outcomes, asked } = setUp([away, away])
  expect(await outcomes.answered('cmd_1', answer)).toBe('taken')
  expect(asked).toHaveLength(3)
  expect(asked[2]).toEqual({ path: '/v1/commands/cmd_1/outcome', body: answer })
})

it('an answer that provisioning will never take is not told again', async () => {
  const { outcomes, asked } = setUp([unknown])
  expect(await outcomes.answered('cmd_1', answer)).toBe('passed_over')
  expect(asked).toHaveLength(1)
})

it('an answer waits no longer than the deadline', async () => {
  const { outcomes } = setUp(Array(100_000).fill(away), 50)
  await expect(outcomes.answered('cmd_1', answer)).rejects.toMatchObject({ code: 'provisioning.unavailable' })
})

it('so many answers wait and no more', async () => {
  const { outcomes } = setUp(Array(2000).fill(() => new Promise(() => undefined)))
  for (let i = 0; i < 1000; i++) void outcomes.answered(`cmd_${i}`, answer)
  await expect(outcomes.answered('cmd_x', answer)).rejects.toMatchObject({ code: 'system.busy' })
})

it('that a command was delivered is told until provisioning has it', async () => {
  const { outcomes, asked } = setUp([away, unknown, away])
  for (const commandId of ['a', 'b', 'c']) outcomes.delivered(deviceId, commandId)
  await expect.poll(() => outcomes.waitingCount).toBe(0)
  expect(asked.map(({ path }) => path)).toEqual(
    ['a', 'a', 'b', 'b', 'c'].map((commandId) => `/v1/commands/${commandId}/outcome`),
  )
  expect(asked[0]?.body).toEqual({ deviceId, state: 'delivered' })
  outcomes.delivered(deviceId, 'd')
  await expect.poll(() => asked.length).toBe(6)
})
