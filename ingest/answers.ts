/**
 * The flow of a question: what it is about and what of that may be seen (`scope.ts`), what the store has of it, and how
 * complete that is (`report.ts`). Windows of time are in `series-answers.ts`, devices in `device-answers.ts`.
 */
import type { DeviceId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { LatestRow, LotRow, QuarantineRow, ReadingRow } from '../core/contract/query.ts'
import { futureMsMax } from '../core/contract/reading.ts'
import type { Found } from './answer-form.ts'
import { makeCursor, parseCursor } from './cursor.ts'
import { latestOf } from './latest.ts'
import type { Ledger } from './ledger.ts'
import type { Newest } from './newest.ts'
import { pagesOf } from './pages.ts'
import { capacityAt, type Places } from './places.ts'
import { readingRow } from './reading-row.ts'
import type { Report, Reporter } from './report.ts'
import type { Among, Scope, Subject } from './scope.ts'
import type { DeviceSpan, Store, StoredReading } from './store/store.ts'
import type { StuckWatch } from './stuck.ts'
import type { Zone } from './zone.ts'

export interface AnswersOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly newest: Newest
  readonly places: Places
  readonly scope: Scope
  readonly reporter: Reporter
  /** Absent: only devices say that they are stuck. */
  readonly stuck?: StuckWatch | undefined
  readonly staleAfterSec: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** Who asks, in which zone, and the end of the question when the client leaves. */
export interface Asker {
  readonly principal: Principal
  readonly zone: Zone
  readonly signal: AbortSignal
}

export interface ReadingsRequest {
  readonly among: Among
  readonly fromMs: number
  readonly toMs: number
  readonly receivedFromMs: number | undefined
  readonly order: 'asc' | 'desc'
  readonly quality: 'all' | 'good'
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

/** Completeness of readings is judged in about so many windows, of an hour at least. */
const windowsOfReport = 200
const hourMs = 3600_000

export class Answers {
  readonly #options: AnswersOptions

  constructor(options: AnswersOptions) {
    this.#options = options
  }

  lots(among: Among, { principal }: Asker): Found<LotRow> {
    const { scope } = this.#options
    const nowMs = this.#options.now()
    const rows = scope.lotSpansAt(among, nowMs, principal).map(({ lot, spans }) => ({
      lotId: lot.lotId,
      name: lot.name,
      capacity: capacityAt(lot.capacities, nowMs) ?? null,
      latitude: lot.latitude ?? null,
      longitude: lot.longitude ?? null,
      zone: lot.zone ?? null,
      openingHours: lot.openingHours ?? null,
      devices: spans.map(({ deviceId }) => deviceId),
    }))
    return { rows, gaps: [] }
  }

  async latest(among: Among, { principal, zone, signal }: Asker): Promise<Found<LatestRow>> {
    const { scope, newest, staleAfterSec } = this.#options
    const nowMs = this.#options.now()
    const lots = scope.lotSpansAt(among, nowMs, principal)
    const all = lots.flatMap(({ spans }) => spans)
    const last = await newest.of(all, signal)
    const rows = lots.map(({ lot, spans }) =>
      latestOf(
        lot,
        spans.map(({ deviceId }) => last.get(deviceId)),
        { zone, nowMs, staleAfterSec },
      ),
    )
    const subjects = lots.flatMap(({ lotId, spans }) => spans.map((span): Subject => ({ span, lotId })))
    // What holds now stands on the stale age before it.
    const range = { fromMs: nowMs - staleAfterSec * 1000, toMs: nowMs }
    return { rows, ...(await this.#reportOn(subjects, range, { zone, signal })) }
  }

  async readings(request: ReadingsRequest, asker: Asker): Promise<Found<ReadingRow>> {
    const { fromMs, toMs, receivedFromMs, order, quality, limit, cursor } = request
    const { store, scope } = this.#options
    const { zone, signal } = asker
    const spans = scope.spans(request.among, request, asker.principal)
    const report = await this.#reportOn(this.#subjectsOf(spans), { fromMs, toMs }, asker)
    const rowsOf = (page: readonly StoredReading[]) =>
      page
        .map((stored) => readingRow(stored, { ...this.#options, zone }))
        .filter(({ flags }) => quality === 'all' || flags.every((flag) => flag === 'late'))
    const question = { fromMs, toMs, receivedFromMs, spans, order }
    if (limit === undefined) {
      if (cursor !== undefined) throw invalid('cursor: goes with limit')
      return { rows: mapPages(pagesOf(store, question, signal), rowsOf), ...report }
    }
    const after = cursor === undefined ? undefined : parseCursor(cursor)
    const found = await store.readings(
      {
        ...question,
        limit: limit + 1,
        after: after && { timestampMs: after.atMs, deviceId: after.id as DeviceId }, // made of one
      },
      signal,
    )
    const page = found.slice(0, limit)
    const last = found.length > limit ? page.at(-1) : undefined
    return {
      rows: rowsOf(page),
      ...report,
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
        deviceIds: this.#options.scope.visibleDevices(principal, devices),
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

  /** Each device once in the whole of the time: what a lot has of it is not the question. */
  #subjectsOf(spans: readonly DeviceSpan[] | undefined): Subject[] {
    const { ledger, places } = this.#options
    const all =
      spans ??
      [...ledger.deviceIds()].map((deviceId) => ({ deviceId, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }))
    const nowMs = this.#options.now()
    return all.map((span) => ({
      span,
      lotId: places.lotOf(span.deviceId, Math.max(span.fromMs, Math.min(nowMs, span.toMs - 1))) ?? null,
    }))
  }

  async #reportOn(
    subjects: readonly Subject[],
    { fromMs, toMs }: { fromMs: number; toMs: number },
    { zone, signal }: Pick<Asker, 'zone' | 'signal'>,
  ): Promise<Report> {
    const { store, reporter } = this.#options
    const endMs = Math.min(toMs, this.#options.now() + futureMsMax)
    const lengthMs = Math.max(0, endMs - fromMs)
    const stepMs = Math.max(hourMs, Math.ceil(lengthMs / windowsOfReport / hourMs) * hourMs)
    const count = Math.ceil(lengthMs / stepMs)
    const spans = subjects.map(({ span }) => span)
    const runs = count === 0 ? [] : [{ index: 0, fromMs, stepMs, count }]
    const found = await store.windows(spans, runs, endMs, signal)
    const cells = spans.map((_, span) => found.of(span))
    const edges = [...Array.from({ length: count }, (_, i) => fromMs + i * stepMs), endMs]
    return reporter.report({ subjects, cells, edges, format: (atMs) => zone.format(atMs), signal })
  }
}

async function* mapPages<From, To>(
  pages: AsyncIterable<readonly From[]>,
  map: (page: readonly From[]) => readonly To[],
): AsyncGenerator<readonly To[]> {
  for await (const page of pages) yield map(page)
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
