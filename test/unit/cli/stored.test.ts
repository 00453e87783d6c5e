import { describe, expect, it } from 'vitest'
import { recentAnswers, storedLine } from '../../../cli/stored.ts'

const fleet = {
  devices: 12,
  connected: 11,
  failed: 0,
  kept: 9,
  settled: 8,
  queued: 1234,
  brokenLines: 0,
  finished: false,
}

describe('the line of what is stored', () => {
  it('tells total, rate, and how the fleet is', () => {
    const answers = [
      { stored: 4192, atMs: 1000 },
      { stored: 24_192, atMs: 3000 },
    ]
    expect(storedLine(answers, fleet)).toBe(
      '24,192 readings stored · 10,000 per second · 11 of 12 devices connected · 1,234 queued on them',
    )
  })

  it('says plainly when devices cannot go on', () => {
    expect(storedLine([], { ...fleet, failed: 1 })).toContain('11 of 12 devices connected, 1 cannot go on')
    const none = storedLine([], { ...fleet, connected: 0, failed: 12 })
    expect(none).toContain('none of 12 devices can go on')
    expect(none).not.toContain('0 of 12')
  })

  it('claims nothing while ingest does not answer', () => {
    expect(storedLine([], undefined)).toBe('– readings stored')
  })

  it('has no rate before there are two answers', () => {
    expect(storedLine([{ stored: 5, atMs: 1000 }], undefined)).toBe('5 readings stored')
  })

  it('forgets what is too old for a rate', () => {
    const answers = [0, 2000, 40_000].map((atMs) => ({ stored: 1, atMs }))
    expect(recentAnswers(answers, { stored: 2, atMs: 41_000 })).toEqual([
      { stored: 1, atMs: 40_000 },
      { stored: 2, atMs: 41_000 },
    ])
  })
})
