/**
 * The completeness of an answer: what is known of its devices put together from ledger, schedules and presence, and
 * judged window by window (`completeness.ts`). Presence is asked for only where something is missing.
 */
import type { Completeness, Gap } from '../core/contract/completeness.ts'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import type { Presence } from '../core/contract/downlink.ts'
import {
  type Account,
  addUp,
  type Counted,
  countWindow,
  type DeviceFacts,
  explainWindow,
  gapsOf,
  offlineOf,
  type TimeRange,
} from './completeness.ts'
import { incidentsOf } from './incidents.ts'
import type { Ledger } from './ledger.ts'
import { type CountTicks, expectedIn } from './schedule.ts'
import type { Subject } from './scope.ts'
import type { Statuses } from './statuses.ts'
import type { SpanWindow, StoreReader, WindowsOfSpan } from './store/store.ts'

export interface ReporterOptions {
  readonly store: Pick<StoreReader, 'presence'>
  readonly ledger: Ledger
  readonly statuses: Statuses
  readonly countTicks: CountTicks
  /** Readings younger than this may be on their way. */
  readonly onTheWayMs: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

export interface ReportQuestion {
  readonly subjects: readonly Subject[]
  /** Where windows start, and where the last one ends. */
  readonly edges: readonly number[]
  /** What is stored of each subject, by window. */
  readonly cells: readonly WindowsOfSpan[]
  readonly format: (atMs: number) => string
  readonly signal?: AbortSignal
}

export interface Report {
  readonly completeness: Completeness
  readonly gaps: readonly Gap[]
}

/** Gaps an answer lists at most; the counts are of all. */
export const gapsMax = 1000
/** A reading is due; it takes a moment until it is here. */
const graceMs = 60_000
const nobody: Counted = { received: 0, silent: 0, late: 0 }

export class Reporter {
  readonly #options: ReporterOptions

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  /** @param each is told of every subject its windows, by number */
  async report(
    { subjects, edges, cells, format, signal }: ReportQuestion,
    each: (subject: Subject, accounts: readonly Account[]) => void = () => undefined,
  ): Promise<Report> {
    const nowMs = this.#options.now()
    const windows = edges.slice(0, -1).map((fromMs, i) => ({ fromMs, toMs: edges[i + 1] ?? fromMs }))
    const known = new Map<DeviceId, ReturnType<typeof incidentsOf>>()
    const factsOf = ({ span, lotId }: Subject) => {
      const incidents = known.get(span.deviceId) ?? incidentsOf(this.#options.ledger, span.deviceId)
      known.set(span.deviceId, incidents)
      return this.#factsOf({ span, lotId }, incidents, nowMs)
    }
    const accountsOf = (facts: DeviceFacts, i: number) =>
      windows.map((window, number) => countWindow(facts, window, countedOf(cells[i]?.get(number))))
    const whole: { subject: Subject; i: number }[] = []
    const wanting: { subject: Subject; i: number; facts: DeviceFacts }[] = []
    const sums: Account[] = []
    for (const [i, subject] of subjects.entries()) {
      const facts = factsOf(subject)
      const accounts = accountsOf(facts, i)
      const isWhole =
        facts.isSeen &&
        facts.incidents.every(({ kind }) => kind === 'duplicate') &&
        accounts.every(({ missing, silent }) => silent === 0 && (missing ?? 0) === 0)
      if (isWhole) {
        whole.push({ subject, i })
        sums.push(addUp(accounts))
        each(subject, accounts)
      } else wanting.push({ subject, i, facts })
    }
    const presence = await this.#presenceOf(wanting, windows, signal)
    const gaps: Gap[] = []
    const clock = { nowMs, onTheWayMs: this.#options.onTheWayMs }
    for (const { subject, i, facts } of wanting) {
      const offline = offlineOf(presence.get(facts.deviceId) ?? [], nowMs)
      const accounts = accountsOf(facts, i).map((account, number) =>
        explainWindow(facts, windows[number] ?? facts, account, { offline, clock }),
      )
      sums.push(addUp(accounts))
      each(subject, accounts)
      if (gaps.length < gapsMax)
        gaps.push(...gapsOf(facts, windows, accounts, { format, max: gapsMax - gaps.length }))
    }
    const { reasons: _reasons, ...completeness } = addUp(sums)
    return {
      completeness: { ...completeness, unknown: unknownOf(subjects, sums, [...whole, ...wanting]) },
      gaps,
    }
  }

  #factsOf({ span, lotId }: Subject, incidents: DeviceFacts['incidents'], nowMs: number): DeviceFacts {
    const { ledger, statuses, countTicks } = this.#options
    const { deviceId } = span
    const schedules = statuses.schedulesOf(deviceId)
    const status = statuses.newest(deviceId)
    const newestMs = ledger.device(deviceId).highMs
    return {
      ...span,
      lotId,
      incidents,
      expectedIn: ({ fromMs, toMs }) =>
        expectedIn(schedules, { fromMs, toMs: Math.min(toMs, nowMs - graceMs) }, countTicks) ??
        // Nothing is due yet, which is another matter than that nobody knows.
        (schedules.length > 0 && fromMs >= (schedules[0]?.sinceMs ?? 0) ? 0 : null),
      newestMs,
      isSeen: newestMs > Number.NEGATIVE_INFINITY || status !== undefined || incidents.length > 0,
      queued: status?.message?.queue.readings ?? 0,
    }
  }

  async #presenceOf(
    wanting: readonly { facts: DeviceFacts }[],
    windows: readonly TimeRange[],
    signal: AbortSignal | undefined,
  ): Promise<Map<DeviceId, Presence[]>> {
    const deviceIds = [
      ...new Set(wanting.filter(({ facts }) => facts.isSeen).map(({ facts }) => facts.deviceId)),
    ]
    const byDevice = new Map<DeviceId, Presence[]>()
    const [first, last] = [windows[0], windows.at(-1)]
    if (deviceIds.length === 0 || first === undefined || last === undefined) return byDevice
    const range = { fromMs: first.fromMs, toMs: last.toMs }
    for (const one of await this.#options.store.presence({ deviceIds, ...range }, signal)) {
      const deviceId = one.deviceId as DeviceId // the feed's schema has the same grammar
      const ofDevice = byDevice.get(deviceId) ?? []
      ofDevice.push(one)
      byDevice.set(deviceId, ofDevice)
    }
    return byDevice
  }
}

function countedOf(cell: Pick<SpanWindow, 'count' | 'silent' | 'late'> | undefined): Counted {
  if (cell === undefined) return nobody
  return { received: cell.count + cell.silent, silent: cell.silent, late: cell.late }
}

/** Devices, not windows: of how many it is not known in some part of the time. */
function unknownOf(
  subjects: readonly Subject[],
  sums: readonly Account[],
  order: readonly { i: number }[],
): number {
  const unknown = new Set<DeviceId>()
  for (const [at, { i }] of order.entries()) {
    const subject = subjects[i]
    if (subject !== undefined && (sums[at]?.unknown ?? 0) > 0) unknown.add(subject.span.deviceId)
  }
  return unknown.size
}

/** Of the subjects of one lot, by window: the sum of their accounts. */
export class LotAccounts {
  readonly #byLot = new Map<LotId | null, Account[]>()

  add({ lotId }: Subject, accounts: readonly Account[]): void {
    const known = this.#byLot.get(lotId)
    this.#byLot.set(
      lotId,
      known === undefined
        ? [...accounts]
        : known.map((account, i) => addUp([account, ...accounts.slice(i, i + 1)])),
    )
  }

  of(lotId: LotId): readonly Account[] | undefined {
    return this.#byLot.get(lotId)
  }
}
