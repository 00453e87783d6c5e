/**
 * How complete a stretch of time is: what was due, what is there, and for what is missing a reason. Pure.
 *
 * What was due is a matter of schedules, what became of it one of the ledger and the store. A reason is taken from
 * what is certain to what is less so: the device said that it let go of it; it is in quarantine; the ledger has a hole,
 * which waits on the device or is a loss; the device was not connected and its sequences have no hole, so it took none;
 * it is on its way; nothing known accounts for it.
 */
import type { Completeness, Gap, GapReason, Reasons } from '../core/contract/completeness.ts'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import type { Presence } from '../core/contract/downlink.ts'
import { countIn, type Incident, type IncidentKind } from './incidents.ts'

export interface TimeRange {
  readonly fromMs: number
  /** Exclusive. */
  readonly toMs: number
}

/** What is stored of a device in a window. */
export interface Counted {
  readonly received: number
  readonly silent: number
  readonly late: number
}

/** What is known of a device in the time it counts. */
export interface DeviceFacts extends TimeRange {
  readonly deviceId: DeviceId
  readonly lotId: LotId | null
  readonly incidents: readonly Incident[]
  /** Readings due, up to now; null where no schedule is known. */
  readonly expectedIn: (range: TimeRange) => number | null
  /** Its newest reading; -Infinity when there is none. */
  readonly newestMs: number
  /** Whether anything ever came from it. */
  readonly isSeen: boolean
  /** Readings that waited on it when it last said. */
  readonly queued: number
}

/** Readings younger than this may be on their way. */
export interface Clock {
  readonly nowMs: number
  readonly onTheWayMs: number
}

export interface Account extends Completeness {
  readonly reasons: Reasons
}

const noReasons: Reasons = {}

const nothing: Account = {
  expected: null,
  received: 0,
  silent: 0,
  late: 0,
  duplicate: 0,
  dropped: 0,
  quarantined: 0,
  missing: null,
  unknown: 0,
  reasons: noReasons,
}

/** Counts without reasons: enough to know whether reasons have to be looked for. */
export function countWindow(
  facts: DeviceFacts,
  window: TimeRange,
  { received, silent, late }: Counted,
): Account {
  const range = { fromMs: Math.max(window.fromMs, facts.fromMs), toMs: Math.min(window.toMs, facts.toMs) }
  // Where it does not count nothing is due, which adds nothing to a sum either.
  const counts = range.fromMs < range.toMs
  const expected = counts ? facts.expectedIn(range) : null
  const of = (kind: IncidentKind) => sumOf(facts.incidents, kind, range)
  return {
    expected,
    received,
    silent,
    late,
    duplicate: of('duplicate'),
    dropped: of('dropped'),
    quarantined: of('quarantined'),
    missing: expected === null ? null : Math.max(0, expected - received),
    unknown: counts && expected === null ? 1 : 0,
    reasons: noReasons,
  }
}

/** @param offline when the device is known not to have been connected */
export function explainWindow(
  facts: DeviceFacts,
  window: TimeRange,
  account: Account,
  { offline, clock }: { offline: readonly TimeRange[]; clock: Clock },
): Account {
  const range = { fromMs: Math.max(window.fromMs, facts.fromMs), toMs: Math.min(window.toMs, facts.toMs) }
  const reasons: { -readonly [Key in GapReason]?: number } = {}
  const lost = sumOf(facts.incidents, 'lost', range)
  let left = account.missing ?? account.dropped + lost
  const take = (reason: GapReason, most: number) => {
    const taken = Math.min(left, most)
    left -= taken
    if (taken > 0) reasons[reason] = (reasons[reason] ?? 0) + taken
  }
  if (account.silent > 0) reasons.sensor_silent = account.silent
  take('outbox_limit', account.dropped)
  if (account.missing !== null) take('quarantined', account.quarantined)
  take(reasonOfLoss(facts, facts.incidents), lost)
  if (!facts.isSeen) take('never_seen', left)
  take('device_offline', offlineTicks(facts, range, offline))
  const isAhead = range.toMs > facts.newestMs
  const mayCome = facts.queued > 0 || range.toMs > clock.nowMs - clock.onTheWayMs
  if (isAhead && mayCome) take('not_yet_arrived', left)
  take('unexplained', left)
  return { ...account, reasons }
}

/** A hole waits on the device while the device has something waiting, in the epoch it counts in. */
function reasonOfLoss({ queued }: DeviceFacts, incidents: readonly Incident[]): GapReason {
  const isOpen = incidents.some(({ kind, isOpen }) => kind === 'lost' && isOpen)
  return queued > 0 && isOpen ? 'not_yet_arrived' : 'unexplained'
}

function offlineTicks(facts: DeviceFacts, range: TimeRange, offline: readonly TimeRange[]): number {
  let ticks = 0
  for (const { fromMs, toMs } of offline) {
    const part = { fromMs: Math.max(fromMs, range.fromMs), toMs: Math.min(toMs, range.toMs) }
    if (part.fromMs < part.toMs) ticks += facts.expectedIn(part) ?? 0
  }
  return ticks
}

function sumOf(incidents: readonly Incident[], of: IncidentKind, range: TimeRange): number {
  let count = 0
  for (const incident of incidents) if (incident.kind === of) count += countIn(incident, range)
  return count
}

