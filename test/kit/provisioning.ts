/** A running provisioning for tests, and calls to it as any client would make them. */
import { join } from 'node:path'
import { createTokenSource, type TokenSource } from '../../core/auth/token-source.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { type Api, createApi, createFetch } from '../../core/runtime/fetch.ts'
import { type Program, startProgram } from './program.ts'

export interface Provisioning {
  readonly program: Program
  readonly url: string
  /** As the operator, whose credential it wrote into the data folder. */
  readonly operator: Api
}

export async function startProvisioning(
  dataDir: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Provisioning> {
  const program = await startProgram('provisioning', {
    env: { LOTWATCH_DATA: dataDir, LOTWATCH_PROVISIONING_PORT: '0', ...env },
  })
  const url = String(program.ready.url)
  const operator = apiOf(url, readCredentialFile(join(dataDir, 'operator.json')))
  return { program, url, operator }
}

/** Tokens for a credential, at the endpoint it names. */
export function tokensOf(credential: CredentialFile, audience: string): TokenSource {
  return createTokenSource({
    credential,
    audience,
    fetch: createFetch(),
    nowMs: () => performance.now(),
    random: Math.random,
  })
}

/** Calls to provisioning at `url` as the client of the credential. */
export function apiOf(url: string, credential: CredentialFile): Api {
  return createApi({
    baseUrl: url,
    tokens: tokensOf(credential, audiences.provisioning),
    fetch: createFetch(),
    unavailable: 'provisioning.unavailable',
  })
}
