import { describe, expect, test } from 'vitest'
import type { DeviceId } from '../../../core/contract/device.ts'
import type { StatusMessage } from '../../../core/contract/status.ts'
import { beatMs, Statuses } from '../../../ingest/statuses.ts'
import { statusOf } from './kit.ts'

const a = 'a' as DeviceId
const startMs = Date.UTC(2026, 0, 1)

function sent(receivedAtMs: number, more: Partial<StatusMessage> = {}) {
  return { deviceId: a, receivedAtMs, body: JSON.stringify(statusOf(more)) }
}

/** As after a commit that succeeded. */
function tell(statuses: Statuses, ...told: ReturnType<typeof sent>[]) {
  const sifted = statuses.sift(told)
  statuses.settle(sifted)
  return sifted
}

describe('of many statuses', () => {
  test('the first stays, then one in a while, and each with a change', () => {
    const statuses = new Statuses()
    const histories = [
      sent(startMs),
      sent(startMs + 1000, { uptimeSec: 1 }),
      sent(startMs + beatMs, { uptimeSec: 900 }),
      sent(startMs + beatMs + 1000, { version: '2.0.0' }),
      sent(startMs + beatMs + 2000, { version: '2.0.0' }),
    ].map((status) => tell(statuses, status).statuses[0]?.history)

    expect(histories).toEqual(['change', undefined, 'beat', 'change', undefined])
  })

  test('one that came again, or was overtaken, changes nothing', () => {
    const statuses = new Statuses()
    tell(statuses, sent(startMs + 10, { version: 'new' }))

    expect(tell(statuses, sent(startMs + 10)).statuses).toEqual([])
    expect(tell(statuses, sent(startMs, { version: 'old' })).statuses).toEqual([])
    expect(statuses.newest(a)?.message?.version).toBe('new')
  })

  test('one whose commit failed comes again as news', () => {
    const statuses = new Statuses()
    statuses.sift([sent(startMs)])

    expect(tell(statuses, sent(startMs)).statuses).toHaveLength(1)
  })

  test('one of another form is the newest all the same, and stays no longer', () => {
    const statuses = new Statuses()
    const { statuses: told } = tell(statuses, { deviceId: a, receivedAtMs: startMs, body: '{"up":true}' })

    expect(told).toMatchObject([{ history: undefined }])
    expect(statuses.newest(a)).toEqual({ receivedAtMs: startMs, message: undefined })
  })
})

describe('schedules', () => {
  const at = (cron: string, sinceMs: number) => ({ schedule: { cron, sinceMs } })

  test('are remembered when they change, each since when the device says', () => {
    const statuses = new Statuses()
    tell(statuses, sent(startMs, at('* * * * *', startMs - 5000)))
    tell(statuses, sent(startMs + 1, at('* * * * *', startMs - 5000)))
    tell(statuses, sent(startMs + 9000, at('*/5 * * * *', startMs + 8000)))

    expect(statuses.schedulesOf(a)).toEqual([
      { deviceId: a, sinceMs: startMs - 5000, cron: '* * * * *' },
      { deviceId: a, sinceMs: startMs + 8000, cron: '*/5 * * * *' },
    ])
  })

  test.each([
    ['is not set', { clock: { state: 'unsynced' as const } }, startMs + 1],
    ['is ahead', {}, startMs + 99_999],
  ])('hold from the arrival on where the clock of the device %s', (_what, more, sinceMs) => {
    const statuses = new Statuses()
    tell(statuses, sent(startMs, { ...more, ...at('* * * * *', sinceMs) }))

    expect(statuses.schedulesOf(a)).toEqual([{ deviceId: a, sinceMs: startMs, cron: '* * * * *' }])
  })

  test('are still known after a restart', () => {
    const before = new Statuses()
    const { statuses, schedules } = tell(before, sent(startMs, at('* * * * *', startMs)))
    const after = new Statuses()
    after.load(statuses, schedules)

    expect(after.schedulesOf(a)).toEqual(before.schedulesOf(a))
    expect(tell(after, sent(startMs + 1, at('* * * * *', startMs))).schedules).toEqual([])
  })
})
