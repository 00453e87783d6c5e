/** How the other programs stand, as they say at /readyz. */
import type { Fetch } from '../../core/auth/verifier.ts'
import type { Services } from '../wire.ts'

type Service = Services['services'][number]

const answerMsMax = 3000

export async function askServices(
  urls: Readonly<Record<string, string>>,
  { fetch, nowMs }: { fetch: Fetch; nowMs: () => number },
): Promise<Services> {
  const ask = async ([name, url]: readonly [string, string]): Promise<Service> => {
    const sinceMs = nowMs()
    const took = () => Math.round(nowMs() - sinceMs)
    try {
      const response = await fetch(`${url.replace(/\/$/, '')}/readyz`, {
        signal: AbortSignal.timeout(answerMsMax),
      })
      const answer = (await response.json().catch(() => ({}))) as { code?: unknown } // judged by its status
      const detail = response.ok || answer.code === undefined ? {} : { detail: String(answer.code) }
      return { name, url, state: response.ok ? 'ready' : 'not_ready', answerMs: took(), ...detail }
    } catch {
      return { name, url, state: 'away', answerMs: took() }
    }
  }
  return { services: await Promise.all(Object.entries(urls).map(ask)) }
}
