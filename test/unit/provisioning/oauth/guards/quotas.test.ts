import { describe, expect, it } from 'vitest'
import { createQuotas, quotaHeaders } from '../../../../../provisioning/oauth/guards/quotas.ts'
import type { TokenCount } from '../../../../../provisioning/repository/repository.ts'

const dayMs = 86_400_000
const hourMs = 3_600_000
/** 22:59:30 UTC. */
const nowMs = 19_000 * dayMs + 23 * hourMs - 30_000

function openQuotas() {
  const counters = new Map<string, number>()
  let asked = 0
  const quotas = createQuotas({
    async countTokens(counts: readonly TokenCount[]) {
      asked++
      return counts.map(({ counter, windowStartMs, add }) => {
        const stand = (counters.get(`${counter}@${windowStartMs}`) ?? 0) + add
        counters.set(`${counter}@${windowStartMs}`, stand)
        return stand
      })
    },
  })
  return { quotas, counters, asked: () => asked }
}

const client = (quota?: { perHour?: number; perDay?: number }) => ({
  oauthClientId: 'gate-1',
  ...(quota === undefined ? {} : { quota }),
})
const api = (quota?: { perHour?: number; perDay?: number }) => ({
  audience: 'urn:a',
  ...(quota === undefined ? {} : { quota }),
})

describe('quotas', () => {
  it('ask the repository nothing where there are none', async () => {
    const { quotas, asked } = openQuotas()
    expect(await quotas.take({ client: client(), api: api() }, nowMs)).toMatchObject({
      granted: true,
      standings: [],
    })
    expect(asked()).toBe(0)
  })

  it('give as many tokens as they say in an hour, and as many again in the next', async () => {
    const { quotas } = openQuotas()
    const subject = { client: client({ perHour: 2 }), api: api() }
    const take = async (atMs: number) => (await quotas.take(subject, atMs)).granted
    expect([await take(nowMs), await take(nowMs), await take(nowMs), await take(nowMs + 29_999)]).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect(await take(nowMs + 30_000)).toBe(true)
  })

  it('name the window that is used up for longest, and when it ends', async () => {
    const { quotas } = openQuotas()
    const subject = { client: client({ perHour: 1, perDay: 1 }), api: api() }
    await quotas.take(subject, nowMs)
    const refused = await quotas.take(subject, nowMs)
    expect(refused).toMatchObject({
      granted: false,
      exceeded: { of: 'client', window: 'day', limit: 1, remaining: 0, resetSec: 3630 },
    })
  })

  it('count nothing for a refused request, neither for the client nor for the API', async () => {
    const { quotas, counters } = openQuotas()
    const both = { client: client({ perHour: 5 }), api: api({ perHour: 1, perDay: 9 }) }
    await quotas.take(both, nowMs)
    const before = [...counters]
    expect((await quotas.take(both, nowMs)).granted).toBe(false)
    expect([...counters]).toEqual(before)

    const taken = await quotas.take({ client: client({ perHour: 5 }), api: api() }, nowMs)
    if (taken.granted) await taken.giveBack()
    expect([...counters]).toEqual(before)
  })

  it('never give one too many to requests that come at once', async () => {
    const { quotas } = openQuotas()
    const subject = { client: client({ perHour: 7 }), api: api() }
    const all = await Promise.all(Array.from({ length: 30 }, () => quotas.take(subject, nowMs)))
    expect(all.filter(({ granted }) => granted)).toHaveLength(7)
  })

  it('say where they stand without counting', async () => {
    const { quotas } = openQuotas()
    const subject = { client: client({ perHour: 2 }), api: api({ perDay: 9 }) }
    await quotas.take(subject, nowMs)
    await quotas.standings(subject, nowMs)
    expect(await quotas.standings(subject, nowMs)).toEqual([
      { of: 'client', window: 'hour', limit: 2, remaining: 1, resetSec: 30 },
      { of: 'api', window: 'day', limit: 9, remaining: 8, resetSec: 3630 },
    ])
  })

  it('speak in headers as the draft has it, or as Auth0 does', async () => {
    const { quotas } = openQuotas()
    const subject = { client: client({ perHour: 2, perDay: 20 }), api: api({ perDay: 9 }) }
    const { standings } = await quotas.take(subject, nowMs)
    expect(quotaHeaders(standings, 'rfc', nowMs)).toEqual({
      'ratelimit-policy': '"client-hour";q=2;w=3600, "client-day";q=20;w=86400, "api-day";q=9;w=86400',
      ratelimit: '"client-hour";r=1;t=30, "client-day";r=19;t=3630, "api-day";r=8;t=3630',
    })
    expect(quotaHeaders(standings, 'auth0', nowMs)).toEqual({
      'auth0-client-quota-limit': 'b=per_hour;q=2;r=1;t=30,b=per_day;q=20;r=19;t=3630',
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
      'x-ratelimit-reset': String(nowMs / 1000 + 30),
    })
    expect(quotaHeaders([], 'rfc', nowMs)).toEqual({})
  })
})
