/** Who is connected where, as brokers report it: the newest connection of each device counts, and silent brokers lose theirs. */

import { Value } from 'typebox/value'
import {
  type Alarm,
  type Contention,
  ContentionDetail,
  type Presence,
  type PresenceAnswer,
  type PresenceReport,
  presenceSilentMs,
} from '../../core/contract/downlink.ts'
import { judgePresence } from '../presence.ts'
import type { Change, RegistryRepository, RegistryView } from '../repository/repository.ts'
import { notFound } from './changes.ts'

export interface PresenceDesk {
  /** What a broker says now. A report that was made before one that is known already changes nothing. */
  report(report: PresenceReport): Promise<PresenceAnswer>
  /** What was said last. @throws FleetError `request.not_found` for a device that was never connected */
  of(deviceId: string): Promise<Presence>
  /** Ends the connections of brokers that have been silent for too long. @returns those brokers */
  sweep(): Promise<readonly string[]>
}

/** Of the newest alarms: an older one that nobody looked at is raised again. */
const alarmsLookedAt = 200
const addressesMax = 8

export function createPresenceDesk(options: {
  repository: RegistryRepository
  /** Wall clock, Unix milliseconds. */
  now: () => number
}): PresenceDesk {
  const { repository, now } = options
  return {
    report: ({ brokerId, sentAtMs, presence, contended = [] }) =>
      repository.change(async (view) => {
        const heardAtMs = now()
        const before = (await view.brokers()).find((broker) => broker.brokerId === brokerId)
        // The first copy of a report that was sent again: what came since then is newer.
        if (before !== undefined && before.sentAtMs >= sentAtMs)
          return { answer: { superseded: [], isNew: false } }
        const latest = new Map(
          (await view.presenceOf(presence.map(({ deviceId }) => deviceId))).map((one) => [one.deviceId, one]),
        )
        const superseded: string[] = []
        const news = new Map<string, Presence>()
        for (const one of presence) {
          const atMs = Math.max(0, Math.min(heardAtMs, one.atMs + heardAtMs - sentAtMs))
          const said: Presence = { ...one, brokerId, atMs }
          const verdict = judgePresence(latest.get(said.deviceId), said)
          if (verdict === 'superseded') superseded.push(said.connectionId)
          if (verdict !== 'news') continue
          latest.set(said.deviceId, said)
          news.set(said.deviceId, said)
        }
        const change: Change = {
          broker: { brokerId, sentAtMs, heardAtMs },
          presence: [...news.values()],
        }
        const alarms = await alarmsFor(view, contended, heardAtMs)
        return { changes: [change, ...alarms], answer: { superseded, isNew: before === undefined } }
      }),
    async of(deviceId) {
      const [presence] = await repository.presenceOf([deviceId])
      if (presence === undefined) throw notFound(`${deviceId} was never connected`)
      return presence
    },
    sweep: () =>
      repository.change(async (view) => {
        const atMs = now()
        const silent = (await view.brokers())
          .filter(({ heardAtMs }) => heardAtMs + presenceSilentMs <= atMs)
          .map(({ brokerId }) => brokerId)
        if (silent.length === 0) return { answer: [] }
        const ended = (await view.presences())
          .filter(({ brokerId }) => silent.includes(brokerId))
          .map((one) => ({ ...one, connected: false, atMs }))
        const removals = silent.map((removeBroker): Change => ({ removeBroker }))
        return { changes: [{ presence: ended }, ...removals], answer: silent }
      }),
  }
}

/** One open alarm for each device: it is brought up to date when the device is held again. */
async function alarmsFor(
  view: RegistryView,
  contended: readonly Contention[],
  atMs: number,
): Promise<readonly Change[]> {
  if (contended.length === 0) return []
  const alarms = await view.alarms({ limit: alarmsLookedAt })
  return contended.map(({ deviceId, addresses, holdMs }): Change => {
    const open = alarms.find(
      ({ kind, subject, acknowledgedAtMs }) =>
        kind === 'device.contended' && subject === deviceId && acknowledgedAtMs === null,
    )
    const known = detailOf(open)
    const detail: ContentionDetail = {
      addresses: [...new Set([...addresses, ...(known?.addresses ?? [])])].slice(0, addressesMax),
      times: (known?.times ?? 0) + 1,
      heldUntilMs: atMs + holdMs,
    }
    if (open !== undefined) return { alarm: { ...open, detail } }
    return {
      audit: { actor: deviceId, verb: 'alarm.raised', subject: deviceId, after: detail },
      newAlarm: { kind: 'device.contended', subject: deviceId, detail },
    }
  })
}

function detailOf(alarm: Alarm | undefined): ContentionDetail | undefined {
  return Value.Check(ContentionDetail, alarm?.detail) ? alarm.detail : undefined
}
