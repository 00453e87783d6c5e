/**
 * Questions about windows of time: series, the typical week, and how complete each hour is. What the store sums up is
 * taken from it; what only single readings say (running sums of several devices, quantiles, cars in and out, flags) is
 * folded from them as they come, so that no answer holds them all.
 */
import type { CompletenessRow } from '../core/contract/completeness.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Aggregate, Fill, Metric, ProfileRow, SeriesRow } from '../core/contract/query.ts'
import type { DatedCapacity } from '../core/contract/registry.ts'
import type { Found } from './answer-form.ts'
import type { Asker } from './answers.ts'
import { type FilledWindow, fillWindows } from './fill.ts'
import { flagsOf } from './flags.ts'
import { type Folded, StretchFold } from './fold.ts'
import { pagesOf } from './pages.ts'
import { capacityAt, type Stretch, stretchesOf } from './places.ts'
import { profileOf } from './profile.ts'
import { LotAccounts, type Report, type Reporter } from './report.ts'
import type { Among, LotSpans, Scope, Subject } from './scope.ts'
import { type LotWindow, lotWindows, type MeasuredStretch } from './series.ts'
import type { DeviceSpan, Store, StoredReading } from './store/store.ts'
import type { StuckWatch } from './stuck.ts'
import { type Every, everyText, type Windows, windowsOf } from './windows.ts'
import type { Zone } from './zone.ts'

export interface SeriesAnswersOptions {
  readonly store: Store
  readonly scope: Scope
  readonly reporter: Reporter
  /** Absent: only devices say that they are stuck. */
  readonly stuck?: StuckWatch | undefined
  readonly windowsMax: number
  readonly readingsMax: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

export interface WindowsQuestion {
  readonly among: Among
  readonly fromMs: number
  readonly toMs: number
  readonly every: Every
}

export interface SeriesQuestion extends WindowsQuestion {
  /** Undefined: how many spaces are taken, and rows do not say so. */
  readonly metrics: readonly Metric[] | undefined
  readonly aggregates: readonly Aggregate[]
  readonly fill: Fill
  readonly quality: 'all' | 'good'
}

export type ProfileQuestion = Omit<WindowsQuestion, 'every'> &
  Pick<SeriesQuestion, 'quality'> & { readonly metric: Metric }

interface Measured {
  readonly windows: Windows
  readonly lots: readonly { readonly lotId: string; readonly stretches: readonly MeasuredStretch[] }[]
  readonly report: Report
}

type Measuring = Pick<SeriesQuestion, 'aggregates' | 'quality'> & { readonly metrics: readonly Metric[] }

export class SeriesAnswers {
  readonly #options: SeriesAnswersOptions

  constructor(options: SeriesAnswersOptions) {
    this.#options = options
  }

  async series(question: SeriesQuestion, asker: Asker): Promise<Found<SeriesRow>> {
    const { aggregates, fill } = question
    const metrics = question.metrics ?? ['occupied']
    const { windows, lots, report } = await this.#measure(question, { ...question, metrics }, asker)
    const { edges } = windows
    const frames = framesOf(edges, asker.zone)
    const rowsOf = ({ lotId, stretches }: Measured['lots'][number], metric: Metric): SeriesRow[] => {
      const rows: SeriesRow[] = []
      for (const [i, window] of this.#filled(lotWindows(stretches, edges, metric), edges, fill).entries()) {
        if (fill === 'none' && window.count === 0) continue
        const { start, end } = frames[i] ?? nowhere
        // Member by member: there are as many rows as lots times windows, and spreading parts took a third of it all.
        const row: { -readonly [Name in keyof SeriesRow]: SeriesRow[Name] } = { lotId, start, end }
        if (question.metrics !== undefined) row.metric = metric
        // A count is a number in every row, and the rest may be null: as the type of the row has it.
        for (const name of aggregates) row[name] = window[name] as number
        if ('filled' in window) row.filled = window.filled
        rows.push(row)
      }
      return rows
    }
    // Made when they are written, and forgotten then: of whole answers two fifths of the time were garbage collection.
    const rows = function* (): Generator<readonly SeriesRow[]> {
      for (const lot of lots) for (const metric of metrics) yield rowsOf(lot, metric)
    }
    const rowCount = fill === 'none' ? undefined : lots.length * metrics.length * frames.length
    return { rows: rows(), rowCount, ...report, resolution: everyText(question.every) }
  }

