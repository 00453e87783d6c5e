/** An archive in a folder: a disk of its own, or one of another machine that is mounted here. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { FleetError } from '../../core/contract/errors.ts'
import { sumOf, syncToDisk } from '../../core/runtime/file-sum.ts'
import type { Archive } from './archive.ts'

export function createFolderArchive(folder: string): Archive {
  const pathOf = (name: string) => join(folder, name)

  /** The folder itself is never made: where a mount is away it is not there, and files would go to the wrong disk. */
  async function present(): Promise<void> {
    await stat(folder)
  }

  async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      await present()
      return await work()
    } catch (cause) {
      throw new FleetError('archive.unavailable', `the archive ${folder} cannot ${what}`, { cause })
    }
  }

  return {
    async holds(name, sum) {
      return attempt('be read', async () => {
        const found = await stat(pathOf(name)).catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return undefined
          throw error
        })
        // Read as a whole: a disk that lost bytes still has the size.
        return found?.size === sum.bytes && (await sumOf(pathOf(name))).sha256 === sum.sha256
      })
    },

    async put(name, path) {
      await attempt('be written', async () => {
        const target = pathOf(name)
        await mkdir(dirname(target), { recursive: true })
        await pipeline(createReadStream(path), createWriteStream(`${target}.part`, { flush: true }))
        await rename(`${target}.part`, target)
        await syncToDisk(dirname(target))
      })
    },

    async *read(name, fromByte) {
      try {
        yield* createReadStream(pathOf(name), { start: fromByte }) as AsyncIterable<Buffer> // no encoding is set
      } catch (cause) {
        throw new FleetError('archive.unavailable', `the archive ${folder} cannot be read`, { cause })
      }
    },
  }
}
