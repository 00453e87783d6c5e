/** What a device asks its tokens with: its credential, and what the settings say of the request. */
import { createTokenSource, type KeptToken, type TokenSource } from '../core/auth/token-source.ts'
import type { Fetch } from '../core/auth/verifier.ts'
import type { Clock } from './clock.ts'
import type { AgentConfig } from './config.ts'
import type { Identity } from './identity.ts'

export interface TokenParts {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly random: () => number
  readonly fetchOf: (ca: string | undefined) => Fetch
}

/** @param kept absent: its tokens are nobody else's, as of a credential that is only tried */
export function createTokens(
  { credential, broker }: Identity,
  config: AgentConfig,
  { clock, random, fetchOf }: TokenParts,
  kept?: KeptToken,
): TokenSource {
  return createTokenSource({
    credential,
    audience: broker.audience,
    fetch: fetchOf(credential.ca),
    nowMs: clock.monotonicMs,
    random,
    parameters: config.parameters,
    ...(config.tokenScope === undefined ? {} : { scope: config.tokenScope }),
    ...(kept === undefined ? {} : { kept }),
  })
}
