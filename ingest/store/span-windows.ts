/** Spans cut into pieces, for what has sums of them and for what has to be read. Pure. */

import type { WindowRun } from '../windows.ts'
import { dayMs, type TimeRange } from './day-book.ts'
import type { DeviceSpan } from './store.ts'

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
