/**
 * The flow of a question: who may see which lots, which devices count for them and when, what the store has of them,
 * and how complete that is.
 */
import type { Gap } from '../core/contract/completeness.ts'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { LatestRow, LotRow, QuarantineRow, ReadingRow, SeriesRow } from '../core/contract/query.ts'
import type { Lot } from '../core/contract/registry.ts'
import type { Found } from './answer-form.ts'
import { gapsOf } from './completeness.ts'
import { type LastOfDevice, latestOf } from './latest.ts'
import type { Ledger } from './ledger.ts'
import { pagesOf } from './pages.ts'
import { capacityAt, type Places, type Stretch, stretchesOf } from './places.ts'
import { readingRow } from './reading-row.ts'
import { type LotWindow, lotWindows, type MeasuredStretch, runningSums } from './series.ts'
import type { DeviceSpan, SpanWindow, Store } from './store/store.ts'
import { type Every, windowsOf } from './windows.ts'
import type { Zone } from './zone.ts'

export interface AnswersOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly places: Places
  readonly staleAfterSec: number
  readonly windowsMax: number
  readonly readingsMax: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** Who asks, in which zone, and the end of the question when the client leaves. */
export interface Asker {
  readonly principal: Principal
  readonly zone: Zone
  readonly signal: AbortSignal
}

export interface SeriesQuestion {
  readonly lots: readonly LotId[] | undefined
  readonly fromMs: number
  readonly toMs: number
  readonly every: Every
  readonly aggregates: readonly (keyof LotWindow)[]
  /** Whether windows nobody measured are left out. */
  readonly isSparse: boolean
}

export interface ReadingsRequest {
  readonly lots: readonly LotId[] | undefined
  readonly devices: readonly DeviceId[] | undefined
  readonly fromMs: number
  readonly toMs: number
  readonly order: 'asc' | 'desc'
  /** Absent: all of them, as a stream. */
  readonly limit: number | undefined
  readonly cursor: string | undefined
}

export interface QuarantineRequest {
  readonly devices: readonly DeviceId[] | undefined
  readonly reason: string | undefined
  readonly limit: number
  readonly cursor: string | undefined
}

/** Gaps an answer lists at most; `complete` is false all the same. */
const gapsMax = 1000

/** How far back the last count of a silent device is looked for. */
const lastCountMs = 7 * 24 * 3600_000

/** Readings of a device that was never assigned belong to no lot. */
const always = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }

export class Answers {
  readonly #options: AnswersOptions

  constructor(options: AnswersOptions) {
    this.#options = options
  }

