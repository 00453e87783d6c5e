import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecording } from '../../../cli/car-parks.ts'
import { replayColumnsDefault } from '../../../core/contract/fleet.ts'
import { makeDataDir } from '../../kit/program.ts'

let dir: ReturnType<typeof makeDataDir>
beforeAll(() => {
  dir = makeDataDir()
})
afterAll(() => dir.remove())

function fileWith(name: string, ...lines: string[]): string {
  const path = join(dir.path, name)
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}
const header = 'SystemCodeNumber,Capacity,Occupancy,LastUpdated'

describe('the car parks of a file', () => {
  it('are each named once, with the last capacity the file gives', async () => {
    const path = fileWith('two.csv', header, 'A,10,1,x', '"Bull Ring, East",20,2,x', 'A,12,3,x')
    const { carParks } = await readRecording(path, replayColumnsDefault)
    expect(carParks).toEqual([
      { name: 'A', capacity: 12 },
      { name: 'Bull Ring, East', capacity: 20 },
    ])
  })

  it('are not made of broken lines', async () => {
    const path = fileWith('broken.csv', header, 'A,10,1,x', 'torn line', ',10,1,x', 'B,10,1,x,more', 'C,,1,x')
    const { carParks } = await readRecording(path, replayColumnsDefault)
    expect(carParks).toEqual([
      { name: 'A', capacity: 10 },
      { name: 'C', capacity: undefined },
    ])
  })

  it('do without a capacity when the file has no such column and nobody named one', async () => {
    const path = fileWith('bare.csv', 'id,n,t', 'A,1,x')
    const wanted = { ...replayColumnsDefault, key: 'id', occupied: 'n', time: 't' }
    const { columns, carParks } = await readRecording(path, wanted)
    expect(columns).toEqual({ key: 'id', occupied: 'n', time: 't' })
    expect(carParks).toEqual([{ name: 'A', capacity: undefined }])
    await expect(readRecording(path, { ...wanted, capacity: 'spaces' })).rejects.toMatchObject({
      faults: [expect.stringContaining('spaces'), expect.stringContaining('id, n, t')],
    })
  })

  it('are not looked for where there is no file, or a folder, and that is said', async () => {
    const read = (path: string) => readRecording(path, replayColumnsDefault)
    await expect(read('nofile.csv')).rejects.toThrow(/^nofile\.csv does not exist$/)
    await expect(read(dir.path)).rejects.toThrow(/is a folder/)
    await expect(read(fileWith('empty.csv', header))).rejects.toThrow(/has no rows/)
  })

  it('are missed with the names of missing and present columns', async () => {
    const path = fileWith('other.csv', 'id,n,t', 'A,1,x')
    await expect(readRecording(path, replayColumnsDefault)).rejects.toMatchObject({
      code: 'file.invalid',
      faults: expect.arrayContaining([
        expect.stringContaining('SystemCodeNumber'),
        expect.stringContaining('id, n, t'),
      ]),
    })
  })

  it.each([
    ['a missing file', () => join(dir.path, 'none.csv')],
    ['an empty file', () => fileWith('empty.csv', header)],
    ['a file with a header alone', () => fileWith('header.csv', header)],
  ])('cannot be had of %s', async (_, path) => {
    await expect(readRecording(path(), replayColumnsDefault)).rejects.toMatchObject({ code: 'file.invalid' })
  })
})
