/** The reading side of the DuckDB store: questions in SQL, and their rows in the words of the port. */
import { type DuckDBValue, listValue } from '@duckdb/node-api'
import type { Presence } from '../../core/contract/downlink.ts'
import { lateMs } from '../../core/contract/reading.ts'
import type { WindowRun } from '../windows.ts'
import { type DayBook, dayMs, dayOf, type TimeRange, without } from './day-book.ts'
import type { Names } from './duckdb-names.ts'
import type { Ask } from './duckdb-readers.ts'
import { partOf, quarantineRow, readingColumns, readingOf, statusRow } from './duckdb-rows.ts'
import { asTableRows, tableColumns } from './duckdb-segments.ts'
import type { DevicePiece, QuarterSums } from './quarter-sums.ts'
import { SpanSums } from './span-sums.ts'
import { coverOf, cutPieces, grainOf, piecesOf, rollupGrainMs } from './span-windows.ts'
import type { ClosedDay, DeviceSpan, HistoryQuestion, Instant, StoredReading, StoreReader } from './store.ts'

/** Instants further apart than this are looked up apart: one look across months was measured to take seconds. */
const sliceMs = 6 * 3600_000
/** With more slices than this, one look at all that their devices have takes less than a look at each. */
const slicesMax = 16

/** Scans of one question: what it leaves to readings is scattered at most over so many stretches of time. */
const scansMax = 8

/** Rollups of so few are added up here: to have them grouped takes DuckDB as long as to find them. */
const fewPiecesMax = 8

/** What is summed up, by window first, where from, and the name of its instant. */
interface Summing {
  readonly columns: string
  readonly source: string
  readonly at: string
  readonly condition: string
  /** Empty where rows are added up here. */
  readonly grouping?: string
}

export interface ReaderParts {
  readonly names: Names
  readonly book: DayBook
  readonly sums: QuarterSums
  /** A file on this machine with a day's segment. */
  readonly segmentFile: (day: ClosedDay) => Promise<string>
}

