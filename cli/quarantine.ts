/** `lotctl quarantine release`: entries are looked at once more by ingest, and what became of them is told. */
import type { QuarantineReleased } from '../core/contract/query.ts'
import { type AccessOptions, openAccess } from './access.ts'
import { type Exit, exits } from './exit.ts'
import type { Home } from './home.ts'

export interface ReleaseFlags extends AccessOptions {
  readonly device?: readonly string[]
  readonly reason?: string
  readonly all?: true
  readonly limit?: number
}

/** @returns `partial` when something of what was asked for is still in quarantine */
export async function releaseQuarantine(
  { config, places, voice }: Home,
  ids: readonly string[],
  { device, reason, limit, all: _all, ...access }: ReleaseFlags,
): Promise<Exit> {
  const api = openAccess(config, places, access).api('ingest')
  const timeoutMs = config.timeoutSec * 1000
  const post = (path: string, body?: object) =>
    api.json<QuarantineReleased>(`/v1/quarantine/${path}`, {
      method: 'POST',
      ...(body === undefined ? {} : { body }),
      timeoutMs,
    })
  const answers =
    ids.length === 0
      ? [await post('release', { device, reason, limit })]
      : await Promise.all(ids.map((id) => post(`${encodeURIComponent(id)}/release`)))
  const released = answers.flatMap((answer) => answer.released)
  const remaining = answers.flatMap((answer) => answer.remaining)
  if (released.length > 0) voice.answer(released.join('\n'))
  voice.note(`${released.length} stored, ${remaining.length} still wrong`)
  return remaining.length === 0 ? exits.ok : exits.partial
}