  async profile(question: ProfileQuestion, asker: Asker): Promise<Found<ProfileRow>> {
    const { zone } = asker
    const every = { count: 1, unit: 'h' } as const
    const measuring = { metrics: [question.metric], aggregates: ['mean'] as const, quality: question.quality }
    const fromMs = zone.startOf('h', question.fromMs)
    const { windows, lots, report } = await this.#measure({ ...question, fromMs, every }, measuring, asker)
    const hours = windows.edges.slice(0, -1).map((startMs) => zone.hourOf(startMs))
    const rows = lots.flatMap(({ lotId, stretches }) =>
      profileOf(
        lotId,
        lotWindows(stretches, windows.edges, question.metric).map(({ mean }, i) => ({
          ...(hours[i] ?? zone.hourOf(fromMs)),
          mean,
        })),
      ),
    )
    return { rows, ...report, resolution: everyText(every) }
  }

  async completeness(question: WindowsQuestion, asker: Asker): Promise<Found<CompletenessRow>> {
    const { zone, signal, principal } = asker
    const lots = this.#options.scope.lotSpans(question.among, question, principal)
    const windows = this.#windowsOf(question, lots.length, zone)
    const subjects = lots.flatMap(subjectsOf)
    const cells = await this.#cellsOf(subjects, windows, question.toMs, signal)
    const accounts = new LotAccounts()
    const report = await this.#options.reporter.report(
      { subjects, cells, edges: windows.edges, format: (atMs) => zone.format(atMs), signal },
      (subject, ofSubject) => accounts.add(subject, ofSubject),
    )
    const frames = framesOf(windows.edges, zone)
    const rows = lots.flatMap(({ lotId }) =>
      (accounts.of(lotId) ?? []).map((account, i) => ({ lotId, ...(frames[i] ?? nowhere), ...account })),
    )
    return { rows, ...report, resolution: everyText(question.every) }
  }

