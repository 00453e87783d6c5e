/** Who lotctl is towards a program: a credential file becomes tokens, and an API that carries them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createTokenSource, type TokenSource } from '../core/auth/token-source.ts'
import { FleetError } from '../core/contract/errors.ts'
import { audiences } from '../core/contract/principal.ts'
import { type Api, createApi, createFetch, readCredentialFile, requireTlsUrl } from '../core/runtime/fetch.ts'
import type { CliConfig } from './config.ts'
import type { Places } from './places.ts'

/** What the command line says over the settings. */
export interface AccessOptions {
  readonly server?: string
  readonly credential?: string
}

export interface Access {
  /** @param scope absent: all that was granted */
  tokens(audience: string, scope?: string): TokenSource
  /** A program's API with a token for it. */
  api(program: 'ingest' | 'provisioning'): Api
}

/** @throws FleetError `credential.invalid`, also for a file that others can read */
export function openAccess(config: CliConfig, places: Places, options: AccessOptions): Access {
  const path = options.credential ?? config.credentialFile ?? join(config.dataDir, 'operator.json')
  if (!existsSync(path)) {
    throw new FleetError('credential.invalid', `${path} does not exist`, {
      faults: ['run this in the folder of the project, or set LOTWATCH_DATA or --credential'],
    })
  }
  const credential = readCredentialFile(path)
  requireTlsUrl(credential.token_endpoint, { setting: 'token_endpoint', insecure: config.insecure })
  const fetch = createFetch(credential.ca === undefined ? {} : { ca: credential.ca })
  const timeoutMs = config.timeoutSec * 1000

  const tokens: Access['tokens'] = (audience, scope) =>
    createTokenSource({
      credential,
      audience,
      ...(scope === undefined ? {} : { scope }),
      fetch,
      nowMs: () => performance.now(),
      random: Math.random,
      timeoutMs,
    })
  return {
    tokens,
    api(program) {
      const ofSettings =
        program === 'ingest'
          ? (config.ingestUrl ?? places.ingestUrl)
          : (config.provisioningUrl ?? places.provisioningUrl)
      const baseUrl = options.server ?? ofSettings
      const setting = options.server === undefined ? `address of ${program}` : '--server'
      requireTlsUrl(baseUrl, { setting, insecure: config.insecure })
      return createApi({
        baseUrl,
        tokens: tokens(audiences[program]),
        fetch,
        unavailable: `${program}.unavailable`,
      })
    },
  }
}
