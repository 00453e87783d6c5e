/**
 * The boards that devices run on. Two boards that show one identity are a copied card or a stolen credential: an alarm
 * names both, once, until it is acknowledged.
 */
import type { Alarm } from '../../core/contract/downlink.ts'
import type { Board } from '../../core/contract/registry.ts'
import { areTheSame, judgeBoard } from '../board.ts'
import type { Change, RegistryView } from '../repository/repository.ts'
import { type By, type Changes, notFound } from './changes.ts'

export interface Boards {
  /** A device showed which board it runs on. Passed over: a device nobody knows, and one that shows another again and again. */
  seen(deviceId: string, board: Board): Promise<void>
  /** @throws FleetError `request.not_found` */
  acknowledge(by: By, alarmId: number): Promise<Alarm>
}

/**
 * News of one device's board that are written down at once, and then one every so often: a device that shows another board
 * with each token it gets would fill the registry, and keep everybody else from changing it.
 */
const newsAtOnce = 10
const newsEveryMs = 60_000
const devicesMax = 20_000

/** Of the newest alarms: older ones that nobody looked at are raised again. */
const alarmsLookedAt = 200

export function createBoards({ changes, now }: { changes: Changes; now: () => number }): Boards {
  /** When each device will have all its allowance again, Unix milliseconds; least recently heard of first. */
  const spentUntil = new Map<string, number>()
  function mayTell(deviceId: string): boolean {
    const nowMs = now()
    // A clock that was set back holds nobody up for longer than it takes to get all of it again.
    const spentMs = Math.min(Math.max(0, (spentUntil.get(deviceId) ?? 0) - nowMs), newsAtOnce * newsEveryMs)
    if (spentMs > (newsAtOnce - 1) * newsEveryMs) return false
    spentUntil.delete(deviceId)
    spentUntil.set(deviceId, nowMs + spentMs + newsEveryMs)
    const [first] = spentUntil.keys()
    if (spentUntil.size > devicesMax && first !== undefined) spentUntil.delete(first)
    return true
  }

  return {
    async seen(deviceId, board) {
      if (!mayTell(deviceId)) return
      await changes.make({ actor: deviceId }, async (view) => ({
        changes: await changesFor(view, deviceId, board),
        answer: undefined,
      }))
    },
    acknowledge(by, alarmId) {
      return changes.make(by, async (view) => {
        const before = await view.findAlarm(alarmId)
        if (before === undefined) throw notFound(`there is no alarm ${alarmId}`)
        if (before.acknowledgedAtMs !== null) return { answer: before }
        const alarm: Alarm = { ...before, acknowledgedAtMs: now() }
        const { actor } = by
        const audit = {
          actor,
          verb: 'alarm.acknowledged',
          subject: before.subject,
          before,
          after: alarm,
        } as const
        return { changes: [{ audit, alarm }], answer: alarm }
      })
    },
  }
}

/** What it means that a device runs on a board; also part of an enrolment. */
export async function changesFor(
  view: RegistryView,
  deviceId: string,
  seen: Board,
): Promise<readonly Change[]> {
  const device = await view.findDevice(deviceId)
  if (device === undefined) return []
  const known = device.board
  const verdict = judgeBoard(known, seen)
  if (verdict === 'same') return []
  const noted: Change = {
    audit: { actor: deviceId, verb: 'device.board_changed', subject: deviceId, before: known, after: seen },
    device: { ...device, board: seen },
  }
  if (verdict === 'rebooted') return [noted]
  const isOpen = (await view.alarms({ limit: alarmsLookedAt })).some(
    ({ subject, acknowledgedAtMs, detail }) =>
      subject === deviceId && acknowledgedAtMs === null && areTheSame(detail, seen, known),
  )
  if (isOpen) return [noted]
  const detail = { known, seen }
  return [
    {
      ...noted,
      audit: { actor: deviceId, verb: 'alarm.raised', subject: deviceId, before: known, after: seen },
      newAlarm: { kind: 'board.conflict', subject: deviceId, detail },
    },
  ]
}
