/**
 * Small files that must survive a power cut whole: written beside, synced, and put in place in one step, mode 0600.
 * Written by root, as a command may be, a file belongs to whom its folder belongs to: the service reads it.
 */
import {
  closeSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'

/** Durable when it returns; throws what the file system says, and then the old file is still there. */
export function writeKept(path: string, value: unknown): void {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const beside = `${path}.part`
  rmSync(beside, { force: true })
  const file = openSync(beside, 'wx', 0o600)
  try {
    const { uid, gid } = statSync(folder)
    if (process.getuid?.() === 0 && uid !== 0) fchownSync(file, uid, gid)
    writeSync(file, `${JSON.stringify(value, undefined, 2)}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(beside, path)
  syncFolder(folder)
}

/** @returns undefined when it is missing, broken, or of another shape */
export function readKept<Schema extends TSchema>(path: string, schema: Schema): Static<Schema> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return Value.Check(schema, value) ? value : undefined
  } catch {
    return undefined // missing, or no JSON: written whole or not at all, so somebody else wrote it
  }
}

export function removeKept(path: string): void {
  rmSync(path, { force: true })
  syncFolder(dirname(path))
}

/** Puts one file in the place of another, durably. */
export function moveKept(from: string, to: string): void {
  renameSync(from, to)
  syncFolder(dirname(to))
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
