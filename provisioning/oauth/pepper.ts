/**
 * The pepper under which secrets are hashed and private keys are sealed: from the settings, or from a file of mode 0600
 * that is made at first start. All who share a registry have the same one; its mark in the registry tells a wrong one.
 */
import { createHmac } from 'node:crypto'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { FleetError } from '../../core/contract/errors.ts'
import { readFileIfAny, writePrivateFile } from '../files.ts'
import type { RegistryRepository } from '../repository/repository.ts'

/** 32 bytes, base64url. */
export const pepperPattern = '^[A-Za-z0-9_-]{43}$'

const PepperFile = Type.Object({ v: Type.Literal(1), pepper: Type.String({ pattern: pepperPattern }) })

export interface PepperOptions {
  readonly repository: Pick<RegistryRepository, 'change' | 'findMark'>
  /** Holds `pepper.json`. */
  readonly folder: string
  /** From the settings; the file is then not looked at. */
  readonly setting: string | undefined
  readonly randomBytes: (count: number) => Uint8Array
}

/** @throws FleetError `config.invalid` when it is not the registry's, is unusable, or is gone */
export async function openPepper(options: PepperOptions): Promise<Uint8Array> {
  const { repository, setting, folder } = options
  const path = join(folder, 'pepper.json')
  const where = setting === undefined ? path : 'LOTWATCH_PROVISIONING_PEPPER'
  const held = setting ?? readPepper(path)
  const mark = await repository.findMark('pepper')
  if (held === undefined && mark !== undefined)
    throw unusable(where, 'is missing, and nothing of this registry can be checked without it; restore it')
  const pepper = held === undefined ? options.randomBytes(32) : Buffer.from(held, 'base64url')
  const own = markOf(pepper)
  if (held === undefined)
    writePrivateFile(path, JSON.stringify({ v: 1, pepper: Buffer.from(pepper).toString('base64url') }))
  // Whoever comes first sets it; nobody overwrites it.
  const agreed = await repository.change(async (view) => {
    const before = await view.findMark('pepper')
    return before === undefined
      ? { changes: [{ mark: { name: 'pepper', value: own } }], answer: own }
      : { answer: before }
  })
  if (agreed !== own) throw unusable(where, 'is not the one that this registry was written with')
  return pepper
}

/** Says nothing of the pepper but whether it is the same. */
function markOf(pepper: Uint8Array): string {
  return createHmac('sha256', pepper).update('mark of the pepper').digest('base64url')
}

function readPepper(path: string): string | undefined {
  const text = readFileIfAny(path)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unusable(path, 'is not JSON') // the parser's words would quote the content
  }
  if (!Value.Check(PepperFile, value)) throw unusable(path, 'does not hold what it should')
  return value.pepper
}

function unusable(where: string, fault: string): FleetError {
  return new FleetError('config.invalid', 'the pepper cannot be used', { faults: [`${where}: ${fault}`] })
}
