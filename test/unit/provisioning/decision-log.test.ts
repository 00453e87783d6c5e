import { describe, expect, it } from 'vitest'
import { createLog } from '../../../core/runtime/log.ts'
import { createDecisionLog } from '../../../provisioning/oauth/decision-log.ts'

describe('the log of decisions', () => {
  it('has a bounded number of lines a second, says how many it left out, and mixes up no events', () => {
    const lines: { event: string; n?: number; linesLeftOut?: number }[] = []
    const log = createLog({ program: 'test', write: (line) => lines.push(JSON.parse(line)) })
    let nowMs = 0
    const decisions = createDecisionLog(log, () => nowMs, 2)

    for (let n = 0; n < 5; n++) decisions.refused(() => ({ n }))
    decisions.issued(() => ({ n: 0 }))
    nowMs = 1000
    decisions.refused(() => ({ n: 5 }))
    decisions.refused(() => ({ n: 6 }))

    expect(lines.map(({ event, n, linesLeftOut }) => [event, n, linesLeftOut])).toEqual([
      ['token.refused', 0, undefined],
      ['token.refused', 1, undefined],
      ['token.issued', 0, undefined],
      ['token.refused', 5, 3],
      ['token.refused', 6, undefined],
    ])
  })
})
