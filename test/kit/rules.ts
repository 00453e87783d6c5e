/** Rules over a folder for tests, in the thread that provisioning runs them in. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Client } from '../../core/contract/client.ts'
import { createLog } from '../../core/runtime/log.ts'
import type { RuleThreadOptions } from '../../provisioning/oauth/rules/rule-thread.ts'
import {
  openRules,
  type Rules,
  type RulesOptions,
  type TrialRequest,
} from '../../provisioning/oauth/rules/rules.ts'
import { root } from '../../scripts/build.mjs'
import { makeDataDir } from './program.ts'

export interface RulesKit {
  readonly rules: Rules
  readonly folder: string
  readonly lines: readonly Record<string, unknown>[]
  write(name: string, source: string): void
  close(): Promise<void>
}

export const threadFile = pathToFileURL(join(root, 'dist', 'rule-thread.mjs'))

export async function openRulesKit(
  sources: Readonly<Record<string, string>>,
  options: Partial<Pick<RulesOptions, 'timeMs'>> & { thread?: Partial<RuleThreadOptions> } = {},
): Promise<RulesKit> {
  const data = makeDataDir()
  const folder = data.path
  const write = (name: string, source: string) => writeFileSync(join(folder, name), source)
  for (const [name, source] of Object.entries(sources)) write(name, source)
  const lines: Record<string, unknown>[] = []
  const rules = await openRules({
    folder,
    issuer: 'https://issuer.example/',
    timeMs: 5000,
    threadFile,
    log: createLog({ program: 'provisioning', write: (line) => void lines.push(JSON.parse(line)) }),
    ...options,
  })
  return {
    rules,
    folder,
    lines,
    write,
    async close() {
      await rules.stop()
      data.remove()
    },
  }
}

/** A token request that the grants allow. */
export function requestBy(
  oauthClientId: string,
  more: Partial<TrialRequest> & { metadata?: Client['metadata'] } = {},
): TrialRequest {
  const { metadata = {}, ...rest } = more
  return {
    client: {
      oauthClientId,
      name: `${oauthClientId} by name`,
      kind: 'service',
      grantTypes: ['client_credentials'],
      authMethods: ['client_secret_basic'],
      grants: [],
      metadata,
    },
    audience: 'urn:test',
    scopes: ['read', 'write'],
    from: { address: '192.0.2.1', userAgent: 'curl/8', parameters: { grant_type: 'client_credentials' } },
    ...rest,
  }
}
