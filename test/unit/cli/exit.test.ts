import { describe, expect, it } from 'vitest'
import { exitOf, exits, explain } from '../../../cli/exit.ts'
import { FleetError } from '../../../core/contract/errors.ts'

describe('how lotctl ends', () => {
  it.each([
    ['config.invalid', exits.misconfigured],
    ['credential.invalid', exits.misconfigured],
    ['client.refused', exits.auth],
    ['token.scope', exits.auth],
    ['request.not_found', exits.notFound],
    ['request.conflict', exits.conflict],
    ['request.invalid', exits.usage],
    ['ingest.unavailable', exits.unreachable],
    ['token.unavailable', exits.unreachable],
    ['file.invalid', exits.usage],
  ] as const)('tells a script who must act: %s', (code, exit) => {
    expect(exitOf(new FleetError(code, 'as it happened'))).toBe(exit)
  })

  it('counts what nobody expected as a failure, and shows where it was', () => {
    const bug = new TypeError('no such thing')
    expect(exitOf(bug)).toBe(exits.failed)
    expect(explain(bug)).toContain('exit.test.ts')
  })

  it('names every fault on a line of its own', () => {
    const error = new FleetError('config.invalid', 'wrong settings', { faults: ['A: is odd', 'B: is even'] })
    expect(explain(error).split('\n')).toEqual([
      'wrong settings (config.invalid)',
      '  A: is odd',
      '  B: is even',
    ])
  })
})