/** Of several devices, or several windows. What is not known of one is not known of the sum, and counted in `unknown`. */
export function addUp(accounts: Iterable<Account>): Account {
  const sum: { -readonly [Key in keyof Account]: Account[Key] } = { ...nothing }
  const reasons: { -readonly [Key in GapReason]?: number } = {}
  // Name by name: there is one for each window of each device.
  for (const account of accounts) {
    sum.expected = plus(sum.expected, account.expected)
    sum.received += account.received
    sum.silent += account.silent
    sum.late += account.late
    sum.duplicate += account.duplicate
    sum.dropped += account.dropped
    sum.quarantined += account.quarantined
    sum.missing = plus(sum.missing, account.missing)
    sum.unknown += account.unknown
    if (account.reasons === noReasons) continue
    for (const [reason, count] of Object.entries(account.reasons) as [GapReason, number][]) // made of these
      reasons[reason] = (reasons[reason] ?? 0) + count
  }
  sum.reasons = reasons
  return sum
}

function plus(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : a + b
}

/** When a device is known not to have been connected, from its comings and goings in order of time. */
export function offlineOf(presence: readonly Presence[], nowMs: number): TimeRange[] {
  const offline: TimeRange[] = []
  for (const [i, { connected, atMs }] of presence.entries()) {
    const toMs = presence[i + 1]?.atMs ?? nowMs
    if (connected || atMs >= toMs) continue
    const last = offline.at(-1)
    if (last !== undefined && last.toMs === atMs) offline[offline.length - 1] = { ...last, toMs }
    else offline.push({ fromMs: atMs, toMs })
  }
  return offline
}

export interface GapsOptions {
  readonly format: (atMs: number) => string
  readonly max: number
}

/**
 * Where readings of a device are missing. What the ledger proves stands by itself, with sequences; what is missing
 * beyond that by window, neighbours of one reason together.
 * @param accounts of the windows, explained
 */
export function gapsOf(
  facts: DeviceFacts,
  windows: readonly TimeRange[],
  accounts: readonly Account[],
  { format, max }: GapsOptions,
): Gap[] {
  const { deviceId, lotId } = facts
  const frame = { deviceId, lotId, detail: null, epoch: null, fromSeq: null, toSeq: null }
  const range = { fromMs: windows[0]?.fromMs ?? 0, toMs: windows.at(-1)?.toMs ?? 0 }
  if (!facts.isSeen && facts.fromMs < range.toMs && range.fromMs < facts.toMs) {
    const [from, to] = [Math.max(range.fromMs, facts.fromMs), Math.min(range.toMs, facts.toMs)]
    return [
      {
        ...frame,
        from: format(from),
        to: format(to),
        readings: facts.expectedIn({ fromMs: from, toMs: to }),
        reason: 'never_seen',
      },
    ]
  }
  const gaps: Gap[] = []
  for (const incident of facts.incidents) {
    if (gaps.length >= max) return gaps
    if (incident.kind !== 'lost' && incident.kind !== 'dropped') continue
    const readings =
      incident.fromMs === undefined
        ? incident.toSeq - incident.fromSeq + 1
        : countIn(incident, clip(range, facts))
    if (readings === 0) continue
    gaps.push({
      ...frame,
      from: incident.fromMs === undefined ? null : format(incident.fromMs),
      to: incident.toMs === undefined ? null : format(incident.toMs + 1),
      readings,
      reason: incident.kind === 'dropped' ? 'outbox_limit' : reasonOfLoss(facts, [incident]),
      detail: incident.detail ?? null,
      epoch: incident.epoch,
      fromSeq: incident.fromSeq,
      toSeq: incident.toSeq,
    })
  }
  const open = new Map<GapReason, { fromMs: number; toMs: number; readings: number }>()
  const close = (reason: GapReason) => {
    const gap = open.get(reason)
    if (gap === undefined) return
    open.delete(reason)
    gaps.push({ ...frame, from: format(gap.fromMs), to: format(gap.toMs), readings: gap.readings, reason })
  }
  for (const [i, { reasons }] of accounts.entries()) {
    const window = clip(windows[i] ?? range, facts)
    const beyond = beyondLedger(facts, window, reasons)
    for (const reason of [...open.keys()]) if (!beyond.has(reason)) close(reason)
    for (const [reason, readings] of beyond) {
      const gap = open.get(reason)
      if (gap === undefined) open.set(reason, { ...window, readings })
      else {
        gap.toMs = window.toMs
        gap.readings += readings
      }
    }
    if (gaps.length >= max) break
  }
  for (const reason of [...open.keys()]) close(reason)
  return gaps.slice(0, max)
}

function clip(window: TimeRange, facts: TimeRange): TimeRange {
  return { fromMs: Math.max(window.fromMs, facts.fromMs), toMs: Math.min(window.toMs, facts.toMs) }
}

/** The reasons of a window without what gaps of the ledger have told already. */
function beyondLedger(facts: DeviceFacts, window: TimeRange, reasons: Reasons): Map<GapReason, number> {
  const beyond = new Map(Object.entries(reasons) as [GapReason, number][]) // made of these
  beyond.delete('outbox_limit')
  const lost = sumOf(facts.incidents, 'lost', window)
  if (lost === 0) return beyond
  const reason = reasonOfLoss(facts, facts.incidents)
  const left = (beyond.get(reason) ?? 0) - lost
  if (left > 0) beyond.set(reason, left)
  else beyond.delete(reason)
  return beyond
}
