/**
 * One process at a time for a folder: a file with its process id, and those of the programs it started.
 * A file whose process is gone holds nothing; what that process started is given the time to end after it.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { FleetError } from '../core/contract/errors.ts'

export interface Hold {
  /** A program that works in the folder for us. */
  started(pid: number): void
  release(): void
}

/** Programs end within 4 s of their supervisor. */
const orphansWaitMs = 5000
const lookMs = 50

/** @throws FleetError `store.locked` naming the process that holds it */
export async function hold(path: string, what: string): Promise<Hold> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const [holder, ...orphans] = pidsIn(path)
  if (holder !== undefined && isAlive(holder))
    throw new FleetError('store.locked', `${what} is in use by process ${holder}; ${path} says so`)
  const endMs = performance.now() + orphansWaitMs
  while (orphans.some(isAlive) && performance.now() < endMs) await delay(lookMs)
  rmSync(path, { force: true })
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: 'wx' })
  } catch (cause) {
    throw new FleetError('store.locked', `${what} cannot be held: ${path}`, { cause })
  }
  return {
    started: (pid) => appendFileSync(path, `${pid}\n`),
    release: () => rmSync(path, { force: true }),
  }
}

function pidsIn(path: string): number[] {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').map(Number)
  } catch {
    return [] // no file: nobody holds it
  }
}

function isAlive(pid: number): boolean {
  // In a container the one before had the same id as we have.
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
