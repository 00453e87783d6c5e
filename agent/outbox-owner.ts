/**
 * Whose readings an outbox holds: a note beside it. A board that becomes another device must not send what it counted as
 * the one before, and a device's sequences begin with its outbox.
 */
import { readdirSync, renameSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { Identifier } from '../core/contract/registry.ts'
import { readKept, writeKept } from './kept-file.ts'

const Owner = Type.Object({ deviceId: Identifier })
const ownerEnding = '.owner.json'
/**
 * Says that the outbox is this device's, from its first credential on: what was counted before that is its own.
 * @throws FleetError `credential.invalid` when it is another's
 */
export function claimOutbox(outboxDir: string, deviceId: string): void {
  const path = `${outboxDir}${ownerEnding}`
  const owner = readKept(path, Owner)?.deviceId
  if (owner === deviceId) return
  if (owner !== undefined)
    throw new FleetError('credential.invalid', `the outbox ${outboxDir} is of another device, ${owner}`, {
      faults: [`${outboxDir}: move it and what is named after it away, or be ${owner}`],
    })
  writeKept(path, { deviceId })
}

/**
 * Moves an outbox away with all that is named after it, for another device to begin with a new one.
 * @returns where it is; undefined: there was none
 */
export function setOutboxAside(outboxDir: string, nowMs: number): string | undefined {
  const folder = dirname(outboxDir)
  const name = basename(outboxDir)
  const aside = `${name}.aside-${new Date(nowMs).toISOString().replace(/[:.]/g, '-')}`
  const endings = readdirSync(folder)
    .filter((one) => one === name || (one.startsWith(`${name}.`) && !one.startsWith(`${name}.aside-`)))
    .map((one) => one.slice(name.length))
  // The note goes last: cut off in between, the outbox is still known to be another's.
  for (const ending of endings.toSorted((a, b) => Number(a === ownerEnding) - Number(b === ownerEnding)))
    renameSync(join(folder, name + ending), join(folder, aside + ending))
  return endings.length === 0 ? undefined : join(folder, aside)
}
