/**
 * What became of commands, on its way to provisioning: that a device has one, and what it answered.
 * That a command was delivered is kept and tried until provisioning has it, the oldest going when too many wait; it is
 * only for people. An answer waits no longer than the deadline: its device has it, and brings it again.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { DeviceId } from '../core/contract/device.ts'
import type { CommandOutcome } from '../core/contract/downlink.ts'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import type { Api } from '../core/runtime/fetch.ts'
import { Turns } from './turns.ts'

/** `passed_over`: provisioning knows no such command of this device, or has an end for it already. */
export type OutcomeAnswer = 'taken' | 'passed_over'

export interface Outcomes {
  delivered(deviceId: DeviceId, commandId: string): void
  /**
   * Resolves when provisioning has said its word.
   * @throws FleetError `provisioning.unavailable` at the deadline; `system.busy` when too many wait
   */
  answered(commandId: string, outcome: CommandOutcome): Promise<OutcomeAnswer>
  /** Commands delivered of which provisioning does not know yet. */
  readonly waitingCount: number
  stop(): void
}

/** At 16 KiB each they fill 16 MiB. */
const answersMax = 1000
const deliveredMax = 10_000
const answersAtOnce = 8
const retryMs = { minMs: 100, maxMs: 5000 }

export function createOutcomes(options: {
  api: Pick<Api, 'json'>
  deadlineMs: number
  random: () => number
  /** Monotonic milliseconds. */
  nowMs: () => number
  /** That a command was delivered will not be told: too many of them wait. */
  onDropped: (commandId: string) => void
}): Outcomes {
  const { api, deadlineMs, random, nowMs } = options
  const turns = new Turns(answersAtOnce)
  /** Oldest first. */
  const delivered = new Map<string, DeviceId>()
  const stopped = new AbortController()
  let isTelling = false
  let answers = 0

  async function tell(commandId: string, outcome: CommandOutcome, timeoutMs: number): Promise<OutcomeAnswer> {
    try {
      const path = `/v1/commands/${encodeURIComponent(commandId)}/outcome`
      await api.json(path, { method: 'POST', body: outcome, timeoutMs })
      return 'taken'
    } catch (error) {
      if (isFleetError(error) && error.kind === 'invalid') return 'passed_over'
      throw error
    }
  }

  async function answer(commandId: string, outcome: CommandOutcome): Promise<OutcomeAnswer> {
    const endMs = nowMs() + deadlineMs
    const backoff = createBackoff({ ...retryMs, random })
    for (;;) {
      const endTurn = await turns.take()
      try {
        return await tell(commandId, outcome, Math.max(1, Math.ceil(endMs - nowMs())))
      } catch (error) {
        const waitMs = backoff.next()
        if (stopped.signal.aborted || nowMs() + waitMs >= endMs) throw error
        await delay(waitMs, undefined, { signal: stopped.signal })
      } finally {
        endTurn()
      }
    }
  }

  /** One after the other: there is no hurry. */
  async function tellDelivered(): Promise<void> {
    const backoff = createBackoff({ ...retryMs, random })
    for (;;) {
      const [first] = delivered
      if (first === undefined || stopped.signal.aborted) {
        isTelling = false
        return
      }
      const [commandId, deviceId] = first
      try {
        await tell(commandId, { deviceId, state: 'delivered' }, deadlineMs)
        delivered.delete(commandId)
        backoff.reset()
      } catch {
        // Whatever it was: provisioning being away is told by the feed, and the next try may be better.
        await delay(backoff.next(), undefined, { signal: stopped.signal }).catch(() => undefined)
      }
    }
  }

  return {
    get waitingCount() {
      return delivered.size
    },
    delivered(deviceId, commandId) {
      delivered.set(commandId, deviceId)
      const [oldest] = delivered.keys()
      if (delivered.size > deliveredMax && oldest !== undefined) {
        delivered.delete(oldest)
        options.onDropped(oldest)
      }
      if (isTelling) return
      isTelling = true
      void tellDelivered()
    },
    async answered(commandId, outcome) {
      if (answers >= answersMax) throw new FleetError('system.busy', 'too many answers wait for provisioning')
      answers++
      try {
        return await answer(commandId, outcome)
      } finally {
        answers--
      }
    },
    stop: () => stopped.abort(),
  }
}
