/**
 * Backups at the terminal: made and listed by ingest, verified and put back on this machine. A restored database is
 * compared with its manifest twice: its bytes here, its tables by ingest before that starts with it.
 */
import { existsSync } from 'node:fs'
import { copyFile, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Value } from 'typebox/value'
import {
  BackupManifest,
  backupDatabaseName,
  backupManifestName,
  restoredEnding,
} from '../core/contract/backup.ts'
import { FleetError } from '../core/contract/errors.ts'
import { sumOf, syncToDisk } from '../core/runtime/file-sum.ts'
import { type AccessOptions, openAccess } from './access.ts'
import type { Home } from './home.ts'
import { table } from './output.ts'

/** A copy of many readings takes its time. */
const createMs = 3600_000
const aliveMs = 2000

export async function createBackup({ config, places, voice }: Home, access: AccessOptions): Promise<void> {
  const api = openAccess(config, places, access).api('ingest')
  const manifest = await api.json<BackupManifest>('/v1/backups', { method: 'POST', timeoutMs: createMs })
  voice.answer(manifest.name)
  voice.note(`${rowsOf(manifest, 'readings')} readings, ${manifest.file.bytes} bytes, as they were copied`)
}

export async function listBackups({ config, places, voice }: Home, access: AccessOptions): Promise<void> {
  const api = openAccess(config, places, access).api('ingest')
  const { backups } = await api.json<{ backups: BackupManifest[] }>('/v1/backups', {
    timeoutMs: config.timeoutSec * 1000,
  })
  if (backups.length === 0) return voice.note('nothing there')
  voice.answer(
    table(
      [
        { head: 'backup', cell: ({ name }) => name },
        { head: 'readings', cell: (manifest) => rowsOf(manifest, 'readings'), align: 'right' },
        { head: 'bytes', cell: ({ file }) => file.bytes, align: 'right' },
      ],
      backups,
    ),
  )
}

/** @throws FleetError `file.invalid` */
export async function verifyBackup({ voice }: Pick<Home, 'voice'>, folder: string): Promise<BackupManifest> {
  const manifest = await manifestOf(folder)
  await requireSum(join(folder, backupDatabaseName), manifest)
  voice.note(`${folder}: ${rowsOf(manifest, 'readings')} readings, as they were copied`)
  return manifest
}

/** What was there is moved aside, and goes nowhere. */
export async function restoreBackup(
  home: Home,
  folder: string,
  { database = join(home.config.dataDir, backupDatabaseName) }: { database?: string },
): Promise<void> {
  const manifest = await verifyBackup(home, folder)
  await requireStopped(home.config.ingestUrl ?? home.places.ingestUrl)
  const copy = `${database}.copy`
  await copyFile(join(folder, backupDatabaseName), copy)
  await syncToDisk(copy)
  await requireSum(copy, manifest)
  const aside = `${database}.before-${new Date().toISOString().replaceAll(':', '-')}`
  for (const ending of ['', '.wal'])
    if (existsSync(database + ending)) {
      await rename(database + ending, aside + ending)
      home.voice.note(`what was there is ${aside}${ending} now`)
    }
  await writeFile(`${database}${restoredEnding}`, JSON.stringify(manifest), { flush: true })
  await rename(copy, database)
  await syncToDisk(dirname(database))
  home.voice.answer(database)
  home.voice.note('start ingest: it compares every table with the manifest first')
}

async function manifestOf(folder: string): Promise<BackupManifest> {
  const value: unknown = await readFile(join(folder, backupManifestName), 'utf8')
    .then((text) => JSON.parse(text) as unknown)
    .catch((cause: unknown) => {
      throw new FleetError('file.invalid', `${folder} is not a backup: it has no manifest`, { cause })
    })
  if (Value.Check(BackupManifest, value)) return value
  throw new FleetError('file.invalid', `${folder} is not a backup: its manifest is not one of ours`)
}

async function requireSum(file: string, manifest: BackupManifest): Promise<void> {
  const { bytes, sha256 } = await sumOf(file).catch((cause: unknown) => {
    throw new FleetError('file.invalid', `${file} cannot be read`, { cause })
  })
  if (bytes !== manifest.file.bytes || sha256 !== manifest.file.sha256)
    throw new FleetError('file.invalid', `${file} is not what was copied`)
}

/** Its database would be taken away under its feet. */
async function requireStopped(ingestUrl: string): Promise<void> {
  const isAlive = await fetch(`${ingestUrl}/livez`, { signal: AbortSignal.timeout(aliveMs) }).then(
    () => true,
    () => false, // nobody answers
  )
  if (isAlive) throw new FleetError('request.conflict', `ingest runs at ${ingestUrl}: stop it first`)
}

function rowsOf({ tables }: BackupManifest, name: string): number {
  return tables.find((one) => one.table === name)?.rows ?? 0
}
