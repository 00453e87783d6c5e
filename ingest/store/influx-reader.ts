/**
 * The reading side of the InfluxDB store, in InfluxQL.
 * InfluxQL joins nothing, and of times it knows one range a statement: so spans of the same range are asked for
 * together, each range is a statement, and rows are put in order and cut to the page here.
 */
import type { DeviceId } from '../../core/contract/device.ts'
import type { WindowRun } from '../windows.ts'
import { type DayBook, dayMs, type TimeRange } from './day-book.ts'
import { type InfluxClient, inPartsOf, type Row } from './influx-client.ts'
import {
  measurements,
  numberOf,
  presenceOf,
  quarantineFields,
  quarantineOf,
  readingFields,
  readingOf,
} from './influx-points.ts'
import { timeMsMax } from './line-protocol.ts'
import { SpanSums, type WindowPart } from './span-sums.ts'
import { cutPieces, grainOf, piecesOf, type SpanPiece } from './span-windows.ts'
import type {
  DeviceSpan,
  DeviceStatus,
  Instant,
  QuarantineRecord,
  StoredReading,
  StoreReader,
} from './store.ts'

/** Instants of a device closer than this are looked up together, with what lies between them. */
const sliceGapMs = 600_000

/** Entries of quarantine looked for by one statement. */
export const idsMax = 200

/** Some devices and a stretch of time, `toMs` exclusive; no devices: all of them. */
interface Range {
  readonly fromMs: number
  readonly toMs: number
  readonly deviceIds: readonly DeviceId[] | undefined
}

interface Page<Found> {
  /** What is asked of each range, up to its condition. */
  readonly select: string
  readonly condition?: string
  readonly ranges: readonly Range[]
  readonly order: 'asc' | 'desc'
  readonly limit: number
  /** Only what comes after this place in the order. */
  readonly after: Place | undefined
  readonly of: (row: Row) => Found
  readonly placeOf: (found: Found) => Place
  readonly signal: AbortSignal | undefined
}

/** Where a row stands in the order: by time, then by text. */
interface Place {
  readonly timeMs: number
  readonly id: string
}

