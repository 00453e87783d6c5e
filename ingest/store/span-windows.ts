/** Windows of spans that were summed up in parts, put together: the parts of a window have no instant in common. */

import type { WindowRun } from '../windows.ts'
import { dayMs, type TimeRange } from './day-book.ts'
import type { DeviceSpan, SpanWindow } from './store.ts'

/** A part of a window, and the instants that its first and its last value stand at; null when it has no value. */
export interface WindowPart extends SpanWindow {
  readonly firstMs: number | null
  readonly lastMs: number | null
}

/** What rollups are made for: longer windows are made up of these. */
export const rollupGrainMs = 900_000

/** The widest windows of rollups that these are made up of; undefined when there are none. */
export function grainOf(runs: readonly WindowRun[]): number | undefined {
  return [dayMs, rollupGrainMs].find((grainMs) =>
    runs.every(({ fromMs, stepMs }) => fromMs % grainMs === 0 && stepMs % grainMs === 0),
  )
}

/** A part of a span, in a question about spans. */
export interface SpanPiece extends DeviceSpan {
  readonly span: number
}

/** Spans as pieces, as far as they lie within a range. */
export function piecesOf(spans: readonly DeviceSpan[], within: TimeRange): SpanPiece[] {
  return spans.flatMap(({ deviceId, ...range }, span) => {
    const fromMs = Math.max(range.fromMs, within.fromMs)
    const toMs = Math.min(range.toMs, within.toMs)
    return fromMs < toMs ? [{ span, deviceId, fromMs, toMs }] : []
  })
}

/**
 * Cuts pieces into what sums answer for and what is left.
 * @param summed stretches of whole days, in order
 * @param grainMs what sums are of; undefined: windows are not made up of them
 */
export function cutPieces<Piece extends SpanPiece>(
  pieces: readonly Piece[],
  summed: readonly TimeRange[],
  grainMs: number | undefined,
): { summed: Piece[]; rest: Piece[] } {
  if (grainMs === undefined || summed.length === 0) return { summed: [], rest: [...pieces] }
  const cut: { summed: Piece[]; rest: Piece[] } = { summed: [], rest: [] }
  for (const piece of pieces) {
    let { fromMs } = piece
    const alignedFromMs = Math.ceil(fromMs / grainMs) * grainMs
    const alignedToMs = Math.floor(piece.toMs / grainMs) * grainMs
    for (const stretch of summed) {
      const start = Math.max(stretch.fromMs, alignedFromMs)
      const end = Math.min(stretch.toMs, alignedToMs)
      if (start >= end) continue
      if (fromMs < start) cut.rest.push({ ...piece, fromMs, toMs: start })
      cut.summed.push({ ...piece, fromMs: start, toMs: end })
      fromMs = end
    }
    if (fromMs < piece.toMs) cut.rest.push({ ...piece, fromMs })
  }
  return cut
}

/**
 * The stretches of time that pieces lie in, in order and apart from each other.
 * @param max of more stretches, those with the least between them become one
 */
export function coverOf(pieces: readonly TimeRange[], max: number): TimeRange[] {
  const stretches: { fromMs: number; toMs: number }[] = []
  for (const { fromMs, toMs } of pieces.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const last = stretches.at(-1)
    if (last !== undefined && fromMs <= last.toMs) last.toMs = Math.max(last.toMs, toMs)
    else stretches.push({ fromMs, toMs })
  }
  const gapAfter = (i: number) =>
    (stretches[i + 1]?.fromMs ?? Number.POSITIVE_INFINITY) - (stretches[i]?.toMs ?? 0)
  const kept = new Set(
    stretches
      .map((_, i) => i)
      .sort((a, b) => gapAfter(b) - gapAfter(a))
      .slice(0, max),
  )
  const cover: { fromMs: number; toMs: number }[] = []
  let start: number | undefined
  for (const [i, { fromMs, toMs }] of stretches.entries()) {
    start ??= fromMs
    if (!kept.has(i)) continue
    cover.push({ fromMs: start, toMs })
    start = undefined
  }
  return cover
}

export function mergeWindows(parts: Iterable<WindowPart>): SpanWindow[] {
  const bySpan: WindowPart[][] = []
  for (const part of parts) {
    let windows = bySpan[part.span]
    if (windows === undefined) {
      windows = []
      bySpan[part.span] = windows
    }
    const there = windows[part.window]
    windows[part.window] = there === undefined ? part : joined(there, part)
  }
  const merged: SpanWindow[] = []
  // Where there is none, `forEach` does not go.
  bySpan.forEach((windows) => {
    windows.forEach((part) => {
      merged.push(windowOf(part))
    })
  })
  return merged
}

/** Member by member: spread, with two left out, it takes several times as long. */
function windowOf(part: WindowPart): SpanWindow {
  const { span, window, count, silent, sum, min, max, first, last, late, capacity } = part
  return { span, window, count, silent, sum, min, max, first, last, late, capacity }
}

function joined(a: WindowPart, b: WindowPart): WindowPart {
  const first = (a.firstMs ?? Number.POSITIVE_INFINITY) <= (b.firstMs ?? Number.POSITIVE_INFINITY) ? a : b
  const last = (a.lastMs ?? Number.NEGATIVE_INFINITY) >= (b.lastMs ?? Number.NEGATIVE_INFINITY) ? a : b
  return {
    span: a.span,
    window: a.window,
    count: a.count + b.count,
    silent: a.silent + b.silent,
    sum: a.sum + b.sum,
    min: least(a.min, b.min),
    max: greatest(a.max, b.max),
    first: first.first,
    firstMs: first.firstMs,
    last: last.last,
    late: a.late + b.late,
    capacity: greatest(a.capacity, b.capacity),
    lastMs: last.lastMs,
  }
}

function least(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b)
}

function greatest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b)
}
