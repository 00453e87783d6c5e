import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BrokenLine, type Recording, readRecording } from '../../../../agent/sensors/recording.ts'
import { createZone } from '../../../../agent/zone.ts'
import { replayColumnsDefault } from '../../../../core/contract/fleet.ts'
import { makeDataDir } from '../../../kit/program.ts'

const header = 'SystemCodeNumber,Capacity,Occupancy,LastUpdated'
let data: ReturnType<typeof makeDataDir>
let broken: BrokenLine[]

beforeEach(() => {
  data = makeDataDir()
  broken = []
})
afterEach(() => data.remove())

async function record(...lines: readonly string[]): Promise<Recording> {
  const path = join(data.path, 'parks.csv')
  writeFileSync(path, lines.join('\n'))
  return readRecording(path, {
    columns: replayColumnsDefault,
    zone: createZone('Europe/London'),
    onBrokenLine: (line) => broken.push(line),
  })
}

function rowsOf(recording: Recording, key: string) {
  const rows = recording.rowsOf(key)
  return Array.from({ length: rows.length }, (_, i) => rows.at(i))
}

describe('recording', () => {
  it('has the rows of each car park, with their line and the time in UTC', async () => {
    const recording = await record(
      header,
      'A,577,61,2016-10-04 07:59:42',
      'Bull Ring,10,1,2016-11-04 08:00:00',
    )
    expect(rowsOf(recording, 'A')).toEqual([
      { line: 2, timestampMs: Date.parse('2016-10-04T06:59:42Z'), occupied: 61, capacity: 577 },
    ])
    expect(rowsOf(recording, 'Bull Ring')).toHaveLength(1)
    expect(rowsOf(recording, 'unknown')).toEqual([])
    expect(recording.span?.lastMs).toBe(Date.parse('2016-11-04T08:00:00Z'))
  })

  it('judges no value: duplicates, negative counts and fractions are rows like any others', async () => {
    const line = 'A,10,-1,2016-10-04 08:00:00'
    const recording = await record(header, line, line, 'A,10,2.5,2016-10-04 09:00:00')
    expect(rowsOf(recording, 'A').map(({ occupied }) => occupied)).toEqual([-1, -1, 2.5])
    expect(broken).toEqual([])
  })

  it('never takes an empty cell for zero', async () => {
    const [row] = rowsOf(await record(header, 'A,,,2016-10-04 08:00:00'), 'A')
    expect(row).toMatchObject({ occupied: null, capacity: undefined })
  })

  it('orders rows by time, and those of one time as they stand', async () => {
    const recording = await record(
      header,
      'A,1,3,2016-10-04 10:00:00',
      'A,1,1,2016-10-04 08:00:00',
      'B,1,9,2016-10-01 08:00:00',
      'A,1,2,2016-10-04 08:00:00',
    )
    expect(rowsOf(recording, 'A').map(({ occupied }) => occupied)).toEqual([1, 2, 3])
    expect(recording.span?.firstMs).toBe(Date.parse('2016-10-01T07:00:00Z'))
  })

  it('names a broken line and plays the rest', async () => {
    const recording = await record(
      header,
      'A,10,1,2016-10-04 08:00:00',
      'A,10,many,2016-10-04 08:30:00',
      'A,10',
      'A,10,"2,2016-10-04 09:00:00',
      'A,10,2,2016-13-04 09:00:00',
      'A,x,2,2016-10-04 09:00:00',
      ',10,2,2016-10-04 09:00:00',
      '',
      '"A",10,"3",2016-10-04 10:00:00',
    )
    expect(rowsOf(recording, 'A').map(({ occupied }) => occupied)).toEqual([1, 3])
    expect(broken).toEqual([
      { line: 3, fault: 'the count is not a number' },
      { line: 4, fault: 'columns are missing' },
      { line: 5, fault: 'the quotes do not match' },
      { line: 6, fault: 'the time cannot be read' },
      { line: 7, fault: 'the capacity is not a number' },
      { line: 8, fault: 'the car park has no name' },
    ])
    expect(recording.brokenLines).toBe(6)
  })

  it('counts lines rightly behind an open quote in a long file', async () => {
    const rows = Array.from({ length: 2500 }, (_, i) => `A,1,${i},2016-10-04 08:00:00`)
    rows[1200] = 'A,1,"7,2016-10-04 08:00:00'
    const recording = await record(header, ...rows)
    expect(broken).toEqual([{ line: 1202, fault: 'the quotes do not match' }])
    expect(rowsOf(recording, 'A').every(({ line, occupied }) => occupied === line - 2)).toBe(true)
  })

  it('reads files with a byte order mark, Windows line ends and columns in another order', async () => {
    const recording = await record(
      '\uFEFFLastUpdated,extra,Occupancy,SystemCodeNumber,Capacity\r',
      '2016-10-04 08:00:00,"a, b",5,A,9\r',
    )
    expect(rowsOf(recording, 'A')).toMatchObject([{ occupied: 5, capacity: 9 }])
  })

  it('says which columns its header lacks', async () => {
    await expect(record('a,b,Occupancy', 'x,y,1')).rejects.toMatchObject({
      code: 'file.invalid',
      faults: [
        expect.stringContaining('SystemCodeNumber'),
        expect.stringContaining('Capacity'),
        expect.stringContaining('LastUpdated'),
      ],
    })
  })

  it('says that a file is empty or not there', async () => {
    await expect(record()).rejects.toMatchObject({ code: 'file.invalid' })
    const missing = { columns: replayColumnsDefault, zone: createZone('UTC'), onBrokenLine: () => undefined }
    await expect(readRecording(join(data.path, 'none.csv'), missing)).rejects.toMatchObject({
      code: 'file.invalid',
    })
  })
})