  lots({ principal }: Asker): Found<LotRow> {
    const { places } = this.#options
    const nowMs = this.#options.now()
    const rows = this.#visibleLots(principal, undefined).map(
      ({ lotId, name, latitude, longitude, zone, capacities }) => ({
        lotId,
        name,
        capacity: capacityAt(capacities, nowMs) ?? null,
        latitude: latitude ?? null,
        longitude: longitude ?? null,
        zone: zone ?? null,
        devices: places.spansAt(lotId as LotId, nowMs).map(({ deviceId }) => deviceId), // the feed's schema has the same grammar
      }),
    )
    return { rows, gaps: [] }
  }

  async latest(
    lots: readonly LotId[] | undefined,
    { principal, zone, signal }: Asker,
  ): Promise<Found<LatestRow>> {
    const { places, staleAfterSec } = this.#options
    const nowMs = this.#options.now()
    const visible = this.#visibleLots(principal, lots)
    const spans = visible.map((lot) => places.spansAt(lot.lotId as LotId, nowMs)) // as above
    const last = await this.#lastOf(spans.flat(), signal)
    const rows = visible.map((lot, i) =>
      latestOf(
        lot,
        (spans[i] ?? []).map(({ deviceId }) => last.get(deviceId)),
        { zone, nowMs, staleAfterSec },
      ),
    )
    return { rows, gaps: this.#gaps(spans.flat().map(({ deviceId }) => deviceId)) }
  }

  async series(question: SeriesQuestion, { principal, zone, signal }: Asker): Promise<Found<SeriesRow>> {
    const { fromMs, toMs, aggregates } = question
    const visible = this.#visibleLots(principal, question.lots)
    const windowsMax = Math.floor(this.#options.windowsMax / Math.max(1, visible.length))
    const windows = windowsOf({ ...question, zone }, windowsMax)
    if (windows === undefined)
      throw invalid(
        `more than ${windowsMax} windows for each of ${visible.length} lots: ask for less time or longer windows`,
      )
    const lots = visible.map((lot) => {
      const spans = this.#options.places.spansOf(lot.lotId as LotId, fromMs, toMs) // as above
      return { lot, stretches: stretchesOf(spans) }
    })
    const spans = lots.flatMap(({ stretches }) => stretches.flatMap(spansOfStretch))
    const cells = bySpan(await this.#options.store.windows(spans, windows.runs, toMs, signal), spans.length)
    const needsSums = aggregates.some((name) => name !== 'mean' && name !== 'count')
    const rows: SeriesRow[] = []
    let span = 0
    for (const { lot, stretches } of lots) {
      const measured: MeasuredStretch[] = []
      for (const stretch of stretches) {
        const devices = cells.slice(span, span + stretch.deviceIds.length)
        span += stretch.deviceIds.length
        measured.push(
          needsSums && devices.length > 1
            ? { ...stretch, devices, sums: await this.#sumsOf(stretch, windows.edges, signal) }
            : { ...stretch, devices },
        )
      }
      for (const [i, window] of lotWindows(measured, windows.edges).entries()) {
        if (question.isSparse && window.count === 0) continue
        rows.push({
          lotId: lot.lotId,
          start: zone.format(windows.edges[i] ?? toMs),
          end: zone.format(windows.edges[i + 1] ?? toMs),
          ...Object.fromEntries(aggregates.map((name) => [name, window[name]])),
        })
      }
    }
    return { rows, gaps: this.#gaps(spans.map(({ deviceId }) => deviceId)) }
  }

  async readings(request: ReadingsRequest, { principal, zone, signal }: Asker): Promise<Found<ReadingRow>> {
    const { fromMs, toMs, order, limit, cursor } = request
    const { store, ledger } = this.#options
    const spans = this.#spansOf(request, principal)
    const deviceIds = spans === undefined ? ledger.deviceIds() : spans.map(({ deviceId }) => deviceId)
    const gaps = this.#gaps(deviceIds)
    if (limit === undefined) {
      if (cursor !== undefined) throw invalid('cursor: goes with limit')
      const pages = pagesOf(store, { fromMs, toMs, spans, order }, signal)
      return {
        rows: mapPages(pages, (stored) => readingRow(stored, { places: this.#options.places, zone })),
        gaps,
      }
    }
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    const found = await store.readings(
      {
        fromMs,
        toMs,
        spans,
        order,
        limit: limit + 1,
        after: after && { timestampMs: after.atMs, deviceId: after.id as DeviceId }, // made of one
      },
      signal,
    )
    const page = found.slice(0, limit)
    const last = found.length > limit ? page.at(-1) : undefined
    return {
      rows: page.map((stored) => readingRow(stored, { places: this.#options.places, zone })),
      gaps,
      nextCursor: last && makeCursor(last.reading.timestampMs, last.deviceId),
    }
  }

  async quarantine(
    { devices, reason, limit, cursor }: QuarantineRequest,
    { principal, zone, signal }: Asker,
  ): Promise<Found<QuarantineRow>> {
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    const found = await this.#options.store.quarantine(
      {
        deviceIds: this.#visibleDevices(principal, devices),
        reason,
        limit: limit + 1,
        after: after && { receivedAtMs: after.atMs, id: after.id },
      },
      signal,
    )
    const page = found.slice(0, limit)
    const last = found.length > limit ? page.at(-1) : undefined
    return {
      rows: page.map((entry) => ({
        id: entry.id,
        deviceId: entry.deviceId,
        receivedAt: zone.format(entry.receivedAtMs),
        reason: entry.reason,
        epoch: entry.epoch ?? null,
        seq: entry.seq ?? null,
        timestampMs: entry.timestampMs ?? null,
        count: entry.count,
        content: entry.content,
        contentHash: entry.contentHash,
        storedOccupied: entry.storedOccupied ?? null,
      })),
      gaps: [],
      nextCursor: last && makeCursor(last.receivedAtMs, last.id),
    }
  }

  /** @throws FleetError `request.not_found` alike for a lot that does not exist and one the token may not see */
  #visibleLots(principal: Principal, asked: readonly LotId[] | undefined): Lot[] {
    const { places } = this.#options
    const maySee = (lotId: string) => principal.lots === undefined || principal.lots.has(lotId as LotId) // only looked up
    if (asked === undefined) return places.lots().filter(({ lotId }) => maySee(lotId))
    return [...new Set(asked)].map((lotId) => {
      const lot = maySee(lotId) ? places.lot(lotId) : undefined
      if (lot === undefined)
        throw new FleetError('request.not_found', 'no such lot', { safeDetail: `there is no lot ${lotId}` })
      return lot
    })
  }

  /** Undefined: every device at any time. */
  #spansOf(
    { lots, devices, fromMs, toMs }: Pick<ReadingsRequest, 'lots' | 'devices' | 'fromMs' | 'toMs'>,
    principal: Principal,
  ): DeviceSpan[] | undefined {
    if (lots === undefined && principal.lots === undefined)
      return devices && [...new Set(devices)].map((deviceId) => ({ deviceId, ...always }))
    const spans = this.#visibleLots(principal, lots).flatMap(
      ({ lotId }) => this.#options.places.spansOf(lotId as LotId, fromMs, toMs), // as above
    )
    return devices === undefined ? spans : spans.filter(({ deviceId }) => devices.includes(deviceId))
  }

  #visibleDevices(
    principal: Principal,
    asked: readonly DeviceId[] | undefined,
  ): readonly DeviceId[] | undefined {
    if (principal.lots === undefined) return asked
    const visible = this.#spansOf({ lots: undefined, devices: asked, ...always }, principal) ?? []
    return [...new Set(visible.map(({ deviceId }) => deviceId))]
  }

  #gaps(deviceIds: Iterable<DeviceId>): Gap[] {
    return gapsOf(this.#options.ledger, deviceIds, gapsMax)
  }

  /** The newest reading of each device within its span, and its last count where the newest has none. */
  async #lastOf(spans: readonly DeviceSpan[], signal: AbortSignal): Promise<Map<DeviceId, LastOfDevice>> {
    const { store, ledger } = this.#options
    const instants = spans.flatMap(({ deviceId, fromMs }) => {
      const { highMs } = ledger.device(deviceId)
      return highMs < fromMs ? [] : [{ deviceId, timestampMs: highMs }]
    })
    const found = (await store.lookup(instants)).map((stored): [DeviceId, LastOfDevice] => [
      stored.deviceId,
      { stored, lastOccupied: stored.reading.occupied },
    ])
    const last = new Map(found)
    for (const { deviceId, fromMs } of spans) {
      const silent = last.get(deviceId)
      if (silent === undefined || silent.lastOccupied !== null) continue
      const toMs = silent.stored.reading.timestampMs + 1
      const start = Math.max(fromMs, toMs - lastCountMs)
      const run = { index: 0, fromMs: start, stepMs: toMs - start, count: 1 }
      const [window] = await store.windows([{ deviceId, fromMs: start, toMs }], [run], toMs, signal)
      last.set(deviceId, { ...silent, lastOccupied: window?.last ?? null })
    }
    return last
  }

  async #sumsOf(stretch: Stretch, edges: readonly number[], signal: AbortSignal) {
    const { store, readingsMax } = this.#options
    const readings = await store.readings(
      { ...stretch, spans: spansOfStretch(stretch), order: 'asc', limit: readingsMax + 1, after: undefined },
      signal,
    )
    if (readings.length > readingsMax)
      throw invalid(
        `more than ${readingsMax} readings of several devices: ask for less time, or for mean and count only`,
      )
    return runningSums(readings, stretch.deviceIds, edges)
  }
}

async function* mapPages<From, To>(
  pages: AsyncIterable<readonly From[]>,
  map: (one: From) => To,
): AsyncGenerator<readonly To[]> {
  for await (const page of pages) yield page.map(map)
}

function spansOfStretch({ fromMs, toMs, deviceIds }: Stretch): DeviceSpan[] {
  return deviceIds.map((deviceId) => ({ deviceId, fromMs, toMs }))
}

/** For each span its windows by number. */
function bySpan(found: readonly SpanWindow[], spanCount: number): Map<number, SpanWindow>[] {
  const cells = Array.from({ length: spanCount }, () => new Map<number, SpanWindow>())
  for (const window of found) cells[window.span]?.set(window.window, window)
  return cells
}

function makeCursor(atMs: number, id: string): string {
  return Buffer.from(JSON.stringify([atMs, id])).toString('base64url')
}

function parseCursor(cursor: string): { atMs: number; id: string } {
  try {
    const [atMs, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [unknown, unknown] // checked next
    if (Number.isSafeInteger(atMs) && typeof id === 'string') return { atMs: atMs as number, id }
  } catch {
    // said below
  }
  throw invalid('cursor: is not one of ours')
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
