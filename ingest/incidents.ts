/**
 * What the ledger knows of sequences that are not simply stored, placed in time: holes, what devices let go of,
 * duplicates, and what was quarantined. Pure.
 *
 * A missing sequence has no instant. But the sequences before and after it have, and an outbox counts in order: so it
 * lies between the two, in proportion. At the end of an epoch the next one begins where it ends.
 */
import type { DeviceId, Epoch } from '../core/contract/device.ts'
import type { EpochLedger, Ledger } from './ledger.ts'
import type { SequenceRange } from './ranges.ts'

/** Outboxes count from here. */
const firstSeq = 0

export type IncidentKind = 'lost' | 'dropped' | 'duplicate' | 'quarantined'

export interface Incident {
  readonly kind: IncidentKind
  readonly epoch: Epoch
  /** Both inclusive. */
  readonly fromSeq: number
  readonly toSeq: number
  /** Instants of the first and the last; undefined where nothing of the epoch has one. */
  readonly fromMs: number | undefined
  readonly toMs: number | undefined
  /** The device's own word. */
  readonly detail: string | undefined
  /** Whether the device still counts in this epoch, as far as is known. */
  readonly isOpen: boolean
}

const kinds = {
  stored: undefined,
  duplicate: 'duplicate',
  conflict: 'quarantined',
  quarantined: 'quarantined',
  dropped: 'dropped',
} as const satisfies Record<SequenceRange['outcome'], IncidentKind | undefined>

/** By epoch and sequence. */
export function incidentsOf(ledger: Ledger, deviceId: DeviceId): Incident[] {
  const all = [...ledger.epochsOf(deviceId)]
  if (all.every(([, epoch]) => isWhole(epoch))) return []
  const epochs = all.map(([epoch, { settled, endSeq }]) => ({
    epoch,
    endSeq,
    ranges: [...settled],
    lastSeq: settled.lastSeq,
  }))
  return epochs.flatMap(({ epoch, endSeq, ranges, lastSeq }, i) => {
    const before = epochs[i - 1]?.ranges.findLast(({ toMs }) => toMs !== undefined)?.toMs
    const after = epochs[i + 1]?.ranges.find(({ fromMs }) => fromMs !== undefined)?.fromMs
    const all = withHoles(ranges, Math.max(lastSeq, endSeq ?? -1))
    const isOpen = endSeq === undefined && i === epochs.length - 1
    return placed(all, { before, after }).map((part) => ({ epoch, isOpen, ...part }))
  })
}

/** Everything up to the last sequence is stored: so it is with most epochs of most devices. */
function isWhole({ settled, endSeq }: EpochLedger): boolean {
  const [range] = settled
  if (range === undefined) return endSeq === undefined || endSeq < firstSeq
  return (
    settled.count === 1 &&
    range.fromSeq === firstSeq &&
    kinds[range.outcome] === undefined &&
    range.toSeq >= (endSeq ?? firstSeq)
  )
}

interface Part extends Omit<SequenceRange, 'outcome'> {
  readonly kind: IncidentKind | undefined
}

/** Every sequence up to the last, with what it is; holes are lost. */
function withHoles(ranges: readonly SequenceRange[], lastSeq: number): Part[] {
  const parts: Part[] = []
  let next = firstSeq
  const addHole = (toSeq: number) => {
    if (next <= toSeq) parts.push({ kind: 'lost', fromSeq: next, toSeq })
  }
  for (const range of ranges) {
    addHole(range.fromSeq - 1)
    parts.push({ ...range, kind: kinds[range.outcome] })
    next = range.toSeq + 1
  }
  addHole(lastSeq)
  return parts
}

interface Anchor {
  readonly seq: number
  readonly atMs: number
}

function placed(
  parts: readonly Part[],
  { before, after }: { before: number | undefined; after: number | undefined },
): Omit<Incident, 'epoch' | 'isOpen'>[] {
  // What stands next to each part: the nearest sequence with an instant on either side.
  const nextOf: (Anchor | undefined)[] = []
  const lastSeq = parts.at(-1)?.toSeq ?? 0
  let anchor: Anchor | undefined = after === undefined ? undefined : { seq: lastSeq + 1, atMs: after }
  for (const [i, part] of [...parts.entries()].reverse()) {
    nextOf[i] = anchor
    if (part.fromMs !== undefined) anchor = { seq: part.fromSeq, atMs: part.fromMs }
  }
  let last: Anchor | undefined = before === undefined ? undefined : { seq: firstSeq - 1, atMs: before }
  return parts.flatMap((part, i) => {
    const { kind, fromSeq, toSeq, reason: detail } = part
    const known = part.fromMs === undefined ? undefined : { fromMs: part.fromMs, toMs: part.toMs }
    const place = known ?? between(last, nextOf[i], part)
    if (part.toMs !== undefined) last = { seq: toSeq, atMs: part.toMs }
    return kind === undefined ? [] : [{ kind, fromSeq, toSeq, ...place, detail }]
  })
}

function between(
  last: Anchor | undefined,
  next: Anchor | undefined,
  { fromSeq, toSeq }: Pick<Part, 'fromSeq' | 'toSeq'>,
): { fromMs: number | undefined; toMs: number | undefined } {
  // Known on one side only: it lies there, at the edge of what is known.
  if (last === undefined || next === undefined) {
    const atMs = (last ?? next)?.atMs
    return { fromMs: atMs, toMs: atMs }
  }
  const perSeq = (next.atMs - last.atMs) / (next.seq - last.seq)
  const at = (seq: number) => Math.round(last.atMs + (seq - last.seq) * perSeq)
  return { fromMs: at(fromSeq), toMs: at(toSeq) }
}

/** How many sequences of an incident lie in a stretch of time, those between its ends in equal steps. */
export function countIn(incident: Incident, { fromMs, toMs }: { fromMs: number; toMs: number }): number {
  const count = incident.toSeq - incident.fromSeq + 1
  const { fromMs: firstMs, toMs: lastMs } = incident
  if (firstMs === undefined || lastMs === undefined) return 0
  // A clock that was set back may have put the last before the first.
  const [startMs, endMs] = firstMs <= lastMs ? [firstMs, lastMs] : [lastMs, firstMs]
  if (endMs < fromMs || startMs >= toMs) return 0
  const stepMs = count === 1 ? 0 : (endMs - startMs) / (count - 1)
  if (stepMs === 0) return startMs >= fromMs && startMs < toMs ? count : 0
  const firstIndex = Math.max(0, Math.ceil((fromMs - startMs) / stepMs))
  const endIndex = Math.min(count, Math.ceil((toMs - startMs) / stepMs))
  return Math.max(0, endIndex - firstIndex)
}
