/** Questions about devices: how each is now, and how it was over time. */
import type { DeviceId } from '../core/contract/device.ts'
import type { Presence } from '../core/contract/downlink.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { DeviceCondition, DeviceRow, HealthRow } from '../core/contract/query.ts'
import { parseStatus, type StatusMessage } from '../core/contract/status.ts'
import type { Found } from './answer-form.ts'
import type { Asker } from './answers.ts'
import { type Account, addUp, type TimeRange } from './completeness.ts'
import { conditionOf, conditionThen } from './condition.ts'
import { makeCursor, parseCursor } from './cursor.ts'
import type { Fleet } from './fleet.ts'
import type { Ledger } from './ledger.ts'
import type { Places } from './places.ts'
import type { Reporter } from './report.ts'
import { type CountTicks, expectedIn } from './schedule.ts'
import type { Among, Scope, Subject } from './scope.ts'
import type { WindowsQuestion } from './series-answers.ts'
import type { Statuses } from './statuses.ts'
import type { DeviceStatus, Store, StoredReading } from './store/store.ts'
import { everyText, windowsOf } from './windows.ts'
import type { Zone } from './zone.ts'

export interface DeviceAnswersOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly places: Places
  readonly fleet: Fleet
  readonly statuses: Statuses
  readonly scope: Scope
  readonly reporter: Reporter
  readonly countTicks: CountTicks
  readonly staleAfterSec: number
  readonly windowsMax: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

export interface DevicesRequest {
  readonly among: Among
  /** Undefined: all but retired ones. */
  readonly states: readonly DeviceCondition[] | undefined
  readonly limit: number
  readonly cursor: string | undefined
}

/** Looked at together. */
const chunkDevices = 1000
/** A reading is due; it takes a moment until it is here. */
const graceMs = 60_000

export class DeviceAnswers {
  readonly #options: DeviceAnswersOptions

  constructor(options: DeviceAnswersOptions) {
    this.#options = options
  }

  async devices({ among, states, limit, cursor }: DevicesRequest, asker: Asker): Promise<Found<DeviceRow>> {
    const { scope, ledger, store } = this.#options
    const nowMs = this.#options.now()
    const after = cursor === undefined ? '' : parseCursor(cursor).id
    const deviceIds = scope
      .devices(among, ledger.deviceIds(), nowMs, asker.principal)
      .filter((deviceId) => deviceId > after)
    const rows: DeviceRow[] = []
    for (let from = 0; from < deviceIds.length && rows.length <= limit; from += chunkDevices) {
      asker.signal.throwIfAborted()
      const chunk = deviceIds.slice(from, from + chunkDevices)
      const instants = chunk.flatMap((deviceId) => {
        const { highMs } = ledger.device(deviceId)
        return highMs === Number.NEGATIVE_INFINITY ? [] : [{ deviceId, timestampMs: highMs }]
      })
      const newest = new Map((await store.lookup(instants)).map((stored) => [stored.deviceId, stored]))
      for (const deviceId of chunk) {
        const row = this.#deviceRow(deviceId, newest.get(deviceId), { zone: asker.zone, nowMs })
        const isWanted = states === undefined ? row.state !== 'retired' : states.includes(row.state)
        if (isWanted) rows.push(row)
      }
    }
    const page = rows.slice(0, limit)
    const last = rows.length > limit ? page.at(-1) : undefined
    return { rows: page, gaps: [], nextCursor: last && makeCursor(0, last.deviceId) }
  }

