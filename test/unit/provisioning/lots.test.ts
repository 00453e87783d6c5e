import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Assignment } from '../../../core/contract/registry.ts'
import { assign, holdsAt, release } from '../../../provisioning/lots.ts'

const at = (lotId: string, fromMs: number, toMs: number | null = null): Assignment => ({
  deviceId: 'd1',
  lotId,
  fromMs,
  toMs,
})

/** What the repository does with the assignments to write. */
function written(existing: readonly Assignment[], changed: readonly Assignment[]): Assignment[] {
  const byStart = new Map([...existing, ...changed].map((assignment) => [assignment.fromMs, assignment]))
  return [...byStart.values()].sort((a, b) => a.fromMs - b.fromMs)
}

describe('assigning a device', () => {
  it('begins where it has been nowhere', () => {
    expect(assign([], { deviceId: 'd1', lotId: 'a', fromMs: 10 })).toEqual([at('a', 10)])
  })

  it('ends where it was until then', () => {
    expect(assign([at('a', 10)], { deviceId: 'd1', lotId: 'b', fromMs: 20 })).toEqual([
      at('a', 10, 20),
      at('b', 20),
    ])
  })

  it('corrects an assignment that began at the same instant', () => {
    expect(assign([at('a', 10)], { deviceId: 'd1', lotId: 'b', fromMs: 10 })).toEqual([at('b', 10)])
  })

  it('for a time before the first assignment, lasts until that one', () => {
    expect(assign([at('a', 10)], { deviceId: 'd1', lotId: 'b', fromMs: 5 })).toEqual([at('b', 5, 10)])
  })

  it('for a time between two others, lasts until the later one', () => {
    expect(assign([at('a', 10, 30), at('b', 30)], { deviceId: 'd1', lotId: 'c', fromMs: 20 })).toEqual([
      at('a', 10, 20),
      at('c', 20, 30),
    ])
  })

  it('leaves alone what had ended before', () => {
    expect(assign([at('a', 10, 15)], { deviceId: 'd1', lotId: 'b', fromMs: 20 })).toEqual([at('b', 20)])
  })

  it('whatever was assigned in whatever order, is in one lot at a time, in the one assigned last for the instant', () => {
    const moves = fc.array(fc.record({ lotId: fc.constantFrom('a', 'b', 'c'), fromMs: fc.nat(20) }), {
      minLength: 1,
    })
    fc.assert(
      fc.property(moves, (asked) => {
        let assignments: readonly Assignment[] = []
        for (const move of asked) {
          assignments = written(assignments, assign(assignments, { deviceId: 'd1', ...move }))
        }

        const lotAt = (ms: number) => assignments.filter((one) => holdsAt(one, ms)).map(({ lotId }) => lotId)
        for (let ms = 0; ms <= 21; ms++) {
          // The plain model: the latest start up to this instant, and of equal starts the last that was asked for.
          const starts = asked.filter(({ fromMs }) => fromMs <= ms)
          const latest = Math.max(...starts.map(({ fromMs }) => fromMs))
          const expected = starts.findLast(({ fromMs }) => fromMs === latest)?.lotId
          expect(lotAt(ms)).toEqual(expected === undefined ? [] : [expected])
        }
      }),
    )
  })
})

describe('releasing a device', () => {
  it('ends what holds now and what was to come, and leaves its history', () => {
    expect(release([at('a', 10, 20), at('b', 20, 50), at('c', 50)], 30)).toEqual([
      at('b', 20, 30),
      at('c', 50, 50),
    ])
  })

  it('leaves it in no lot from then on', () => {
    const assignments = [at('a', 10, 20), at('b', 20, 50), at('c', 50)]

    const after = written(assignments, release(assignments, 30))

    expect([29, 30, 50, 1e9].map((ms) => after.some((one) => holdsAt(one, ms)))).toEqual([
      true,
      false,
      false,
      false,
    ])
  })
})
