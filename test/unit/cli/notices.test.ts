import { describe, expect, it } from 'vitest'
import { Notices } from '../../../cli/notices.ts'

const line = (key: string, kind = 'fleet device.failed') => ({ kind, key })

describe('the warnings of a running system', () => {
  it('are shown when they tell different things, and not when they tell the same again', () => {
    const notices = new Notices()
    expect(notices.take(line('a'), 0)).toBe(true)
    expect(notices.take(line('b'), 0)).toBe(true)
    expect(notices.take(line('a'), 1)).toBe(false)
  })

  it('are counted when there are too many of a kind, without hiding another kind', () => {
    const notices = new Notices()
    const shown = Array.from({ length: 30 }, (_, i) => notices.take(line(`device ${i}`), 0)).filter(Boolean)
    expect(notices.take(line('x', 'broker ingest.away'), 0)).toBe(true)
    expect(notices.ended(9999)).toEqual([])
    expect(notices.ended(10_000)).toEqual([{ kind: 'fleet device.failed', more: 30 - shown.length }])
  })

  it('are shown again when they go on', () => {
    const notices = new Notices()
    notices.take(line('a'), 0)
    expect(notices.ended(10_000)).toEqual([])
    expect(notices.take(line('a'), 10_000)).toBe(true)
  })
})
