/** Who lotctl is towards a program: a credential file becomes tokens, and an API that carries them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createTokenSource, type TokenSource } from '../core/auth/token-source.ts'
import type { CredentialFile } from '../core/contract/credential.ts'
import { FleetError } from '../core/contract/errors.ts'
import { audiences } from '../core/contract/principal.ts'
import { readCredentialFile } from '../core/runtime/credential.ts'
import { type Api, createApi, createFetch } from '../core/runtime/fetch.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'
import type { CliConfig } from './config.ts'
import type { Places } from './places.ts'
import { findProfile, type ProfileServers, profileDefault } from './profiles.ts'

/** What the command line says over the settings. */
export interface AccessOptions {
  readonly server?: string
  readonly credential?: string
  /** Made by `lotctl login`. */
  readonly profile?: string
}

/** A program that lotctl asks over HTTP. */
export type CalledProgram = 'broker' | 'ingest' | 'provisioning'

export interface Access {
  readonly credential: CredentialFile
  /** Where a program is for this caller. */
  url(program: CalledProgram): string
  /** @param scope absent: all that was granted */
  tokens(audience: string, scope?: string): TokenSource
  /** A program's API with a token for it. */
  api(program: CalledProgram): Api
}

/** @throws FleetError `credential.invalid`, also for a file that others can read */
export function openAccess(config: CliConfig, places: Places, options: AccessOptions): Access {
  const { path, servers } = whoAsks(config, options)
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
  const url: Access['url'] = (program) => {
    const setting = `${program}Url` as const
    const place = program === 'broker' ? places.brokerHttpUrl : places[`${program}Url`]
    const baseUrl = options.server ?? servers[setting] ?? config[setting] ?? place
    if (baseUrl === undefined)
      throw new FleetError('config.invalid', `where the ${program} is cannot be known`, {
        faults: [`LOTWATCH_CLI_${program.toUpperCase()}_URL, or --server, says it`],
      })
    const named = options.server === undefined ? `address of ${program}` : '--server'
    requireTlsUrl(baseUrl, { setting: named, insecure: config.insecure })
    return baseUrl
  }
  return {
    credential,
    tokens,
    url,
    api: (program) =>
      createApi({
        baseUrl: url(program),
        tokens: tokens(audiences[program]),
        fetch,
        unavailable: `${program}.unavailable`,
      }),
  }
}

/** What the command line says, then the settings, then the data folder, then the profile that is there for this. */
function whoAsks(
  config: CliConfig,
  options: AccessOptions,
): { readonly path: string; readonly servers: ProfileServers } {
  const { credential = options.profile === undefined ? config.credentialFile : undefined } = options
  if (credential !== undefined && options.profile === undefined) return existing(credential)
  if (credential !== undefined)
    throw new FleetError('request.invalid', 'one of --credential and --profile, not both')
  const ofData = join(config.dataDir, 'operator.json')
  if (options.profile === undefined && existsSync(ofData)) return existing(ofData)
  const name = options.profile ?? profileDefault
  const profile = findProfile(config.profilesDir, name)
  if (profile !== undefined) return { path: profile.credentialFile, servers: profile.servers }
  if (options.profile === undefined) return existing(ofData)
  throw new FleetError('credential.invalid', `there is no profile "${name}"`, {
    faults: [`lotctl login --profile ${name} makes it`],
  })
}

function existing(path: string): { readonly path: string; readonly servers: ProfileServers } {
  if (existsSync(path)) return { path, servers: {} }
  throw new FleetError('credential.invalid', `${path} does not exist`, {
    faults: ['run this in the folder of the project, log in, or set LOTWATCH_DATA or --credential'],
  })
}
