import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Outcome } from '../../../core/contract/reading.ts'
import { Ranges, type SequenceRange } from '../../../ingest/ranges.ts'

const outcomes = ['stored', 'duplicate', 'conflict', 'quarantined', 'dropped'] as const
const additions = fc.array(
  fc
    .record({ fromSeq: fc.nat(40), length: fc.nat(6), outcome: fc.constantFrom<Outcome[]>(...outcomes) })
    .map(({ fromSeq, length, outcome }): SequenceRange => ({ fromSeq, toSeq: fromSeq + length, outcome })),
  { maxLength: 40 },
)

/** Dropped gives way to all, what was set aside to what was stored. */
function rank(outcome: Outcome): number {
  if (outcome === 'dropped') return 0
  return outcome === 'stored' || outcome === 'duplicate' ? 2 : 1
}

/** What the ranges should say, one sequence at a time. */
function naive(added: readonly SequenceRange[]): Map<number, Outcome> {
  const known = new Map<number, Outcome>()
  for (const { fromSeq, toSeq, outcome } of added) {
    for (let seq = fromSeq; seq <= toSeq; seq++) {
      const there = known.get(seq)
      if (there === undefined || rank(there) < rank(outcome)) known.set(seq, outcome)
    }
  }
  return known
}

describe('ranges', () => {
  test('say of every sequence what a plain map says', () => {
    fc.assert(
      fc.property(additions, (added) => {
        const ranges = new Ranges()
        for (const range of added) ranges.add(range)

        const known = naive(added)
        for (let seq = 0; seq <= 50; seq++) expect(ranges.outcomeOf(seq)).toBe(known.get(seq))
      }),
    )
  })

  test('are sorted, apart, and merged where neighbours agree', () => {
    fc.assert(
      fc.property(additions, (added) => {
        const ranges = new Ranges()
        for (const range of added) ranges.add(range)

        const all = [...ranges]
        for (const [i, range] of all.entries()) {
          const next = all[i + 1]
          expect(range.fromSeq).toBeLessThanOrEqual(range.toSeq)
          if (next === undefined) continue
          expect(next.fromSeq).toBeGreaterThan(range.toSeq)
          expect(next.fromSeq === range.toSeq + 1 && next.outcome === range.outcome).toBe(false)
        }
      }),
    )
  })

  test('know the instants of their ends, however they came together', () => {
    const at = (seq: number): SequenceRange => ({
      fromSeq: seq,
      toSeq: seq,
      outcome: 'stored',
      fromMs: seq * 10,
      toMs: seq * 10,
    })

    for (const order of [
      [1, 2, 3],
      [3, 1, 2],
      [2, 3, 1],
    ])
      expect(rangesOf(order.map(at))).toEqual([{ ...at(1), toSeq: 3, toMs: 30 }])
    expect(rangesOf([at(2), { ...at(0), toSeq: 4, toMs: 40, outcome: 'duplicate' }])).toEqual([
      { ...at(0), toSeq: 1, toMs: 10, outcome: 'duplicate' },
      at(2),
      { ...at(3), toSeq: 4, toMs: 40, outcome: 'duplicate' },
    ])
  })

  test('leave as holes exactly what nothing is known of', () => {
    fc.assert(
      fc.property(additions, (added) => {
        const ranges = new Ranges()
        for (const range of added) ranges.add(range)

        const missing = ranges.holes(0, 50).flatMap(({ fromSeq, toSeq }) => sequence(fromSeq, toSeq))
        const known = naive(added)
        expect(missing).toEqual(sequence(0, 50).filter((seq) => !known.has(seq)))
      }),
    )
  })

  test('say the same of readings and drops in whatever order they become known', () => {
    const stored = fc.uniqueArray(fc.nat(30), { maxLength: 20 })
    const dropped = fc.array(fc.tuple(fc.nat(30), fc.nat(5)), { maxLength: 5 })
    fc.assert(
      fc.property(stored, dropped, fc.func(fc.integer()), (sequences, drops, rank) => {
        const added: SequenceRange[] = [
          ...sequences.map((seq) => ({ fromSeq: seq, toSeq: seq, outcome: 'stored' as const })),
          ...drops.map(([fromSeq, length]) => ({
            fromSeq,
            toSeq: fromSeq + length,
            outcome: 'dropped' as const,
          })),
        ]
        const shuffled = added.toSorted((a, b) => rank(a) - rank(b))

        expect(rangesOf(shuffled)).toEqual(rangesOf(added))
      }),
    )
  })
})

function rangesOf(added: readonly SequenceRange[]): SequenceRange[] {
  const ranges = new Ranges()
  for (const range of added) ranges.add(range)
  return [...ranges]
}

function sequence(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}
