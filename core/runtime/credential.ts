/** The credential file of a program or a device: read, checked, and waited for where provisioning writes it at its first start. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { Value } from 'typebox/value'
import { CredentialFile } from '../contract/credential.ts'
import { FleetError } from '../contract/errors.ts'
import type { Log } from './log.ts'

const lookMs = 50

/**
 * Reads a credential file.
 * @throws FleetError `credential.invalid` when it is missing, not a credential, or readable by others (mode beyond 0600)
 */
export function readCredentialFile(path: string): CredentialFile {
  let value: unknown
  try {
    if ((statSync(path).mode & 0o077) !== 0) throw new Error('others can read it; chmod 600')
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new FleetError('credential.invalid', `${path}: ${reasonOf(error as Error)}`)
  }
  if (Value.Check(CredentialFile, value)) return value
  const faults = Value.Errors(CredentialFile, value).map(
    (error) => `${path}${error.instancePath}: ${error.message}`,
  )
  throw new FleetError('credential.invalid', `${path} is not a credential file`, { faults })
}

function reasonOf(error: Error): string {
  // What JSON.parse says quotes the text, which may be the secret.
  if (error instanceof SyntaxError) return 'is not JSON'
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'is not there'
  return code === undefined ? error.message : `cannot be read (${code})`
}

/**
 * Reads a credential file, waiting for it to appear.
 * @throws FleetError `credential.invalid` when it is still missing after `waitMs`, or is not right
 */
export async function awaitCredentialFile(
  path: string,
  options: { log: Log; waitMs: number },
): Promise<CredentialFile> {
  const endMs = performance.now() + options.waitMs
  if (!existsSync(path)) options.log.info('credential.awaited', { path })
  while (!existsSync(path) && performance.now() < endMs) await delay(lookMs)
  return readCredentialFile(path)
}