export function createInfluxReader({ ask }: InfluxClient, book: DayBook): StoreReader {
  /** Windows of pieces of spans, a statement for each run and stretch of time. */
  async function sumsOf(
    pieces: readonly SpanPiece[],
    runs: readonly WindowRun[],
    statement: (run: WindowRun, range: Range) => string,
    signal: AbortSignal | undefined,
  ): Promise<WindowPart[]> {
    const asked = runs.flatMap((run) =>
      groupsOf(pieces, { fromMs: run.fromMs, toMs: run.fromMs + run.stepMs * run.count }).map((group) => ({
        run,
        ...group,
      })),
    )
    const found = await ask(
      asked.map(({ run, range }) => statement(run, range)),
      signal,
    )
    return asked.flatMap(({ run, range, spansOf }, i) =>
      (found[i] ?? []).flatMap((row) =>
        (spansOf.get(row.device as DeviceId) ?? []).map((piece) =>
          windowOf(row, run, { span: pieces[piece]?.span ?? 0, fromMs: range.fromMs }),
        ),
      ),
    )
  }

  async function rowsOf<Found>(page: Page<Found>, ranges: readonly Range[], rowsMax?: number) {
    const limit = rowsMax === undefined ? '' : ` LIMIT ${rowsMax}`
    return ask(
      ranges.map(
        (range) =>
          `${page.select} WHERE ${conditionOf(range)}${page.condition ?? ''} ORDER BY time ${page.order}${limit}`,
      ),
      page.signal,
    )
  }

  /**
   * A page in an order that is complete: the rows of one instant come in the order of their texts. InfluxDB orders by
   * time alone, so the instants that the page begins or ends in are asked for as a whole.
   */
  async function pageOf<Found>(page: Page<Found>): Promise<Found[]> {
    const { ranges, order, limit, after, placeOf } = page
    const open = ranges.map((range) => beyondOf(range, after, order)).filter(isNotEmpty)
    const found = await rowsOf(page, open, limit)
    const lastMs = found.map((rows) => (rows.length < limit ? undefined : timeOf(rows.at(-1))))
    const first = after === undefined ? [] : ranges.map((range) => clamp(range, instant(after.timeMs)))
    const edges = open.flatMap((range, i) => {
      const timeMs = lastMs[i]
      return timeMs === undefined ? [] : [{ ...range, ...instant(timeMs) }]
    })
    const whole = await rowsOf(page, [...first.filter(isNotEmpty), ...edges])
    const sign = order === 'asc' ? 1 : -1
    return [...found.flatMap((rows, i) => rows.filter((row) => timeOf(row) !== lastMs[i])), ...whole.flat()]
      .map(page.of)
      .filter((row) => after === undefined || sign * compare(placeOf(row), after) > 0)
      .sort((a, b) => sign * compare(placeOf(a), placeOf(b)))
      .slice(0, limit)
  }

  /** Entries with how often each came, since the first time too. */
  async function counted(
    entries: readonly QuarantineRecord[],
    signal: AbortSignal | undefined,
  ): Promise<QuarantineRecord[]> {
    const found = await ask(
      inPartsOf(idsMax, entries).map(
        (part) => `SELECT device, id, "count" FROM ${measurements.quarantineRepeats} WHERE ${oneOfIds(part)}`,
      ),
      signal,
    )
    const repeats = new Map<string, number>()
    for (const { device, id, count } of found.flat()) {
      const key = `${device}/${id}`
      repeats.set(key, (repeats.get(key) ?? 0) + Number(count))
    }
    return entries.map((entry) => ({
      ...entry,
      count: entry.count + (repeats.get(`${entry.deviceId}/${entry.id}`) ?? 0),
    }))
  }

  return {
    async lookup(instants) {
      const slices = slicesOf(instants)
      const found = await ask(
        slices.map(
          ({ range }) => `SELECT ${readingFields} FROM ${measurements.readings} WHERE ${conditionOf(range)}`,
        ),
      )
      return slices.flatMap(({ timesMs }, i) =>
        (found[i] ?? []).filter((row) => timesMs.has(timeOf(row))).map(readingOf),
      )
    },

    async readings({ fromMs, toMs, receivedFromMs, spans, order, limit, after }, signal) {
      const ranges =
        spans === undefined
          ? [clamp({ ...always, deviceIds: undefined }, { fromMs, toMs })]
          : groupsOf(spans, { fromMs, toMs }).map(({ range }) => range)
      return pageOf<StoredReading>({
        select: `SELECT ${readingFields} FROM ${measurements.readings}`,
        ...(receivedFromMs === undefined
          ? {}
          : { condition: ` AND receivedAtMs >= ${Math.ceil(receivedFromMs)}` }),
        ranges,
        order,
        limit,
        after: after && { timeMs: after.timestampMs, id: after.deviceId },
        of: readingOf,
        placeOf: ({ deviceId, reading }) => ({ timeMs: reading.timestampMs, id: deviceId }),
        signal,
      })
    },

    async windows(spans, runs, toMs, signal) {
      const [first] = runs
      const found = new SpanSums(runs)
      if (first === undefined) return found
      const grainMs = grainOf(runs)
      const within = { fromMs: first.fromMs, toMs }
      const rolledUp = book.rolledUp(within.fromMs, within.toMs)
      const cut = cutPieces(piecesOf(spans, within), rolledUp, grainMs)
      const rollups = grainMs === dayMs ? measurements.rollups1d : measurements.rollups15m
      for (const one of await sumsOf(cut.rest, runs, readingSums, signal)) found.add(one)
      for (const [generation, stretches] of stretchesOf(book, within)) {
        const { summed } = cutPieces(cut.summed, stretches, grainMs)
        const statement = (run: WindowRun, range: Range) => rollupSums(rollups, generation, run, range)
        for (const one of await sumsOf(summed, runs, statement, signal)) found.add(one)
      }
      return found
    },

    async quarantine({ deviceIds, reason, ids, limit, after }, signal) {
      if (deviceIds?.length === 0 || ids?.length === 0) return []
      const ofReason = reason === undefined ? '' : ` AND reason = ${quoted(reason)}`
      const among = ids === undefined ? '' : ` AND ${oneOfIds(ids.map((id) => ({ id })))}`
      const placeOf = ({ entry }: FoundEntry) => ({ timeMs: entry.receivedAtMs, id: entry.id })
      let place: Place | undefined = after && { timeMs: after.receivedAtMs, id: after.id }
      const entries: QuarantineRecord[] = []
      // InfluxQL cannot ask for what a field is missing of: what was released is passed over here.
      for (;;) {
        const page: FoundEntry[] = await pageOf<FoundEntry>({
          select: `SELECT ${quarantineFields} FROM ${measurements.quarantine}`,
          condition: ofReason + among,
          ranges: [{ ...always, deviceIds }],
          order: 'desc',
          limit,
          after: place,
          of: (row) => ({ entry: quarantineOf(row), isReleased: numberOf(row.releasedAtMs) !== undefined }),
          placeOf,
          signal,
        })
        entries.push(...page.filter(({ isReleased }) => !isReleased).map(({ entry }) => entry))
        const last = page.at(-1)
        if (page.length < limit || entries.length >= limit || last === undefined) break
        place = placeOf(last)
      }
      return counted(entries.slice(0, limit), signal)
    },

    async statuses(question, signal) {
      if (question.deviceIds.length === 0) return []
      const [rows = []] = await ask(
        [
          `SELECT device, kind, body FROM ${measurements.statuses} WHERE ${conditionOf(clamp(question, always))} ORDER BY time`,
        ],
        signal,
      )
      return rows.map((row) => ({
        deviceId: row.device as DeviceId, // written from one, as is kind
        receivedAtMs: timeOf(row),
        body: String(row.body),
        history: row.kind as DeviceStatus['history'],
      }))
    },

    async presence(question, signal) {
      if (question.deviceIds.length === 0) return []
      const before = clamp({ ...question, ...always, toMs: question.fromMs }, always)
      const [first = [], rows = []] = await ask(
        [
          `SELECT last(body) AS body FROM ${measurements.presence} WHERE ${conditionOf(before)} GROUP BY device`,
          `SELECT body FROM ${measurements.presence} WHERE ${conditionOf(clamp(question, always))} ORDER BY time`,
        ],
        signal,
      )
      const told = [...first.toSorted((a, b) => timeOf(a) - timeOf(b)), ...rows]
      // What was saved again after a failure is there twice.
      return [...new Map(told.map((row) => [row.body, row])).values()].map(presenceOf)
    },
  }
}

