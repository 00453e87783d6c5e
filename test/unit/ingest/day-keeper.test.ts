import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLog } from '../../../core/runtime/log.ts'
import type { Archive } from '../../../ingest/archive/archive.ts'
import { type DayKeeper, type DayKeeperOptions, startDayKeeper } from '../../../ingest/day-keeper.ts'
import type { ClosedDay, Days } from '../../../ingest/store/store.ts'

const hourMs = 3600_000
const dayMs = 24 * hourMs
/** Noon of day 100. */
const nowMs = 100 * dayMs + 12 * hourMs

let open: number[]
let closed: Map<number, ClosedDay>
/** Days that cannot be closed. */
let broken: Set<number>
let held: Set<string>
let puts: string[]
let keeper: DayKeeper | undefined
beforeEach(() => {
  open = []
  closed = new Map()
  broken = new Set()
  held = new Set()
  puts = []
})
afterEach(() => keeper?.stop())

function record(day: number, more: Partial<ClosedDay> = {}): ClosedDay {
  return {
    day,
    generation: 1,
    file: `${day}.1`,
    rows: 1,
    bytes: 1,
    sha256: '',
    isStale: false,
    archived: undefined,
    kept: 'table',
    ...more,
  }
}

const days: Days = {
  hasSegments: true,
  closed: () => [...closed.values()],
  open: () => open,
  isGone: () => false,
  segmentFile: async ({ file }) => file,
  async close(day) {
    if (broken.has(day)) throw new Error('cannot be closed')
    const generation = (closed.get(day)?.generation ?? 0) + 1
    const made = {
      ...record(day),
      ...closed.get(day),
      generation,
      file: `${day}.${generation}`,
      isStale: false,
    }
    closed.set(day, made)
    open = open.filter((other) => other !== day)
    return made
  },
  async setArchived(day, generation) {
    closed.set(day, { ...record(day), ...closed.get(day), archived: generation })
  },
  async evict(day, kept) {
    closed.set(day, { ...record(day), ...closed.get(day), kept })
    return true
  },
  snapshot: async () => [],
  sweep: async () => undefined,
}

const archive: Archive = {
  holds: async (name) => held.has(name),
  async put(name) {
    puts.push(name)
    held.add(name)
  },
  async *read() {
    yield new Uint8Array()
  },
}

async function run(isNightly: boolean, more: Partial<DayKeeperOptions> = {}): Promise<void> {
  keeper = startDayKeeper({
    days,
    segmentsDir: '/nowhere',
    closesAfterHours: 36,
    now: () => nowMs,
    log: createLog({ program: 'test', level: 'silent' }),
    ...more,
  })
  await keeper.run(isNightly)
}

describe('a day', () => {
  test('is closed when its time has come, and one that cannot be closed holds up no other', async () => {
    open = [90, 97, 98, 99, 100]
    broken.add(90)

    await run(false)

    expect([...closed.keys()]).toEqual([97, 98])
    expect(open).toEqual([90, 99, 100])
  })

  test('that became stale is closed again at night, not before', async () => {
    closed.set(50, record(50, { isStale: true }))

    await run(false)
    expect(closed.get(50)?.generation).toBe(1)
    await keeper?.run(true)
    expect(closed.get(50)).toMatchObject({ generation: 2, isStale: false })
  })
})

describe('an archive', () => {
  test('gets each segment once, and each newer one', async () => {
    open = [50]
    await run(false, { archive })
    await keeper?.run(false)
    closed.set(50, { ...record(50), ...closed.get(50), isStale: true })
    await keeper?.run(true)

    expect(puts).toEqual(['50.1', '50.2'])
    expect(closed.get(50)?.archived).toBe(2)
  })

  test('that has a segment from a run that was cut off is not sent it again', async () => {
    closed.set(50, record(50))
    held.add('50.1')

    await run(false, { archive })

    expect([puts, closed.get(50)?.archived]).toEqual([[], 1])
  })

  test('that loses what it took is not believed', async () => {
    closed.set(50, record(50))

    await run(true, { archive: { ...archive, holds: async () => false }, retentionDays: 10 })

    expect(closed.get(50)).toMatchObject({ archived: undefined, kept: 'table' })
  })
})

describe('retention', () => {
  test('is for ever unless it is set', async () => {
    closed.set(1, record(1))
    await run(true)
    expect(closed.get(1)?.kept).toBe('table')
  })

  test('takes what is older, at night', async () => {
    for (const day of [89, 90]) closed.set(day, record(day))

    await run(false, { retentionDays: 10 })
    expect([...closed.values()].map(({ kept }) => kept)).toEqual(['table', 'table'])
    await keeper?.run(true)
    expect([...closed.values()].map(({ kept }) => kept)).toEqual(['nothing', 'table'])
  })

  test('takes nothing that the archive does not hold, nor what has become stale', async () => {
    closed.set(1, record(1))
    closed.set(2, record(2, { generation: 2, archived: 1 }))
    closed.set(3, record(3, { archived: 1, isStale: true }))
    closed.set(4, record(4, { archived: 1 }))
    broken.add(3)
    const away: Archive = {
      ...archive,
      holds: () => Promise.reject(new Error('away')),
    }

    await run(true, { archive: away, retentionDays: 10 })

    expect([...closed.values()].map(({ day, kept }) => `${day} ${kept}`)).toEqual([
      '1 table',
      '2 table',
      '3 table',
      '4 segment',
    ])
  })
})
