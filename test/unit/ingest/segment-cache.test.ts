import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sumOf } from '../../../core/runtime/file-sum.ts'
import type { Archive } from '../../../ingest/archive/archive.ts'
import { createFolderArchive } from '../../../ingest/archive/folder.ts'
import { createSegmentCache } from '../../../ingest/segment-cache.ts'
import type { ClosedDay } from '../../../ingest/store/store.ts'
import { makeDataDir } from '../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
let archive: Archive
let reads: { name: string; fromByte: number }[]
/** The next transfer breaks off after so many bytes. */
let cutAfter: number | undefined
const folder = () => join(data.path, 'cache')
beforeEach(() => {
  data = makeDataDir()
  reads = []
  cutAfter = undefined
  const inFolder = createFolderArchive(data.path)
  archive = {
    ...inFolder,
    async *read(name, fromByte) {
      reads.push({ name, fromByte })
      for await (const chunk of inFolder.read(name, fromByte)) {
        if (cutAfter !== undefined) {
          yield chunk.subarray(0, cutAfter)
          throw new Error('broke off')
        }
        yield chunk
      }
    },
  }
})
afterEach(() => data.remove())

async function archived(day: number, bytes = 1000): Promise<ClosedDay> {
  const file = `day-${day}`
  writeFileSync(join(data.path, file), Buffer.alloc(bytes, day))
  const sum = await sumOf(join(data.path, file))
  return { day, file, ...sum, generation: 1, rows: 1, isStale: false, archived: 1, kept: 'segment' }
}

const cache = (bytesMax: number) => createSegmentCache({ archive, folder: folder(), bytesMax })

test('fetches a segment once, however many ask for it', async () => {
  const day = await archived(1)
  const { recall } = cache(10_000)

  const paths = await Promise.all([recall(day), recall(day)])
  await recall(day)

  expect(new Set(paths).size).toBe(1)
  expect(readFileSync(paths[0] ?? '')).toEqual(Buffer.alloc(1000, 1))
  expect(reads).toHaveLength(1)
})

test('goes on where a transfer broke off', async () => {
  const day = await archived(1)
  const { recall } = cache(10_000)
  cutAfter = 400
  await expect(recall(day)).rejects.toMatchObject({ code: 'store.unavailable' })
  cutAfter = undefined

  await recall(day)

  expect(reads.map(({ fromByte }) => fromByte)).toEqual([0, 400])
})

test('gives nothing that is not what was archived, and begins anew the next time', async () => {
  const day = await archived(1)
  writeFileSync(join(data.path, day.file), Buffer.alloc(1000, 9))
  const { recall } = cache(10_000)
  await expect(recall(day)).rejects.toMatchObject({ code: 'store.unavailable' })
  await archived(1)

  await recall(day)

  expect(reads.map(({ fromByte }) => fromByte)).toEqual([0, 0])
})

test('makes room by what was asked for longest ago', async () => {
  const days = [await archived(1), await archived(2), await archived(3)]
  const { recall } = cache(2500)
  for (const [i, day] of days.slice(0, 2).entries()) {
    const path = await recall(day)
    utimesSync(path, new Date(i * 1000), new Date(i * 1000))
  }
  await recall(days[0] as ClosedDay) // asked for again

  await recall(days[2] as ClosedDay)

  const names = readdirSync(folder()).sort()
  expect(names).toEqual(['day-1', 'day-3'])
  expect(names.reduce((sum, name) => sum + statSync(join(folder(), name)).size, 0)).toBeLessThanOrEqual(2500)
})
