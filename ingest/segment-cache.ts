/**
 * Segments that are back from the archive for a while: a bounded folder, in which the file that was used longest ago
 * makes room. A transfer that broke off goes on where it stopped; a file counts only once its checksum is right.
 */
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetError } from '../core/contract/errors.ts'
import { sumOf } from '../core/runtime/file-sum.ts'
import { receiveFile } from '../core/runtime/receive-file.ts'
import type { Archive } from './archive/archive.ts'
import type { ClosedDay } from './store/store.ts'

export interface SegmentCacheOptions {
  readonly archive: Archive
  readonly folder: string
  /** All files together; one that is larger is alone. */
  readonly bytesMax: number
}

export interface SegmentCache {
  /**
   * A file with the segment of a day.
   * @throws FleetError `store.unavailable` when the archive does not give it
   */
  recall(day: ClosedDay): Promise<string>
}

export function createSegmentCache({ archive, folder, bytesMax }: SegmentCacheOptions): SegmentCache {
  /** Transfers under way, by file: whoever else needs it waits for the same. */
  const fetching = new Map<string, Promise<string>>()

  async function recall(day: ClosedDay): Promise<string> {
    const path = join(folder, nameOf(day))
    if ((await sizeOf(path)) === day.bytes) {
      const now = new Date()
      await utimes(path, now, now)
      return path
    }
    await mkdir(folder, { recursive: true })
    await makeRoom(day.bytes)
    const part = `${path}.part`
    const held = (await sizeOf(part)) ?? 0
    // More than there is, or all of it and it was wrong: from the start.
    const fromByte = held < day.bytes ? held : 0
    await receiveFile(part, archive.read(day.file, fromByte), { appends: fromByte > 0 })
    const { bytes, sha256 } = await sumOf(part)
    if (bytes !== day.bytes || sha256 !== day.sha256) {
      await rm(part, { force: true })
      throw new FleetError(
        'store.unavailable',
        `what the archive has as ${day.file} is not what was put there`,
      )
    }
    await rename(part, path)
    return path
  }

  async function makeRoom(bytes: number): Promise<void> {
    const files = await Promise.all(
      (await readdir(folder)).map(async (name) => {
        const path = join(folder, name)
        const { size, mtimeMs } = await stat(path)
        return { path, size, mtimeMs }
      }),
    )
    let total = bytes + files.reduce((sum, { size }) => sum + size, 0)
    for (const { path, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= bytesMax) return
      if (fetching.has(path.replace(/\.part$/, ''))) continue
      await rm(path, { force: true })
      total -= size
    }
  }

  return {
    async recall(day) {
      const path = join(folder, nameOf(day))
      const known = fetching.get(path)
      if (known !== undefined) return known
      const mine = recall(day)
        .catch((cause: unknown) => {
          throw new FleetError(
            'store.unavailable',
            `the segment ${day.file} cannot be had from the archive`,
            {
              cause,
            },
          )
        })
        .finally(() => fetching.delete(path))
      fetching.set(path, mine)
      return mine
    },
  }
}

function nameOf({ file }: ClosedDay): string {
  return file.replaceAll('/', '-')
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined, // not there
  )
}
