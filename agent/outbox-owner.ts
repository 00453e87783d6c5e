/**
 * Whose readings an outbox holds: a note beside it. A board that becomes another device must not send what it counted as
 * the one before, and a device's sequences begin with its outbox.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { Identifier } from '../core/contract/registry.ts'
import { readKept, writeKept } from './kept-file.ts'

const Owner = Type.Object({ deviceId: Identifier })
/** What lies beside an outbox and is of the same device. */
const companions = ['.owner.json', '.schedule.json', '.commands.json', '.remote.json'] as const

/**
 * Says that the outbox is this device's, from its first credential on: what was counted before that is its own.
 * @throws FleetError `credential.invalid` when it is another's
 */
export function claimOutbox(outboxDir: string, deviceId: string): void {
  const path = `${outboxDir}.owner.json`
  const owner = readKept(path, Owner)?.deviceId
  if (owner === deviceId) return
  if (owner !== undefined)
    throw new FleetError('credential.invalid', `the outbox ${outboxDir} is of another device, ${owner}`, {
      faults: [`${outboxDir}: move it and what is named after it away, or be ${owner}`],
    })
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeKept(path, { deviceId })
}

/** Moves an outbox away, for another device to begin with a new one. @returns where it is; undefined: there was none */
export function setOutboxAside(outboxDir: string, nowMs: number): string | undefined {
  const aside = `${outboxDir}.aside-${new Date(nowMs).toISOString().replace(/[:.]/g, '-')}`
  const moved = ['', ...companions].filter((ending) => existsSync(`${outboxDir}${ending}`))
  // The note goes last: cut off in between, the outbox is still known to be another's.
  for (const ending of moved.toSorted((a, b) => Number(a === '.owner.json') - Number(b === '.owner.json')))
    renameSync(`${outboxDir}${ending}`, `${aside}${ending}`)
  return moved.length === 0 ? undefined : aside
}
