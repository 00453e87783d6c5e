import { describe, expect, it } from 'vitest'
import type { RecordedRow, Recording } from '../../../../agent/sensors/recording.ts'
import { createReplaySensor, type ReplayOptions } from '../../../../agent/sensors/replay.ts'
import type { Chunk } from '../../../../agent/sensors/sensor.ts'
import { createZone } from '../../../../agent/zone.ts'
import { createTestClock, observeAll, type TestClock } from './clocks.ts'

const zone = createZone('Europe/London')
const hourMs = 3600_000
const dayMs = 24 * hourMs
const first = zone.parse('2016-10-17 08:00:00') ?? 0

/** Three weeks over the end of daylight saving, a row each half hour from 8 to 16:30, local time. */
const rows: RecordedRow[] = Array.from({ length: 21 * 18 }, (_, i) => {
  const day = new Date(Date.UTC(2016, 9, 17 + Math.floor(i / 18))).toISOString().slice(0, 10)
  const minutes = 8 * 60 + (i % 18) * 30
  const time = `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
  return { line: i + 2, timestampMs: zone.parse(`${day} ${time}:00`) ?? 0, occupied: i, capacity: 900 }
})

function recordingOf(all: readonly RecordedRow[]): () => Promise<Recording> {
  return async () => ({
    span: { firstMs: first, lastMs: all.at(-1)?.timestampMs ?? first },
    brokenLines: 0,
    rowsOf: (key) => ({
      length: key === 'A' ? all.length : 0,
      at: (i) => {
        const row = all[i]
        if (row === undefined) throw new RangeError('no such row')
        return row
      },
    }),
  })
}

function play(
  clock: TestClock,
  options: Partial<ReplayOptions> = {},
  from: { position?: string | undefined; most?: number; all?: readonly RecordedRow[] } = {},
): Promise<Chunk[]> {
  const sensor = createReplaySensor(recordingOf(from.all ?? rows), {
    key: 'A',
    zone,
    shiftToNow: false,
    speed: undefined,
    ...options,
  })
  return observeAll(sensor, { clock, position: from.position }, from.most)
}

const observed = (chunks: readonly Chunk[]) => chunks.flatMap(({ observations }) => observations)

describe('replay', () => {
  it('plays every row once, without waiting, and then ends', async () => {
    const clock = createTestClock(Date.UTC(2026, 0, 1))
    const all = observed(await play(clock))
    expect(all.map(({ occupied }) => occupied)).toEqual(rows.map(({ occupied }) => occupied))
    expect(all.map(({ timestampMs }) => timestampMs)).toEqual(rows.map(({ timestampMs }) => timestampMs))
    expect(clock.waits).toEqual([])
  })

  it('goes on behind the chunk that was kept last, wherever it was killed', async () => {
    const clock = createTestClock(Date.UTC(2026, 0, 1))
    const paced = { speed: 24 * 60 }
    const whole = await play(clock, paced)
    for (const cut of [0, 17, 18, 200, whole.length - 2]) {
      const rest = await play(createTestClock(Date.UTC(2027, 0, 1)), paced, {
        position: whole[cut]?.position,
      })
      expect(observed(rest)).toEqual(observed(whole).slice(observed(whole.slice(0, cut + 1)).length))
    }
    expect(await play(clock, paced, { position: whole.at(-1)?.position })).toEqual([])
  })

  it('waits for the time of each row at the speed asked for', async () => {
    const startMs = Date.UTC(2026, 0, 1)
    const clock = createTestClock(startMs)
    await play(clock, { speed: 60 })
    expect(clock.waits[0]).toBe(startMs + (30 * 60_000) / 60)
    expect(clock.nowMs() - startMs).toBe(((rows.at(-1)?.timestampMs ?? 0) - first) / 60)
  })

  it('does not wait again for what has passed when it was killed', async () => {
    const startMs = Date.UTC(2026, 0, 1)
    const [head] = await play(createTestClock(startMs), { speed: 1 }, { most: 1 })
    const clock = createTestClock(startMs + 2 * dayMs)
    const [next] = await play(clock, { speed: 1 }, { position: head?.position, most: 1 })
    expect(clock.waits).toEqual([])
    // Two days and the row at that very instant, but the first, which was kept.
    expect(next?.observations).toHaveLength(2 * 18)
  })

  it('moves by whole weeks in local time so that now falls into the last week', async () => {
    const nowMs = zone.parse('2026-07-15 12:10:00') ?? 0
    const clock = createTestClock(nowMs)
    const [past, ...future] = await play(clock, { shiftToNow: true })
    const shown = (timestampMs: number | undefined) => (timestampMs ?? 0) + zone.offsetMs(timestampMs ?? 0)
    const all = observed([past ?? { observations: [] }, ...future])
    expect(all).toHaveLength(rows.length)
    for (const [i, { timestampMs }] of all.entries()) {
      const movedMs = shown(timestampMs) - shown(rows[i]?.timestampMs)
      expect(movedMs % (7 * dayMs)).toBe(0)
    }
    expect(past?.observations.at(-1)?.timestampMs).toBe(zone.parse('2026-07-15 12:00:00'))
    expect(clock.waits[0]).toBe(zone.parse('2026-07-15 12:30:00'))
    expect(all.at(-1)?.timestampMs).toBeLessThan(nowMs + 7 * dayMs)
  })

  it('stays moved by the weeks it was begun with, also when it is started again in another week', async () => {
    const nowMs = zone.parse('2026-07-15 12:10:00') ?? 0
    const [past] = await play(createTestClock(nowMs), { shiftToNow: true }, { most: 1 })
    const rest = await play(
      createTestClock(nowMs + 21 * dayMs),
      { shiftToNow: true },
      { position: past?.position },
    )
    expect(observed(rest)[0]?.timestampMs).toBe(zone.parse('2026-07-15 12:30:00'))
  })

  it('says of an empty cell that the sensor was silent', async () => {
    const [row] = rows
    const all = [{ ...(row as RecordedRow), occupied: null, capacity: undefined }]
    const chunks = await play(createTestClock(0), {}, { all })
    expect(observed(chunks)).toEqual([{ timestampMs: first, occupied: null, sensor: 'silent' }])
  })

  it('refuses to go on in another file than it was begun with', async () => {
    const clock = createTestClock(0)
    const [head] = await play(clock, { speed: 1000 }, { most: 1 })
    const other = rows.map((row) => ({ ...row, line: row.line + 1 }))
    await expect(play(clock, {}, { position: head?.position, all: other })).rejects.toMatchObject({
      code: 'file.invalid',
    })
  })

  it('says that the recording knows nothing of its car park', async () => {
    await expect(play(createTestClock(0), { key: 'B' })).rejects.toMatchObject({ code: 'file.invalid' })
  })
})
