/** What ingest has on disk, by what it is for, and how much room there is: measured when somebody asks. */
import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Gauge, type Registry } from 'prom-client'

export interface DiskMetricsOptions {
  /** Files and folders by what they are for. */
  readonly uses: Readonly<Record<string, readonly string[]>>
  /** Whose disk it is. */
  readonly folder: string
}

export function addDiskMetrics(registry: Registry, { uses, folder }: DiskMetricsOptions): void {
  const registers = [registry]
  new Gauge({
    name: 'lotwatch_ingest_disk_bytes',
    help: 'Bytes on disk, by what they are for.',
    labelNames: ['use'],
    registers,
    async collect() {
      for (const [use, paths] of Object.entries(uses)) {
        const sizes = await Promise.all(paths.map(bytesBelow))
        this.set(
          { use },
          sizes.reduce((sum, bytes) => sum + bytes, 0),
        )
      }
    },
  })
  new Gauge({
    name: 'lotwatch_ingest_disk_free_bytes',
    help: 'Bytes that may still be written to the disk of the database.',
    registers,
    async collect() {
      // Not there yet: no number is better than a wrong one.
      const disk = await statfs(folder).catch(() => undefined)
      if (disk !== undefined) this.set(disk.bavail * disk.bsize)
    },
  })
}

/** Of a file, or of all files below a folder; what is not there has none, and what goes meanwhile is gone. */
async function bytesBelow(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return 0
  if (!found.isDirectory()) return found.size
  const names = await readdir(path).catch(() => [])
  const sizes = await Promise.all(names.map((name) => bytesBelow(join(path, name))))
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}
