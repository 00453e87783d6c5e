/**
 * How many tokens a client may get, and an API may give, in an hour and in a day (UTC). A refused request counts
 * nowhere: what was counted for it is given back. The repository holds the counters, so that processes which share
 * one count together. Without a quota nothing is asked and nothing waits. Which headers say it is in here too; which
 * words of OAuth, in `oauth/errors.ts`.
 */
import type { Api, Client, Quota } from '../../../core/contract/client.ts'
import type { RegistryRepository, TokenCount } from '../../repository/repository.ts'

export type QuotaOf = 'client' | 'api'
export type QuotaWindow = 'hour' | 'day'

/** Where a counter stands. */
export interface QuotaStanding {
  readonly of: QuotaOf
  readonly window: QuotaWindow
  readonly limit: number
  /** Tokens that can still be had in this window, 0 or more. */
  readonly remaining: number
  /** Whole seconds until the window ends, 1 or more. */
  readonly resetSec: number
}

export type QuotaTaken =
  | { readonly granted: true; readonly standings: readonly QuotaStanding[]; giveBack(): Promise<void> }
  | {
      readonly granted: false
      /** The one that is used up; of several, the one that is so for longest. */
      readonly exceeded: QuotaStanding
      readonly standings: readonly QuotaStanding[]
    }

export interface Quotas {
  /** Counts one token for the client and the API. */
  take(subject: QuotaSubject, nowMs: number): Promise<QuotaTaken>
  /** Where the counters stand; counts nothing. */
  standings(subject: QuotaSubject, nowMs: number): Promise<readonly QuotaStanding[]>
}

export interface QuotaSubject {
  readonly client: Pick<Client, 'oauthClientId' | 'quota'>
  readonly api: Pick<Api, 'audience' | 'quota'>
}

interface Counter {
  readonly of: QuotaOf
  readonly window: QuotaWindow
  readonly limit: number
  readonly counter: string
  readonly windowStartMs: number
  readonly resetSec: number
}

const windowMs = { hour: 3600_000, day: 86_400_000 } as const
const free: QuotaTaken = { granted: true, standings: [], giveBack: async () => {} }

export function createQuotas(repository: Pick<RegistryRepository, 'countTokens'>): Quotas {
  const count = async (counters: readonly Counter[], add: number): Promise<readonly QuotaStanding[]> => {
    const stand = await repository.countTokens(counters.map((counter) => countOf(counter, add)))
    return counters.map(({ of, window, limit, resetSec }, i) => ({
      of,
      window,
      limit,
      // Below 0 for as long as it is not given back again: that one is refused.
      remaining: limit - (stand[i] ?? 0),
      resetSec,
    }))
  }
  const giveBack = async (counters: readonly Counter[]): Promise<void> => {
    await repository.countTokens(counters.map((counter) => countOf(counter, -1)))
  }

  return {
    async take({ client, api }, nowMs) {
      const ofClient = countersOf('client', client.oauthClientId, client.quota, nowMs)
      const ofApi = countersOf('api', api.audience, api.quota, nowMs)
      if (ofClient.length === 0 && ofApi.length === 0) return free
      const standings: QuotaStanding[] = []
      const taken: Counter[] = []
      // The client's first: one that is over its own quota does not touch what all clients of the API share.
      for (const counters of [ofClient, ofApi]) {
        if (counters.length === 0) continue
        taken.push(...counters)
        standings.push(...(await count(counters, 1)))
        const exceeded = worstOf(standings)
        if (exceeded === undefined) continue
        await giveBack(taken)
        return { granted: false, exceeded, standings: standings.map(shown) }
      }
      return { granted: true, standings, giveBack: () => giveBack(taken) }
    },
    async standings({ client, api }, nowMs) {
      const counters = [
        ...countersOf('client', client.oauthClientId, client.quota, nowMs),
        ...countersOf('api', api.audience, api.quota, nowMs),
      ]
      return counters.length === 0 ? [] : (await count(counters, 0)).map(shown)
    },
  }
}

function countersOf(of: QuotaOf, name: string, quota: Quota | undefined, nowMs: number): Counter[] {
  if (quota === undefined) return []
  const counters: Counter[] = []
  if (quota.perHour !== undefined) counters.push(counterOf(of, name, 'hour', quota.perHour, nowMs))
  if (quota.perDay !== undefined) counters.push(counterOf(of, name, 'day', quota.perDay, nowMs))
  return counters
}

function counterOf(of: QuotaOf, name: string, window: QuotaWindow, limit: number, nowMs: number): Counter {
  const windowStartMs = Math.floor(nowMs / windowMs[window]) * windowMs[window]
  const resetSec = Math.max(1, Math.ceil((windowStartMs + windowMs[window] - nowMs) / 1000))
  return { of, window, limit, counter: `${of}:${window}:${name}`, windowStartMs, resetSec }
}

function countOf({ counter, windowStartMs }: Counter, add: number): TokenCount {
  return { counter, windowStartMs, add }
}

function worstOf(standings: readonly QuotaStanding[]): QuotaStanding | undefined {
  const exceeded = standings.filter(({ remaining }) => remaining < 0).map(shown)
  return exceeded.sort((a, b) => b.resetSec - a.resetSec)[0]
}

function shown(standing: QuotaStanding): QuotaStanding {
  return { ...standing, remaining: Math.max(0, standing.remaining) }
}

/**
 * The headers of an answer, granted or not. With the RFC's words those of draft-ietf-httpapi-ratelimit-headers-10
 * (`RateLimit-Policy`, `RateLimit`), with Auth0's the ones its clients read (`Auth0-Client-Quota-Limit`,
 * `X-RateLimit-…` of the window that ends the client's tokens first). A header a client need not read costs nothing
 * where there is no quota: there is none then.
 */
export function quotaHeaders(
  standings: readonly QuotaStanding[],
  words: 'rfc' | 'auth0',
  nowMs: number,
): Readonly<Record<string, string>> {
  if (standings.length === 0) return {}
  if (words === 'rfc') {
    const name = ({ of, window }: QuotaStanding) => `"${of}-${window}"`
    return {
      'ratelimit-policy': standings
        .map((one) => `${name(one)};q=${one.limit};w=${windowMs[one.window] / 1000}`)
        .join(', '),
      ratelimit: standings.map((one) => `${name(one)};r=${one.remaining};t=${one.resetSec}`).join(', '),
    }
  }
  const ofClient = standings.filter(({ of }) => of === 'client')
  const [tightest] = [...standings].sort((a, b) => a.remaining - b.remaining || b.resetSec - a.resetSec)
  return {
    ...(ofClient.length === 0
      ? {}
      : {
          'auth0-client-quota-limit': ofClient
            .map(
              ({ window, limit, remaining, resetSec }) =>
                `b=per_${window};q=${limit};r=${remaining};t=${resetSec}`,
            )
            .join(','),
        }),
    ...(tightest === undefined
      ? {}
      : {
          'x-ratelimit-limit': String(tightest.limit),
          'x-ratelimit-remaining': String(tightest.remaining),
          // Unix seconds, as Auth0 has it.
          'x-ratelimit-reset': String(Math.floor(nowMs / 1000) + tightest.resetSec),
        }),
  }
}
