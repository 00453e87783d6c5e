/**
 * A credential that systemd hands over (`LoadCredential=`, from its credential store or encrypted by `systemd-creds`):
 * what a device begins with that was made elsewhere. It is taken over once, into a file that a rotation can write.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readCredentialFile } from '../core/runtime/credential.ts'
import type { Log } from '../core/runtime/log.ts'
import { writeKept } from './kept-file.ts'

export const givenCredentialName = 'lot-agent.credentials'

/** @throws FleetError `credential.invalid` when what is handed over is no credential */
export function takeGivenCredential(folder: string | undefined, credentialFile: string, log: Log): void {
  if (folder === undefined || existsSync(credentialFile)) return
  const given = join(folder, givenCredentialName)
  if (!existsSync(given)) return
  writeKept(credentialFile, readCredentialFile(given))
  log.info('credential.given', { path: credentialFile })
}