  async #measure(question: WindowsQuestion, measuring: Measuring, asker: Asker): Promise<Measured> {
    const { fromMs, toMs } = question
    const { signal, zone } = asker
    const lots = this.#options.scope.lotSpans(question.among, question, asker.principal)
    const windows = this.#windowsOf(question, lots.length * measuring.metrics.length, zone)
    const needsCapacity = measuring.metrics.some((metric) => metric === 'free' || metric === 'utilisation')
    const cut = lots.map(({ lot, lotId, spans }) => {
      const changes = needsCapacity ? lot.capacities.map((capacity) => capacity.fromMs) : []
      const stretches = stretchesOf(spans, changes)
      if (stretches === undefined)
        throw invalid(`devices of ${lotId} came and went too often between these instants: ask for less time`)
      const dated = stretches.map((stretch) => ({
        ...stretch,
        capacity: capacityAt(lot.capacities, stretch.fromMs),
        capacities: lot.capacities,
      }))
      return { lotId, stretches: dated }
    })
    const subjects = cut.flatMap(({ lotId, stretches }) =>
      stretches.flatMap((stretch) => spansOfStretch(stretch).map((span) => ({ span, lotId }))),
    )
    const cells = await this.#cellsOf(subjects, windows, toMs, signal)
    const report = await this.#options.reporter.report({
      subjects,
      cells,
      edges: windows.edges,
      format: (atMs) => zone.format(atMs),
      signal,
    })
    const all = cut.flatMap(({ stretches }) => stretches)
    const folded = await this.#fold(all, { ...measuring, fromMs, toMs, edges: windows.edges, signal })
    let at = 0
    let number = 0
    return {
      windows,
      report,
      lots: cut.map(({ lotId, stretches }) => ({
        lotId,
        stretches: stretches.map((stretch) => {
          const devices = cells.slice(at, at + stretch.deviceIds.length)
          at += stretch.deviceIds.length
          const read = folded.get(number++)
          // What is good enough only single readings say.
          return {
            ...stretch,
            devices: measuring.quality === 'good' && read !== undefined ? read.cells : devices,
            folded: read,
          }
        }),
      })),
    }
  }

  #windowsOf(question: WindowsQuestion, seriesCount: number, zone: Zone): Windows {
    const windowsMax = Math.floor(this.#options.windowsMax / Math.max(1, seriesCount))
    const windows = windowsOf({ ...question, zone }, windowsMax)
    if (windows === undefined)
      throw invalid(
        `more than ${windowsMax} windows for each of ${seriesCount} series: ask for less time or longer windows`,
      )
    return windows
  }

  async #cellsOf(subjects: readonly Subject[], windows: Windows, toMs: number, signal: AbortSignal) {
    const spans = subjects.map(({ span }) => span)
    const found = await this.#options.store.windows(spans, windows.runs, toMs, signal)
    return spans.map((_, span) => found.of(span))
  }

  /** Stretches by number, of those whose single readings are needed. */
  async #fold(
    stretches: readonly (Stretch & { readonly capacities: readonly DatedCapacity[] })[],
    question: Measuring & { fromMs: number; toMs: number; edges: readonly number[]; signal: AbortSignal },
  ): Promise<Map<number, Folded>> {
    const { metrics, aggregates, quality, edges, toMs, signal } = question
    const needsFlows = metrics.some((metric) => metric === 'entries' || metric === 'exits')
    const keepsSamples = aggregates.includes('p95')
    const needsAll = needsFlows || keepsSamples || quality === 'good'
    const needsSums = aggregates.some(
      (name) => name === 'min' || name === 'max' || name === 'first' || name === 'last',
    )
    const wanted = stretches
      .map((stretch, number) => ({ stretch, number }))
      .filter(({ stretch }) => needsAll || (needsSums && stretch.deviceIds.length > 1))
    const folds = wanted.map(({ stretch, number }) => ({
      number,
      fold: new StretchFold(stretch, edges, { keepsSamples }),
      stretch,
    }))
    // Cars are counted from the reading before: one window further back is looked for it.
    const lookBackMs = needsFlows ? (edges[1] ?? question.fromMs) - question.fromMs : 0
    const fromMs = Math.max(0, question.fromMs - lookBackMs)
    const spans = wanted.flatMap(({ stretch }) =>
      spansOfStretch(stretch.fromMs <= question.fromMs ? { ...stretch, fromMs } : stretch),
    )
    const ofDevice = new Map<string, (typeof folds)[number][]>()
    for (const one of folds)
      for (const deviceId of one.stretch.deviceIds) {
        const known = ofDevice.get(deviceId) ?? []
        known.push(one)
        // A device counts for one lot after the other, whatever these are called.
        known.sort((a, b) => a.stretch.fromMs - b.stretch.fromMs)
        ofDevice.set(deviceId, known)
      }
    for await (const stored of this.#readingsOf(spans, { fromMs, toMs }, signal)) {
      const { timestampMs } = stored.reading
      const one = ofDevice.get(stored.deviceId)?.find(({ stretch }) => timestampMs < stretch.toMs)
      if (
        one === undefined ||
        (quality === 'good' && !isGood(stored, one.stretch.capacities, this.#options.stuck))
      )
        continue
      one.fold.add(stored)
    }
    return new Map(folds.map(({ number, fold }) => [number, fold.end()]))
  }

  async *#readingsOf(
    spans: readonly DeviceSpan[],
    range: { fromMs: number; toMs: number },
    signal: AbortSignal,
  ): AsyncGenerator<StoredReading> {
    if (spans.length === 0) return
    const { store, readingsMax } = this.#options
    let count = 0
    for await (const page of pagesOf(store, { ...range, spans, order: 'asc' }, signal)) {
      count += page.length
      if (count > readingsMax)
        throw invalid(
          `more than ${readingsMax} single readings would have to be read: ask for less time, or for mean and count of occupied only`,
        )
      yield* page
    }
  }

  #filled(
    windows: readonly LotWindow[],
    edges: readonly number[],
    fill: Fill,
  ): readonly (LotWindow | FilledWindow)[] {
    if (fill === 'none' || fill === 'null') return windows
    return fillWindows(windows, edges, { how: fill, untilMs: this.#options.now() })
  }
}

/** A flag other than being late says that something may be wrong with the value. */
function isGood(
  { deviceId, reading, receivedAtMs }: StoredReading,
  capacities: readonly DatedCapacity[],
  stuck: StuckWatch | undefined,
): boolean {
  const capacity = capacityAt(capacities, reading.timestampMs)
  const isStuck = stuck?.isStuck(deviceId, reading.timestampMs) === true
  return flagsOf(reading, receivedAtMs, { capacity, isStuck }).every((flag) => flag === 'late')
}

interface Frame {
  readonly start: string
  readonly end: string
}

/** For an index that there is not. */
const nowhere: Frame = { start: '', end: '' }

/** Where each window starts and ends, as it is written: once for all rows. */
function framesOf(edges: readonly number[], zone: Zone): Frame[] {
  const texts = edges.map((atMs) => zone.format(atMs))
  return texts.slice(0, -1).map((start, i) => ({ start, end: texts[i + 1] ?? start }))
}

function subjectsOf({ lotId, spans }: LotSpans): Subject[] {
  return spans.map((span) => ({ span, lotId }))
}

function spansOfStretch({ fromMs, toMs, deviceIds }: Stretch): DeviceSpan[] {
  return deviceIds.map((deviceId) => ({ deviceId, fromMs, toMs }))
}

function invalid(safeDetail: string): FleetError {
  return new FleetError('request.invalid', safeDetail, { safeDetail })
}