export function createDuckDBReader(ask: Ask, { names, book, sums, segmentFile }: ReaderParts): StoreReader {
  /** The spans of devices the database knows. */
  function piecesWithin(spans: readonly DeviceSpan[], within: TimeRange): DevicePiece[] {
    return piecesOf(spans, within).flatMap((piece) => {
      const device = names.knownDevice(piece.deviceId)
      return device === undefined ? [] : [{ ...piece, device }]
    })
  }

  /** Where the readings of a range are: in the table, and in segments of days that were taken out of it. */
  async function sourceOf(days: readonly ClosedDay[]): Promise<string> {
    if (days.length === 0) return 'readings'
    const files = await Promise.all(days.map(segmentFile))
    return `(SELECT ${tableColumns} FROM readings UNION ALL ${asTableRows(files)})`
  }

  /**
   * A range in parts, in order: each day that is in a segment alone, and what lies between. A segment may have to be
   * fetched from far away, and there may be more of them than fit on the disk.
   */
  function partsOf(range: TimeRange): { range: TimeRange; days: readonly ClosedDay[] }[] {
    const inSegments = book.inSegments(range).map((day) => ({
      range: {
        fromMs: Math.max(range.fromMs, day.day * dayMs),
        toMs: Math.min(range.toMs, (day.day + 1) * dayMs),
      },
      days: [day],
    }))
    const others = without(
      range,
      inSegments.map((part) => part.range),
    ).map((part) => ({ range: part, days: [] }))
    return [...inSegments, ...others].sort((a, b) => a.range.fromMs - b.range.fromMs)
  }

  /** Adds up pieces of spans: those of one stretch of time by their device alone, which most are, others by a join. */
  async function addSums(
    found: SpanSums,
    pieces: readonly DevicePiece[],
    { columns, source, at, condition, grouping = 'GROUP BY ALL' }: Summing,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { alike, others } = alikeAmong(pieces)
    const [first] = alike
    if (first !== undefined) {
      const spanOf = new Map(alike.map(({ device, span }) => [device, span]))
      const rows = await ask(
        `SELECT r.device, ${columns} FROM ${source} r
         WHERE ${at} >= ${first.fromMs} AND ${at} < ${first.toMs} AND ${devicesAre([...spanOf.keys()])} AND ${condition} ${grouping}`,
        undefined,
        signal,
      )
      for (const [device, ...row] of rows) {
        const span = spanOf.get(Number(device))
        if (span !== undefined) found.add(partOf(span, row))
      }
    }
    const [cover] = coverOf(others, 1)
    if (cover === undefined) return
    const rows = await ask(
      `SELECT s.span, ${columns} FROM ${source} r JOIN (${spanRows}) s
         ON s.device = r.device AND ${at} >= s.from_ms AND ${at} < s.to_ms
       WHERE ${at} >= ${cover.fromMs} AND ${at} < ${cover.toMs} AND ${condition} ${grouping}`,
      spanValues(others),
      signal,
    )
    for (const [span, ...row] of rows) found.add(partOf(Number(span), row))
  }

  /** Of few devices each by name; of many it is quicker to leave some out later. */
  function devicesAre(devices: readonly number[]): string {
    if (devices.length === 1) return `r.device = ${devices[0]}`
    return devices.length * 2 > names.deviceCount ? 'true' : `r.device IN (${devices.join()})`
  }

  /** Sums of readings of these pieces of spans in a range. */
  async function addReadings(
    found: SpanSums,
    { range, days }: { range: TimeRange; days: readonly ClosedDay[] },
    pieces: readonly DevicePiece[],
    runs: readonly WindowRun[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const within = pieces.flatMap((piece) => {
      const fromMs = Math.max(piece.fromMs, range.fromMs)
      const toMs = Math.min(piece.toMs, range.toMs)
      return fromMs < toMs ? [{ ...piece, fromMs, toMs }] : []
    })
    if (within.length === 0) return
    const columns = `${windowOf(runs, 'r.timestamp_ms')}, count(r.occupied)::INTEGER, (count(*) - count(r.occupied))::INTEGER,
      coalesce(sum(r.occupied), 0)::DOUBLE, min(r.occupied), max(r.occupied),
      arg_min(r.occupied, r.timestamp_ms), arg_max(r.occupied, r.timestamp_ms),
      (min(r.timestamp_ms) FILTER (r.occupied IS NOT NULL))::DOUBLE,
      (max(r.timestamp_ms) FILTER (r.occupied IS NOT NULL))::DOUBLE,
      (count(*) FILTER (r.received_at_ms - r.timestamp_ms > ${lateMs}))::INTEGER, max(r.capacity)`
    const summing = { columns, source: await sourceOf(days), at: 'r.timestamp_ms', condition: 'true' }
    await addSums(found, within, summing, signal)
  }

  /** The same from rollups. */
  async function addRollups(
    found: SpanSums,
    pieces: readonly DevicePiece[],
    runs: readonly WindowRun[],
    grainMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const [cover] = coverOf(pieces, 1)
    if (cover === undefined) return
    const days = book.closed.filter(
      ({ day }) => (day + 1) * dayMs > cover.fromMs && day * dayMs < cover.toMs && !sums.holds(day * dayMs),
    )
    if (days.length === 0) return
    const window = windowOf(runs, 'r.from_ms')
    const isFew = pieces.length <= fewPiecesMax
    const columns = isFew
      ? `${window}, r.counted, r.silent, r.sum::DOUBLE, r.min, r.max, r.first, r.last, r.from_ms::DOUBLE, r.from_ms::DOUBLE, r.late, r.capacity`
      : `${window}, sum(r.counted)::INTEGER, sum(r.silent)::INTEGER, sum(r.sum)::DOUBLE,
      min(r.min), max(r.max), arg_min(r.first, r.from_ms), arg_max(r.last, r.from_ms),
      (min(r.from_ms) FILTER (r.counted > 0))::DOUBLE, (max(r.from_ms) FILTER (r.counted > 0))::DOUBLE,
      sum(r.late)::INTEGER, max(r.capacity)`
    const source = grainMs === dayMs ? 'rollups_1d' : 'rollups_15m'
    const grouping = isFew ? '' : 'GROUP BY ALL'
    const summing = { columns, source, at: 'r.from_ms', condition: generationsAre(days), grouping }
    await addSums(found, pieces, summing, signal)
  }

  const reader: StoreReader = {
    async lookup(instants) {
      const found: StoredReading[] = []
      const slices = slicesOf(instants)
      for (const slice of slices.length > slicesMax ? [slices.flat()] : slices) {
        const devices = slice.map(({ deviceId }) => names.knownDevice(deviceId) ?? -1)
        const days = new Set(slice.map(({ timestampMs }) => dayOf(timestampMs)))
        const range = { fromMs: slice[0]?.timestampMs ?? 0, toMs: (slice.at(-1)?.timestampMs ?? 0) + 1 }
        const source = await sourceOf(book.inSegments(range).filter(({ day }) => days.has(day)))
        const rows = await ask(
          `SELECT ${readingColumns} FROM ${source} r JOIN (SELECT DISTINCT unnest($devices::INTEGER[]) AS device, unnest($instants::BIGINT[]) AS at) q
             ON r.device = q.device AND r.timestamp_ms = q.at
           WHERE r.timestamp_ms BETWEEN $first AND $last AND r.device IN (${[...new Set(devices)].join()})`,
          {
            devices: integers(devices),
            instants: bigints(slice.map(({ timestampMs }) => timestampMs)),
            first: BigInt(range.fromMs),
            last: BigInt(range.toMs - 1),
          },
        )
        for (const row of rows) found.push(readingOf(row, names))
      }
      return found
    },

    async readings({ fromMs, toMs, receivedFromMs, spans, order, limit, after }, signal) {
      const pieces = spans === undefined ? undefined : piecesWithin(spans, { fromMs, toMs })
      if (pieces?.length === 0) return []
      const direction = order === 'asc' ? 'ASC' : 'DESC'
      const beyond = order === 'asc' ? '>' : '<'
      // Nothing before the place to go on from is looked for.
      const range =
        after === undefined
          ? { fromMs, toMs }
          : order === 'asc'
            ? { fromMs: Math.max(fromMs, after.timestampMs), toMs }
            : { fromMs, toMs: Math.min(toMs, after.timestampMs + 1) }
      const parts = partsOf(range)
      const found: StoredReading[] = []
      for (const part of order === 'asc' ? parts : parts.reverse()) {
        const rows = await ask(
          `SELECT ${readingColumns} FROM ${await sourceOf(part.days)} r JOIN devices d ON d.device = r.device
           ${spans === undefined ? '' : `JOIN (${spanRows}) s ON s.device = r.device AND r.timestamp_ms >= s.from_ms AND r.timestamp_ms < s.to_ms`}
           WHERE r.timestamp_ms >= $from AND r.timestamp_ms < $to
           ${receivedFromMs === undefined ? '' : `AND r.received_at_ms >= ${Math.ceil(receivedFromMs)}`}
           ${after === undefined ? '' : `AND (r.timestamp_ms ${beyond} $afterMs OR (r.timestamp_ms = $afterMs AND d.device_id ${beyond} $afterDevice))`}
           ORDER BY r.timestamp_ms ${direction}, d.device_id ${direction} LIMIT ${limit - found.length}`,
          {
            from: BigInt(part.range.fromMs),
            to: BigInt(part.range.toMs),
            ...(pieces === undefined ? {} : spanValues(pieces)),
            ...(after === undefined
              ? {}
              : { afterMs: BigInt(after.timestampMs), afterDevice: after.deviceId }),
          },
          signal,
        )
        for (const row of rows) found.push(readingOf(row, names))
        if (found.length >= limit) break
      }
      return found
    },

    async windows(spans, runs, toMs, signal) {
      const [first] = runs
      const found = new SpanSums(runs)
      if (first === undefined) return found
      const grainMs = grainOf(runs)
      const pieces = piecesWithin(spans, { fromMs: first.fromMs, toMs })
      const inMemory = cutPieces(pieces, sums.days, grainMs && rollupGrainMs)
      const rolledUp = cutPieces(inMemory.rest, book.rolledUp(first.fromMs, toMs), grainMs)
      sums.addTo(found, inMemory.summed, runs)
      for (const part of coverOf(rolledUp.rest, scansMax).flatMap(partsOf))
        await addReadings(found, part, rolledUp.rest, runs, signal)
      if (grainMs !== undefined) await addRollups(found, rolledUp.summed, runs, grainMs, signal)
      return found
    },

    async quarantine({ deviceIds, reason, ids, limit, after }, signal) {
      if (deviceIds?.length === 0 || ids?.length === 0) return []
      const rows = await ask(
        `SELECT id, device_id, credential_id, received_at_ms, reason, epoch_id, seq, timestamp_ms, count, content,
           content_hash, stored_occupied FROM quarantine
         WHERE ($reason IS NULL OR reason = $reason)
         ${deviceIds === undefined ? '' : 'AND device_id IN (SELECT unnest($deviceIds::VARCHAR[]))'}
         ${ids === undefined ? '' : 'AND id IN (SELECT unnest($ids::VARCHAR[]))'}
         ${after === undefined ? '' : 'AND (received_at_ms < $afterMs OR (received_at_ms = $afterMs AND id < $afterId))'}
         ORDER BY received_at_ms DESC, id DESC LIMIT ${limit}`,
        {
          reason: reason ?? null,
          ...(deviceIds === undefined ? {} : { deviceIds: listValue([...deviceIds]) }),
          ...(ids === undefined ? {} : { ids: listValue([...ids]) }),
          ...(after === undefined ? {} : { afterMs: BigInt(after.receivedAtMs), afterId: after.id }),
        },
        signal,
      )
      return rows.map(quarantineRow)
    },

    async statuses(question, signal) {
      if (question.deviceIds.length === 0) return []
      const rows = await ask(
        `SELECT device_id, received_at_ms, body, is_change FROM status_history
         WHERE received_at_ms >= $from AND received_at_ms < $to AND device_id IN (SELECT unnest($devices::VARCHAR[]))
         ORDER BY received_at_ms, device_id`,
        historyValues(question),
        signal,
      )
      return rows.map(statusRow)
    },

    async presence(question, signal) {
      if (question.deviceIds.length === 0) return []
      const among = 'device_id IN (SELECT unnest($devices::VARCHAR[]))'
      const rows = await ask(
        `SELECT arg_max(body, at_ms) AS body, max(at_ms) AS at_ms FROM presence
         WHERE at_ms < $from AND ${among} GROUP BY device_id
         UNION ALL SELECT body, at_ms FROM presence WHERE at_ms >= $from AND at_ms < $to AND ${among}
         ORDER BY at_ms`,
        historyValues(question),
        signal,
      )
      return rows.map(([body]) => JSON.parse(String(body)) as Presence) // written by savePresence
    },
  }

  return {
    ...reader,
    lookup: (instants) => book.steady(() => reader.lookup(instants)),
    readings: (...question) => book.steady(() => reader.readings(...question)),
    windows: (...question) => book.steady(() => reader.windows(...question)),
  }
}

function historyValues({ deviceIds, fromMs, toMs }: HistoryQuestion) {
  return { devices: listValue([...deviceIds]), from: BigInt(fromMs), to: BigInt(toMs) }
}

/** Pieces of one and the same stretch of time, each of another device, and the others. */
function alikeAmong(pieces: readonly DevicePiece[]): { alike: DevicePiece[]; others: DevicePiece[] } {
  const byRange = new Map<string, DevicePiece[]>()
  for (const piece of pieces) {
    const key = `${piece.fromMs}/${piece.toMs}`
    const known = byRange.get(key)
    if (known === undefined) byRange.set(key, [piece])
    else known.push(piece)
  }
  const most = [...byRange.values()].reduce((a, b) => (b.length > a.length ? b : a), [])
  const alike = new Map(most.map((piece) => [piece.device, piece]))
  const isAlike = (piece: DevicePiece) => alike.get(piece.device) === piece
  return { alike: [...alike.values()], others: pieces.filter((piece) => !isAlike(piece)) }
}

/** Sums of earlier closings may still be there: those that hold, day by day. */
function generationsAre(days: readonly ClosedDay[]): string {
  const generations = [...new Set(days.map(({ generation }) => generation))]
  const each = generations.map((generation) => {
    const of = days.filter((day) => day.generation === generation)
    return `(r.generation = ${generation} AND r.day IN (${of.map(({ day }) => day).join()}))`
  })
  return `(${each.join(' OR ')})`
}

/** Pieces as parameters of `spanRows`: at least one, since DuckDB cannot tell the type of an empty list. */
function spanValues(pieces: readonly DevicePiece[]) {
  return {
    spans: integers(pieces.map(({ span }) => span)),
    devices: integers(pieces.map(({ device }) => device)),
    froms: bigints(pieces.map(({ fromMs }) => fromMs)),
    tos: bigints(pieces.map(({ toMs }) => toMs)),
  }
}

const spanRows = `SELECT unnest($spans::INTEGER[]) AS span, unnest($devices::INTEGER[]) AS device,
  unnest($froms::BIGINT[]) AS from_ms, unnest($tos::BIGINT[]) AS to_ms`

/** The number of the window an instant falls into. */
function windowOf(runs: readonly WindowRun[], at: string): string {
  const cases = runs.map(
    ({ index, fromMs, stepMs, count }) =>
      `WHEN ${at} < ${fromMs + stepMs * count} THEN ${index} + (${at} - ${fromMs}) // ${stepMs}`,
  )
  return `(CASE ${cases.join(' ')} END)::INTEGER`
}

/** Instants in order of time, in slices without wide gaps. */
function slicesOf(instants: readonly Instant[]): Instant[][] {
  const slices: Instant[][] = []
  for (const instant of instants.toSorted((a, b) => a.timestampMs - b.timestampMs)) {
    const slice = slices.at(-1)
    const start = slice?.[0]?.timestampMs
    if (slice === undefined || start === undefined || instant.timestampMs - start > sliceMs)
      slices.push([instant])
    else slice.push(instant)
  }
  return slices
}

function integers(values: readonly number[]): DuckDBValue {
  return listValue([...values])
}

function bigints(values: readonly number[]): DuckDBValue {
  return listValue(values.map(BigInt))
}
