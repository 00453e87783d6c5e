/** What ingest has on disk, by what it is for, and how much room there is: measured when somebody asks. */
import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

export interface Disk {
  /** Bytes by what they are for. */
  used(): Promise<readonly (readonly [string, number])[]>
  /** Bytes that may still be written; undefined when nobody can say, which is better than a wrong number. */
  free(): Promise<number | undefined>
}

/**
 * @param uses files and folders by what they are for
 * @param folder whose disk it is
 */
export function createDisk(uses: Readonly<Record<string, readonly string[]>>, folder: string): Disk {
  return {
    used: () =>
      Promise.all(
        Object.entries(uses).map(
          async ([use, paths]) => [use, sum(await Promise.all(paths.map(bytesBelow)))] as const,
        ),
      ),
    async free() {
      const disk = await statfs(folder).catch(() => undefined) // not there yet
      return disk === undefined ? undefined : disk.bavail * disk.bsize
    },
  }
}

/** Of a file, or of all files below a folder; what is not there has none, and what goes meanwhile is gone. */
async function bytesBelow(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return 0
  if (!found.isDirectory()) return found.size
  const names = await readdir(path).catch(() => [])
  return sum(await Promise.all(names.map((name) => bytesBelow(join(path, name)))))
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((all, bytes) => all + bytes, 0)
}
