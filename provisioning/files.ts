/** Files that only this user may read, written whole or not at all. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { FleetError } from '../core/contract/errors.ts'

/** @throws FleetError `config.invalid` naming the setting, when there can be no such folder */
export function makeDataFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    const faults = [`LOTWATCH_DATA: ${(cause as Error).message}`]
    throw new FleetError('config.invalid', 'the data folder cannot be made', { cause, faults })
  }
}

/**
 * Writes a file with mode 0600, folders with 0700. When it returns, the file is durable;
 * a crash before that leaves what was there.
 */
export function writePrivateFile(path: string, text: string): void {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const half = `${path}.new`
  const file = openSync(half, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(half, path)
  const entry = openSync(folder, 'r')
  try {
    fsyncSync(entry)
  } finally {
    closeSync(entry)
  }
}

/** @returns undefined when there is no such file */
export function readFileIfAny(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
