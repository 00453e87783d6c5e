import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shownLine } from '../../../cli/log-line.ts'

const line = (fields: object) => JSON.stringify({ program: 'broker', time: 'now', ...fields })

describe('a log line on the terminal', () => {
  it('names program, event, details and the error, and leaves out the stack', () => {
    const shown = shownLine(
      line({
        level: 'warn',
        event: 'ingest.away',
        waitMs: 200,
        error: { code: 'ingest.unavailable', message: 'does not answer', stack: 'at somewhere' },
      }),
    )
    expect(shown?.text).toMatch(
      /^broker +ingest\.away {2}waitMs=200 {2}ingest\.unavailable: does not answer$/,
    )
  })

  it('is cut where a terminal would wrap', () => {
    const shown = shownLine(line({ level: 'error', event: 'x', error: 'y'.repeat(500) }))
    expect(shown?.text.length).toBeLessThan(120)
    expect(shown?.text).toMatch(/…$/)
  })

  it('is the same news when program and event are the same', () => {
    const first = shownLine(line({ level: 'warn', event: 'feed.away', waitMs: 1 }))
    const second = shownLine(line({ level: 'warn', event: 'feed.away', waitMs: 2 }))
    expect(second?.key).toBe(first?.key)
  })

  it('is other news when it names another device or another line', () => {
    const keyOf = (fields: object) => shownLine(line({ level: 'warn', event: 'x', ...fields }))?.key
    expect(keyOf({ deviceId: 'a' })).not.toBe(keyOf({ deviceId: 'b' }))
    expect(keyOf({ line: 3 })).not.toBe(keyOf({ line: 4 }))
  })

  it('is left to the supervisor when a program ends misconfigured', () => {
    const failed = (code: string) =>
      shownLine(line({ level: 'fatal', event: 'program.failed', error: { code } }))
    expect(failed('port.taken')).toBeUndefined()
    expect(failed('store.unavailable')).toBeDefined()
  })

  it('is not shown when it only informs', () => {
    expect(shownLine(line({ level: 'info', event: 'batch.stored' }))).toBeUndefined()
  })

  it('never fails, whatever a program writes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        shownLine(text)
      }),
    )
    expect(shownLine('Error: not JSON')).toBeUndefined()
  })
})
