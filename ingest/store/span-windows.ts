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

/**
 * Cuts spans into what rollups answer for and what is left to readings.
 * @param rolledUp stretches of whole days, in order
 */
export function cutSpans(
  spans: readonly DeviceSpan[],
  within: TimeRange,
  { rolledUp, grainMs }: { rolledUp: readonly TimeRange[]; grainMs: number },
): { rolledUp: SpanPiece[]; raw: SpanPiece[] } {
  const pieces: { rolledUp: SpanPiece[]; raw: SpanPiece[] } = { rolledUp: [], raw: [] }
  for (const [span, { deviceId, ...range }] of spans.entries()) {
    let fromMs = Math.max(range.fromMs, within.fromMs)
    const toMs = Math.min(range.toMs, within.toMs)
    const alignedFromMs = Math.ceil(fromMs / grainMs) * grainMs
    const alignedToMs = Math.floor(toMs / grainMs) * grainMs
    for (const stretch of rolledUp) {
      const start = Math.max(stretch.fromMs, alignedFromMs)
      const end = Math.min(stretch.toMs, alignedToMs)
      if (start >= end) continue
      if (fromMs < start) pieces.raw.push({ span, deviceId, fromMs, toMs: start })
      pieces.rolledUp.push({ span, deviceId, fromMs: start, toMs: end })
      fromMs = end
    }
    if (fromMs < toMs) pieces.raw.push({ span, deviceId, fromMs, toMs })
  }
  return pieces
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
  const merged = new Map<string, WindowPart>()
  for (const part of parts) {
    const key = `${part.span}/${part.window}`
    const there = merged.get(key)
    merged.set(key, there === undefined ? part : joined(there, part))
  }
  return [...merged.values()].map(({ firstMs: _first, lastMs: _last, ...window }) => window)
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
