/**
 * A new key for this device, because an operator said so: made here, registered on proof of the old one, or by the client
 * secret it takes the place of, tried, and only then put in its place. The old one goes on for a while on the other side, and for good when the new one is no good.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { CredentialFile } from '../core/contract/credential.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'
import type { AgentConfig } from './config.ts'
import { enrol } from './enrolment.ts'
import { type Identity, identityOf } from './identity.ts'
import { createTokens, type TokenParts } from './tokens.ts'

export interface RotationParts extends TokenParts {
  readonly clock: Clock
  readonly boot: Boot
  readonly log: Log
}

/** @throws FleetError with what is in the way; the old credential is in its place then */
export function rotateCredential(
  { identity, config, signal }: { identity: Identity | undefined; config: AgentConfig; signal: AbortSignal },
  parts: RotationParts,
): Promise<CredentialFile> {
  const { clock, log } = parts
  if (identity === undefined) throw new FleetError('credential.invalid', 'the device has no credential')
  const { credential } = identity
  return enrol(
    {
      url: credential.issuer,
      insecure: config.insecure,
      previous: credential,
      ...(credential.ca === undefined ? {} : { ca: credential.ca }),
    },
    {
      ...parts,
      credentialFile: config.credentialFile,
      nowMs: clock.nowMs,
      tryCredential: (file) => tryCredential(identityOf(file, config.credentialFile, config), config, parts),
      wait: (ms, stop) => delay(ms, undefined, { signal: stop }).catch(() => undefined), // stopped: `enrol` looks
    },
    { signal, tell: (news) => log.info('credential.rotating', { ...news }) },
  )
}

/** A token that nobody keeps: whether there is one is the question. @throws FleetError when there is none */
export function tryCredential(identity: Identity, config: AgentConfig, parts: TokenParts): Promise<unknown> {
  return createTokens(identity, config, parts).get()
}
