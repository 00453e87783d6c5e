import { describe, expect, it } from 'vitest'
import { createScreen } from '../../../cli/screen.ts'

function setUp(columns: number | undefined) {
  const written: string[] = []
  const clock = { nowMs: 0 }
  const screen = createScreen({
    write: (text) => void written.push(text),
    columns: () => columns,
    nowMs: () => clock.nowMs,
  })
  return { screen, clock, text: () => written.join('') }
}

describe('the live line', () => {
  it('is redrawn in place on a terminal, and a line that stays goes above it', () => {
    const { screen, text } = setUp(80)
    screen.live('one')
    screen.live('two')
    screen.say('news')
    screen.end()
    expect(text()).toBe('\r\u001b[Kone\r\u001b[Ktwo\r\u001b[Knews\ntwo\n')
  })

  it('never wraps', () => {
    const { screen, text } = setUp(10)
    screen.live('a line that is too long')
    expect(text()).toBe('\r\u001b[Ka line th')
  })

  it('is an ordinary line every ten seconds where there is no terminal', () => {
    const { screen, clock, text } = setUp(undefined)
    for (const atMs of [0, 2000, 9999, 10_000, 12_000]) {
      clock.nowMs = atMs
      screen.live(`at ${atMs}`)
    }
    screen.end()
    expect(text()).toBe('at 0\nat 10000\n')
  })
})