/** A text of InfluxQL. */
export function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}

/** @param entries at least one, at most `idsMax` */
export function oneOfIds(entries: readonly { readonly id: string }[]): string {
  return `(${entries.map(({ id }) => `id = ${quoted(id)}`).join(' OR ')})`
}

/** An entry of quarantine, and whether it has left it. */
interface FoundEntry {
  readonly entry: QuarantineRecord
  readonly isReleased: boolean
}

/** By generation of rollups the stretches of days for which it holds; days that no one has a reading of may be in them, too. */
function stretchesOf(book: DayBook, { fromMs, toMs }: TimeRange): Map<number, TimeRange[]> {
  const found = new Map<number, { fromMs: number; toMs: number }[]>()
  let last: number | undefined
  for (const { day, generation } of book.closed) {
    if ((day + 1) * dayMs <= fromMs || day * dayMs >= toMs) continue
    const stretches = found.get(generation) ?? []
    found.set(generation, stretches)
    const open = generation === last ? stretches.at(-1) : undefined
    if (open === undefined) stretches.push({ fromMs: day * dayMs, toMs: (day + 1) * dayMs })
    else open.toMs = (day + 1) * dayMs
    last = generation
  }
  return found
}

const always = { fromMs: -timeMsMax, toMs: timeMsMax }

function instant(timeMs: number): Pick<Range, 'fromMs' | 'toMs'> {
  return { fromMs: timeMs, toMs: timeMs + 1 }
}

function clamp<Of extends Pick<Range, 'fromMs' | 'toMs'>>(
  range: Of,
  within: Pick<Range, 'fromMs' | 'toMs'>,
): Of {
  return {
    ...range,
    fromMs: Math.max(range.fromMs, within.fromMs, always.fromMs),
    toMs: Math.min(range.toMs, within.toMs, always.toMs),
  }
}

function isNotEmpty({ fromMs, toMs }: Range): boolean {
  return fromMs < toMs
}

/** What is left of a range beyond the instant of a place; all of it when there is none. */
function beyondOf(range: Range, after: Place | undefined, order: 'asc' | 'desc'): Range {
  if (after === undefined) return range
  const { timeMs } = after
  return clamp(range, order === 'asc' ? { ...always, fromMs: timeMs + 1 } : { ...always, toMs: timeMs })
}

/** Device identifiers are safe between apostrophes and in a pattern by their grammar. */
function conditionOf({ fromMs, toMs, deviceIds }: Range): string {
  const time = `time >= ${fromMs}ms AND time < ${toMs}ms`
  if (deviceIds === undefined) return time
  if (deviceIds.length === 1) return `device = '${deviceIds[0]}' AND ${time}`
  return `device =~ /^(${deviceIds.join('|')})$/ AND ${time}`
}

