/**
 * Backups while writing goes on: the store copies itself as of one moment and compares the copy with that moment; a
 * folder becomes a backup by its manifest, and gets its name last.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Value } from 'typebox/value'
import { BackupManifest, backupDatabaseName, backupManifestName } from '../core/contract/backup.ts'
import { FleetError } from '../core/contract/errors.ts'
import { sumOf, syncToDisk } from '../core/runtime/file-sum.ts'
import type { Store } from './store/store.ts'

export interface Backups {
  /**
   * Makes one; resolves when it is on disk and was found to be what it should be.
   * @throws FleetError `request.conflict` while another is being made, `store.unsupported`, `store.unavailable`
   */
  create(): Promise<BackupManifest>
  /** Those there are, newest first. */
  list(): Promise<readonly BackupManifest[]>
}

export interface BackupsOptions {
  readonly store: Store
  readonly folder: string
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

export function createBackups({ store, folder, now }: BackupsOptions): Backups {
  let isMaking = false

  async function make(): Promise<BackupManifest> {
    const { backUp } = store
    if (backUp === undefined)
      throw new FleetError('store.unsupported', 'this store copies itself by its own means', {
        safeDetail: 'InfluxDB is backed up by its own means: see docs/operations.md',
      })
    const madeAtMs = now()
    const name = new Date(madeAtMs).toISOString().replaceAll(':', '-')
    const unfinished = join(folder, `${name}.tmp`)
    await mkdir(unfinished, { recursive: true, mode: 0o700 })
    try {
      const database = join(unfinished, backupDatabaseName)
      const tables = await backUp(database)
      await syncToDisk(database)
      const manifest: BackupManifest = {
        v: 1,
        name,
        madeAtMs,
        file: await sumOf(database),
        tables: [...tables],
      }
      await writeFile(join(unfinished, backupManifestName), `${JSON.stringify(manifest, undefined, 2)}\n`, {
        flush: true,
      })
      await syncToDisk(unfinished)
      await rename(unfinished, join(folder, name))
      await syncToDisk(folder)
      return manifest
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true })
      throw error
    }
  }

  return {
    async create() {
      if (isMaking)
        throw new FleetError('request.conflict', 'a backup is being made', {
          safeDetail: 'a backup is being made already',
        })
      isMaking = true
      return make().finally(() => {
        isMaking = false
      })
    },

    async list() {
      const names = await readdir(folder).catch(() => []) // none was made so far
      const found = await Promise.all(names.map((name) => manifestIn(join(folder, name))))
      return found.filter((manifest) => manifest !== undefined).sort((a, b) => b.madeAtMs - a.madeAtMs)
    },
  }
}

/** Undefined: this folder is not a backup. */
async function manifestIn(folder: string): Promise<BackupManifest | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, backupManifestName), 'utf8'))
    return Value.Check(BackupManifest, value) ? value : undefined
  } catch {
    return undefined // nothing there, or nothing of ours
  }
}
