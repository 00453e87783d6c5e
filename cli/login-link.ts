/** `login-link`: a link that signs a person in to the console of this machine, once. */
import { randomBytes } from 'node:crypto'
import { makeLoginLink } from '../core/runtime/login-link.ts'
import type { Home } from './home.ts'

export function newLoginLink(options: { dataDir: string; consoleUrl: string; account?: string }): string {
  return makeLoginLink({ ...options, token: randomBytes(32).toString('base64url'), nowMs: Date.now() })
}

export function loginLink({ config, places, voice }: Home, { account }: { account?: string }): void {
  const link = newLoginLink({
    dataDir: config.dataDir,
    consoleUrl: places.consoleUrl,
    ...(account === undefined ? {} : { account }),
  })
  voice.answer(link)
  voice.note('good once, within the hour')
}
