/** `/v1/feeds`: what lots hold now, in the formats that others read; for everybody, where the operator says so. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { LatestRow } from '../core/contract/query.ts'
import type { Lot } from '../core/contract/registry.ts'
import type { Door } from '../core/runtime/door.ts'
import type { Feed, PublishedLot } from './feeds/feed.ts'
import { isOpenAt } from './opening.ts'

export interface FeedRoutesOptions {
  readonly door: Door
  readonly feeds: readonly Feed[]
  /** Nobody has to show a token. */
  readonly isPublic: boolean
  /** In the address behind the format. */
  readonly cityId: string
  /** What lots hold now; `undefined`: as everybody may see it. */
  readonly latest: (principal: Principal | undefined, signal: AbortSignal) => Promise<readonly LatestRow[]>
  readonly lotOf: (lotId: string) => Lot | undefined
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** An answer is given to everybody for so long: it is asked for by many, and changes once a minute. */
const cachedMs = 5000
const answerMs = 10_000

export function addFeedRoutes(server: FastifyInstance, options: FeedRoutesOptions): void {
  const { door, feeds, isPublic, cityId, now } = options
  const principals = new WeakMap<FastifyRequest, Principal>()
  const cached = new Map<Feed, { readonly madeAtMs: number; readonly text: Promise<string> }>()
  const guarded = {
    onRequest: async (request: FastifyRequest) => {
      if (!isPublic) principals.set(request, await door.admit(request, 'read:readings'))
    },
  }

  async function textOf(feed: Feed, principal: Principal | undefined): Promise<string> {
    const rows = await options.latest(principal, AbortSignal.timeout(answerMs))
    const nowMs = now()
    return feed.write({ lots: rows.map((row) => published(row, options.lotOf(row.lotId), nowMs)), nowMs })
  }

  /** Of what everybody may see, once for all who ask at about the same time. */
  function shared(feed: Feed): Promise<string> {
    const known = cached.get(feed)
    if (known !== undefined && now() - known.madeAtMs < cachedMs) return known.text
    const text = textOf(feed, undefined)
    cached.set(feed, { madeAtMs: now(), text })
    // A failure is told to those who asked, and not kept.
    text.catch(() => cached.delete(feed))
    return text
  }

  for (const feed of feeds) {
    const cacheControl = `${isPublic ? 'public' : 'private'}, max-age=${cachedMs / 1000}`
    server.get(`/v1/feeds/${feed.name}`, guarded, (_request, reply) =>
      reply.header('content-type', feed.mediaType).send(feed.contents()),
    )
    server.get<{ Params: { city: string } }>(
      `/v1/feeds/${feed.name}/:city`,
      guarded,
      async (request, reply) => {
        if (request.params.city !== cityId)
          throw new FleetError('request.not_found', 'no such city', {
            safeDetail: `the city here is ${cityId}`,
          })
        const principal = principals.get(request)
        const text = principal?.lots === undefined ? await shared(feed) : await textOf(feed, principal)
        return reply.header('content-type', feed.mediaType).header('cache-control', cacheControl).send(text)
      },
    )
  }
}

function published(row: LatestRow, lot: Lot | undefined, nowMs: number): PublishedLot {
  return {
    lotId: row.lotId,
    name: row.name,
    latitude: lot?.latitude,
    longitude: lot?.longitude,
    capacity: row.capacity ?? undefined,
    isOpen: lot === undefined || isOpenAt(lot, nowMs),
    occupied: row.occupied ?? undefined,
    free: row.free ?? undefined,
    countedAtMs: row.time === null ? undefined : Date.parse(row.time),
  }
}
