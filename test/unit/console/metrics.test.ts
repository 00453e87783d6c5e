import { describe, expect, it } from 'vitest'
import { diskOf, numbersOf, rateOf, type Sample, withSample } from '../../../console/web/metrics.ts'

const name = 'lotwatch_ingest_readings_total'
const sample = (atMs: number, stored: number): Sample => ({
  atMs,
  text: `# HELP ${name} x\n${name}{verdict="stored"} ${stored}\n${name}{verdict="duplicate"} 7\n`,
})

describe('a rate', () => {
  it('is what a total grew by in a second', () => {
    expect(rateOf([sample(0, 100), sample(5000, 110)], name, '"stored"')).toBe(2)
  })

  it('is not known from one sample, nor across a restart', () => {
    expect(rateOf([sample(0, 100)], name)).toBeUndefined()
    expect(rateOf([sample(0, 100), sample(5000, 3)], name, '"stored"')).toBeUndefined()
  })

  it('is taken over the last minute', () => {
    const kept = [0, 30_000, 60_000, 90_000].reduce<readonly Sample[]>(
      (samples, atMs) => withSample(samples, sample(atMs, atMs)),
      [],
    )
    expect(kept.map(({ atMs }) => atMs)).toEqual([30_000, 60_000, 90_000])
  })

  it('is said in a unit in which it is more than nothing', () => {
    expect(numbersOf('ingest', [sample(0, 0), sample(60_000, 12)])).toContainEqual(['now', '12 a minute'])
    expect(numbersOf('ingest', [sample(0, 0), sample(1000, 12)])).toContainEqual(['now', '12 a second'])
    expect(numbersOf('ingest', [sample(0, 0)])).toContainEqual(['now', '…'])
  })
})

it('what is on disk is said by what it is for, or not at all', () => {
  const text =
    'lotwatch_ingest_disk_bytes{use="closed days"} 12\nlotwatch_ingest_disk_bytes{use="backups"} 0\nlotwatch_ingest_disk_free_bytes 99\n'
  expect(diskOf(text)).toEqual({
    uses: [
      ['closed days', 12],
      ['backups', 0],
    ],
    freeBytes: 99,
  })
  expect(diskOf('')).toBeUndefined()
})
