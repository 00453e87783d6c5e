import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createGate, type Gate, occupiedOf, withCount } from '../../../../agent/sensors/gates.ts'

const ways = { entry: 17, exit: 27 }
const lane = { outer: 5, inner: 6 }

/** Plays edges a second apart: `+17` a car comes into the beam of line 17, `-17` it leaves it. */
function play(gate: Gate, edges: string, everyMs = 1000): (string | undefined)[] {
  return edges.split(' ').map((word, i) => {
    const line = Math.abs(Number(word))
    return gate.edge({ line, isActive: word.startsWith('+'), atMs: i * everyMs })
  })
}

describe('a gate with a beam for each way', () => {
  it('counts a car when it comes into the beam, and once', () => {
    const gate = createGate(ways, 30)
    expect(play(gate, '+17 -17 +27 -27 +17 -17')).toEqual([
      'entry',
      undefined,
      'exit',
      undefined,
      'entry',
      undefined,
    ])
    expect(gate.counts).toEqual({ entries: 2, exits: 1 })
  })

  it('does not count the bouncing of a contact', () => {
    const gate = createGate(ways, 30)
    play(gate, '+17 -17 +17 -17 +17', 5)
    expect(gate.counts).toEqual({ entries: 1, exits: 0 })
  })

  it('does not count an edge that says what is known already', () => {
    const gate = createGate(ways, 0)
    play(gate, '+17 +17 +17 -17')
    expect(gate.counts.entries).toBe(1)
  })

  it('knows since when a car has been in a beam, which is blocked when that is long', () => {
    const gate = createGate(ways, 0)
    play(gate, '+17 -17 +27')
    expect(gate.activeSinceMs).toBe(2000)
    gate.forget()
    expect(gate.activeSinceMs).toBeUndefined()
  })
})

describe('a lane with two beams in a row', () => {
  it.each([
    ['a car that comes in', '+5 +6 -5 -6', { entries: 1, exits: 0 }],
    ['a car that goes out', '+6 +5 -6 -5', { entries: 0, exits: 1 }],
    ['a car that comes in and is followed by another', '+5 +6 -5 -6 +5 +6 -5 -6', { entries: 2, exits: 0 }],
  ])('counts %s', (_, edges, counts) => {
    const gate = createGate(lane, 0)
    play(gate, edges)
    expect(gate.counts).toEqual(counts)
  })

  it.each([
    ['a car that goes back', '+5 +6 -6 -5'],
    ['a car that only looks in', '+5 -5'],
    ['somebody on foot, who is in one beam at a time', '+5 -5 +6 -6'],
    ['a car that goes to and fro and leaves where it came from', '+5 +6 -5 +5 -6 -5'],
  ])('does not count %s', (_, edges) => {
    const gate = createGate(lane, 0)
    play(gate, edges)
    expect(gate.counts).toEqual({ entries: 0, exits: 0 })
  })

  it('never counts more cars than have covered both beams, whatever the edges', () => {
    const edge = fc.record({ line: fc.constantFrom(5, 6), isActive: fc.boolean(), gapMs: fc.nat(100) })
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 200 }), (edges) => {
        const gate = createGate(lane, 30)
        let atMs = 0
        let activations = 0
        for (const { line, isActive, gapMs } of edges) {
          atMs += gapMs
          if (isActive) activations++
          gate.edge({ line, isActive, atMs })
        }
        const { entries, exits } = gate.counts
        expect((entries + exits) * 2).toBeLessThanOrEqual(activations)
      }),
    )
  })
})

describe('how many are there', () => {
  it('is what somebody counted, and who came and went since', () => {
    const tally = withCount({ base: undefined, entries: 40, exits: 10 }, 25)
    expect(occupiedOf({ ...tally, entries: 45, exits: 12 }).occupied).toBe(28)
  })

  it('is not known before somebody has counted, and not zero', () => {
    expect(occupiedOf({ base: undefined, entries: 4, exits: 1 }).occupied).toBeNull()
  })

  it('is never below zero, says what was missing, and goes on from zero', () => {
    const missed = occupiedOf({ base: 2, entries: 0, exits: 5 })
    expect(missed).toMatchObject({ occupied: 0, added: 3 })
    expect(occupiedOf({ ...missed.tally, entries: 1 })).toMatchObject({ occupied: 1, added: 0 })
  })
})
