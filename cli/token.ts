/** `token get`: an access token by the client credentials grant, alone on standard output, for curl and notebooks. */
import { audiences } from '../core/contract/principal.ts'
import { type AccessOptions, openAccess } from './access.ts'
import type { Home } from './home.ts'

export async function tokenGet(
  home: Home,
  options: AccessOptions & { audience: string; scope?: string },
): Promise<void> {
  const audience = Object.entries(audiences).find(([name]) => name === options.audience)?.[1]
  const access = openAccess(home.config, home.places, options)
  const { token } = await access.tokens(audience ?? options.audience, options.scope).get()
  home.voice.answer(token)
}
