/**
 * What devices say of themselves: the newest status of each, since when it takes readings by which schedule, and which
 * of many statuses stay. One stays when something in it has changed, and otherwise one in a while. Pure.
 *
 * What a batch brings is looked at by `sift` and counts only when its commit has succeeded (`settle`).
 */
import type { DeviceId } from '../core/contract/device.ts'
import { timestampMsMin } from '../core/contract/reading.ts'
import { parseStatus, type StatusMessage } from '../core/contract/status.ts'
import type { DeviceStatus, ScheduleChange } from './store/store.ts'

/** Without a change, one status stays in so much time. */
export const beatMs = 15 * 60_000

export interface KnownStatus {
  readonly receivedAtMs: number
  /** Undefined where a client says something of its own. */
  readonly message: StatusMessage | undefined
}

interface Kept {
  readonly atMs: number
  /** What is compared to find a change. */
  readonly marks: string
}

/** What of a batch's statuses is to be written. */
export interface SiftedStatuses {
  readonly statuses: readonly DeviceStatus[]
  readonly schedules: readonly ScheduleChange[]
}

export class Statuses {
  readonly #newest = new Map<DeviceId, KnownStatus>()
  readonly #kept = new Map<DeviceId, Kept>()
  readonly #schedules = new Map<DeviceId, ScheduleChange[]>()

  /** What the store has, at start. */
  load(statuses: readonly DeviceStatus[], schedules: readonly ScheduleChange[]): void {
    for (const schedule of schedules) this.#addSchedule(schedule)
    this.settle({ statuses, schedules: [] })
  }

  newest(deviceId: DeviceId): KnownStatus | undefined {
    return this.#newest.get(deviceId)
  }

  /** In order of time; empty when the device never said. */
  schedulesOf(deviceId: DeviceId): readonly ScheduleChange[] {
    return this.#schedules.get(deviceId) ?? []
  }

  /** @param statuses the newest of each device in a batch */
  sift(statuses: readonly DeviceStatus[]): SiftedStatuses {
    const news: DeviceStatus[] = []
    const schedules: ScheduleChange[] = []
    for (const status of statuses) {
      const { deviceId, receivedAtMs } = status
      // One that comes again, or was overtaken, has said what it had to say.
      if (receivedAtMs <= (this.#newest.get(deviceId)?.receivedAtMs ?? Number.NEGATIVE_INFINITY)) continue
      const message = parseStatus(status.body)
      news.push({ ...status, history: message && this.#historyOf(deviceId, receivedAtMs, message) })
      const schedule = message && this.#scheduleOf(status, message)
      if (schedule !== undefined) schedules.push(schedule)
    }
    return { statuses: news, schedules }
  }

  settle({ statuses, schedules }: SiftedStatuses): void {
    for (const { deviceId, receivedAtMs, body, history } of statuses) {
      const message = parseStatus(body)
      this.#newest.set(deviceId, { receivedAtMs, message })
      if (history !== undefined && message !== undefined)
        this.#kept.set(deviceId, { atMs: receivedAtMs, marks: marksOf(message) })
    }
    for (const schedule of schedules) this.#addSchedule(schedule)
  }

  #historyOf(deviceId: DeviceId, receivedAtMs: number, message: StatusMessage): DeviceStatus['history'] {
    const kept = this.#kept.get(deviceId)
    if (kept === undefined || kept.marks !== marksOf(message)) return 'change'
    return receivedAtMs - kept.atMs >= beatMs ? 'beat' : undefined
  }

  #scheduleOf({ deviceId, receivedAtMs }: DeviceStatus, { schedule, clock }: StatusMessage) {
    // A clock that is not set says nothing of since when.
    const isKnown = clock.state === 'synced' && schedule.sinceMs >= timestampMsMin
    const sinceMs = isKnown ? Math.min(schedule.sinceMs, Math.floor(receivedAtMs)) : Math.floor(receivedAtMs)
    const last = this.schedulesOf(deviceId).at(-1)
    if (last !== undefined && last.cron === schedule.cron && (!isKnown || last.sinceMs >= sinceMs))
      return undefined
    return { deviceId, sinceMs, cron: schedule.cron }
  }

  #addSchedule(added: ScheduleChange): void {
    const known = this.#schedules.get(added.deviceId) ?? []
    const others = known.filter(({ sinceMs }) => sinceMs !== added.sinceMs)
    this.#schedules.set(
      added.deviceId,
      [...others, added].sort((a, b) => a.sinceMs - b.sinceMs),
    )
  }
}

/** What of a status is news when it changes; numbers that move all the time are not. */
function marksOf({
  version,
  schedule,
  epoch,
  dropped,
  clock,
  sensors,
  credential,
  bootId,
  config,
}: StatusMessage): string {
  return JSON.stringify([
    version,
    schedule.cron,
    epoch,
    dropped,
    clock.state,
    sensors.map(({ name, type, state }) => [name, type, state]),
    credential.credentialId,
    bootId,
    config,
  ])
}