  async health(question: WindowsQuestion, asker: Asker): Promise<Found<HealthRow>> {
    const { scope, ledger, store, reporter, places } = this.#options
    const { zone, signal, principal } = asker
    const nowMs = this.#options.now()
    const deviceIds = scope.devices(question.among, ledger.deviceIds(), nowMs, principal)
    const windowsMax = Math.floor(this.#options.windowsMax / Math.max(1, deviceIds.length))
    const windows = windowsOf({ ...question, zone }, windowsMax)
    if (windows === undefined) {
      const safeDetail = `more than ${windowsMax} windows for each of ${deviceIds.length} devices: ask for less time, longer windows or fewer devices`
      throw new FleetError('request.invalid', safeDetail, { safeDetail })
    }
    const { edges, runs } = windows
    const range = { fromMs: question.fromMs, toMs: question.toMs }
    const visible = scope.spans({ ...question.among, devices: deviceIds }, range, principal) ?? []
    const subjects = visible.map(({ deviceId, ...span }): Subject => {
      const start = Math.max(span.fromMs, range.fromMs)
      return {
        span: { deviceId, fromMs: start, toMs: Math.min(span.toMs, range.toMs) },
        lotId: places.lotOf(deviceId, start) ?? null,
      }
    })
    const spans = subjects.map(({ span }) => span)
    const found = await store.windows(spans, runs, question.toMs, signal)
    const cells = spans.map((_, span) => found.of(span))
    const of = new Map<DeviceId, (readonly Account[])[]>()
    const report = await reporter.report(
      { subjects, cells, edges, format: (atMs) => zone.format(atMs), signal },
      ({ span }, accounts) => of.set(span.deviceId, [...(of.get(span.deviceId) ?? []), accounts]),
    )
    const history = { deviceIds, ...range }
    const presence = grouped(await store.presence(history, signal))
    const statuses = grouped(await store.statuses(history, signal))
    const rows = deviceIds.flatMap((deviceId) => {
      const isSeen = this.#isSeen(deviceId)
      const came = presence.get(deviceId) ?? []
      const told = (statuses.get(deviceId) ?? []).map(toldOf)
      return edges.slice(0, -1).map((startMs, i): HealthRow => {
        const endMs = edges[i + 1] ?? startMs
        const accounts = (of.get(deviceId) ?? []).flatMap((windowsOfSpan) => windowsOfSpan[i] ?? [])
        const account = addUp(accounts)
        const until = Math.min(endMs, nowMs)
        const connectedMs = connectedIn(came, { fromMs: startMs, toMs: until }, nowMs)
        const within = told.filter(({ atMs }) => atMs >= startMs && atMs < endMs)
        const newest = within.at(-1)?.message
        const queues = within.map(({ message }) => message?.queue.readings ?? 0)
        return {
          deviceId,
          start: zone.format(startMs),
          end: zone.format(endMs),
          state: conditionThen(account, { connectedMs, lengthMs: until - startMs, isSeen }),
          connectedSec: connectedMs === undefined ? null : Math.round(connectedMs / 1000),
          expected: account.expected,
          received: account.received,
          silent: account.silent,
          missing: account.missing,
          queueReadings: queues.length === 0 ? null : Math.max(...queues),
          clockOffsetMs: newest?.clock.offsetMs ?? null,
          cpuCelsius: newest?.cpuCelsius ?? null,
        }
      })
    })
    return { rows, ...report, resolution: everyText(question.every) }
  }

  #isSeen(deviceId: DeviceId): boolean {
    const { ledger, statuses } = this.#options
    return (
      ledger.device(deviceId).highMs > Number.NEGATIVE_INFINITY || statuses.newest(deviceId) !== undefined
    )
  }