interface Slice {
  readonly range: Range
  readonly timesMs: Set<number>
}

/** Instants by device, in slices without wide gaps. */
function slicesOf(instants: readonly Instant[]): Slice[] {
  const slices: Slice[] = []
  const last = new Map<DeviceId, { range: { toMs: number }; timesMs: Set<number> }>()
  for (const { deviceId, timestampMs } of instants.toSorted((a, b) => a.timestampMs - b.timestampMs)) {
    const slice = last.get(deviceId)
    if (slice !== undefined && timestampMs - slice.range.toMs < sliceGapMs) {
      slice.range.toMs = timestampMs + 1
      slice.timesMs.add(timestampMs)
    } else {
      const added = {
        range: { ...instant(timestampMs), deviceIds: [deviceId] },
        timesMs: new Set([timestampMs]),
      }
      last.set(deviceId, added)
      slices.push(added)
    }
  }
  return slices
}

interface Group {
  readonly range: Range
  /** For each device the spans that it is in the group for. */
  readonly spansOf: ReadonlyMap<DeviceId, readonly number[]>
}

/** Spans within a stretch of time, those of the same range together. */
function groupsOf(spans: readonly DeviceSpan[], within: Pick<Range, 'fromMs' | 'toMs'>): Group[] {
  const groups = new Map<string, { fromMs: number; toMs: number; spansOf: Map<DeviceId, number[]> }>()
  for (const [i, span] of spans.entries()) {
    const { fromMs, toMs } = clamp(span, within)
    if (fromMs >= toMs) continue
    const key = `${fromMs}/${toMs}`
    const group = groups.get(key) ?? { fromMs, toMs, spansOf: new Map<DeviceId, number[]>() }
    groups.set(key, group)
    group.spansOf.set(span.deviceId, [...(group.spansOf.get(span.deviceId) ?? []), i])
  }
  return [...groups.values()].map(({ fromMs, toMs, spansOf }) => ({
    range: { fromMs, toMs, deviceIds: [...spansOf.keys()] },
    spansOf,
  }))
}

/** Windows begin where the run does: InfluxDB counts them from 1970 on, moved by an offset. */
export function readingSums(run: WindowRun, range: Range): string {
  return `SELECT count(occupied) AS "counted", count(receivedAtMs) AS "all", sum(occupied) AS "sum", min(occupied) AS "min",
    max(occupied) AS "max", first(occupied) AS "first", last(occupied) AS "last", count(delayMs) AS "late", max(capacity) AS "capacity"
    FROM ${measurements.readings} WHERE ${conditionOf(range)} ${groupBy(run)}`
}

function rollupSums(measurement: string, generation: number, run: WindowRun, range: Range): string {
  return `SELECT sum(counted) AS "counted", sum("all") AS "all", sum("sum") AS "sum", min("min") AS "min",
    max("max") AS "max", first("first") AS "first", last("last") AS "last", sum(late) AS "late", max(capacity) AS "capacity"
    FROM ${measurement} WHERE generation = '${generation}' AND ${conditionOf(range)} ${groupBy(run)}`
}

function groupBy({ fromMs, stepMs }: WindowRun): string {
  return `GROUP BY time(${stepMs}ms, ${fromMs % stepMs}ms), device fill(none)`
}

/** @param of the piece of a span that it is a part for: no instant is in two of them, so its start tells their order */
export function windowOf(
  row: Row,
  { index, fromMs, stepMs }: WindowRun,
  of: { span: number; fromMs: number },
): WindowPart {
  const count = numberOf(row.counted) ?? 0
  const atMs = count === 0 ? null : Math.max(of.fromMs, timeOf(row))
  return {
    span: of.span,
    window: index + Math.floor((timeOf(row) - fromMs) / stepMs),
    count,
    silent: Number(row.all) - count,
    sum: numberOf(row.sum) ?? 0,
    min: numberOf(row.min) ?? null,
    max: numberOf(row.max) ?? null,
    first: numberOf(row.first) ?? null,
    last: numberOf(row.last) ?? null,
    firstMs: atMs,
    lastMs: atMs,
    late: numberOf(row.late) ?? 0,
    capacity: numberOf(row.capacity) ?? null,
  }
}

function timeOf(row: Row | undefined): number {
  return Number(row?.time)
}

function compare(a: Place, b: Place): number {
  return a.timeMs - b.timeMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
