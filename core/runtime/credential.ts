/** A program's own credential: provisioning writes it at its first start, which may be the same moment as ours. */
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { CredentialFile } from '../contract/credential.ts'
import { readCredentialFile } from './fetch.ts'
import type { Log } from './log.ts'

const lookMs = 50

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