  #deviceRow(
    deviceId: DeviceId,
    newest: StoredReading | undefined,
    { zone, nowMs }: { zone: Zone; nowMs: number },
  ): DeviceRow {
    const { fleet, places, statuses, countTicks, staleAfterSec } = this.#options
    const device = fleet.device(deviceId)
    const presence = fleet.presence(deviceId)
    const status = statuses.newest(deviceId)
    const newestMs = newest?.reading.timestampMs
    const schedules = statuses.schedulesOf(deviceId)
    const due = { fromMs: (newestMs ?? Number.NEGATIVE_INFINITY) + 1, toMs: nowMs - graceMs }
    const lastSeenMs = Math.max(
      Math.min(newestMs ?? Number.NEGATIVE_INFINITY, nowMs),
      newest?.receivedAtMs ?? Number.NEGATIVE_INFINITY,
      status?.receivedAtMs ?? Number.NEGATIVE_INFINITY,
      presence?.atMs ?? Number.NEGATIVE_INFINITY,
    )
    const timeOf = (atMs: number | undefined) => (atMs === undefined ? null : zone.format(atMs))
    return {
      deviceId,
      name: device?.name ?? deviceId,
      lotId: places.lotOf(deviceId, nowMs) ?? null,
      tags: [...(device?.tags ?? [])],
      state: conditionOf({
        registered: device?.state,
        isSeen: this.#isSeen(deviceId),
        isConnected: presence?.connected,
        newest: newest && { ageMs: nowMs - newest.reading.timestampMs, occupied: newest.reading.occupied },
        overdue: schedules.length === 0 ? null : (expectedIn(schedules, due, countTicks) ?? 0),
        staleAfterMs: staleAfterSec * 1000,
      }),
      lastSeen: lastSeenMs === Number.NEGATIVE_INFINITY ? null : zone.format(Math.floor(lastSeenMs)),
      lastReading: timeOf(newestMs),
      connected: presence?.connected ?? null,
      connectedSince: presence?.connected === true ? zone.format(presence.atMs) : null,
      address: presence?.address ?? null,
      statusAt: timeOf(status && Math.floor(status.receivedAtMs)),
      ...toldBy(status?.message, zone),
    }
  }
}

function toldBy(message: StatusMessage | undefined, zone: Zone) {
  const offset = message?.clock.offsetMs
  return {
    queueReadings: message?.queue.readings ?? null,
    queueBytes: message?.queue.bytes ?? null,
    queueBytesMax: message?.queue.bytesMax ?? null,
    queueOldestAgeSec: message?.queue.oldestAgeSec ?? null,
    dropped: message?.dropped ?? null,
    clock: message?.clock.state ?? null,
    clockOffsetMs: offset ?? null,
    credentialId: message?.credential.credentialId ?? null,
    credentialAgeSec: message?.credential.ageSec ?? null,
    version: message?.version ?? null,
    uptimeSec: message?.uptimeSec ?? null,
    schedule: message?.schedule.cron ?? null,
    scheduleSince: message === undefined ? null : zone.format(message.schedule.sinceMs),
    sensors: (message?.sensors ?? []).map(({ name, type, state }) => `${name}:${type}:${state}`),
    cpuCelsius: message?.cpuCelsius ?? null,
    diskFreeBytes: message?.disk?.freeBytes ?? null,
    configVersion: message?.config?.version ?? null,
    configState: message?.config?.state ?? null,
  }
}

function toldOf({ receivedAtMs, body }: DeviceStatus) {
  return { atMs: receivedAtMs, message: parseStatus(body) }
}

/** How long a device was connected in a window; undefined when nobody had said anything of it by then. */
function connectedIn(presence: readonly Presence[], window: TimeRange, nowMs: number): number | undefined {
  const [first] = presence
  if (first === undefined || first.atMs >= window.toMs) return undefined
  return presence.reduce((sum, { connected, atMs }, i) => {
    const toMs = Math.min(presence[i + 1]?.atMs ?? nowMs, window.toMs)
    return connected ? sum + Math.max(0, toMs - Math.max(atMs, window.fromMs)) : sum
  }, 0)
}

function grouped<Of extends { readonly deviceId: string }>(all: readonly Of[]): Map<DeviceId, Of[]> {
  const byDevice = new Map<DeviceId, Of[]>()
  for (const one of all) {
    const deviceId = one.deviceId as DeviceId // the store's, or the feed's, with the same grammar
    const ofDevice = byDevice.get(deviceId) ?? []
    ofDevice.push(one)
    byDevice.set(deviceId, ofDevice)
  }
  return byDevice
}
