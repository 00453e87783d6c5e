/** Releasing what is in quarantine, after a fix (`manage:quarantine`). */
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import type { DeviceId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import { type QuarantineReleased, QuarantineReleaseQuery } from '../core/contract/query.ts'
import type { Door } from '../core/runtime/door.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Intake } from './intake.ts'
import type { QuarantineQuestion, Store } from './store/store.ts'

/** Entries looked at with one commit. */
const pageMax = 500

export interface QuarantineRoutesOptions {
  readonly door: Door
  readonly store: Store
  readonly intake: Intake
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly log: Log
}

export function addQuarantineRoutes(server: FastifyInstance, options: QuarantineRoutesOptions): void {
  const { door, store, intake, now, log } = options

  async function release(
    asked: Pick<QuarantineQuestion, 'deviceIds' | 'reason' | 'ids'>,
    limit: number,
    { subject, oauthClientId }: Principal,
  ): Promise<QuarantineReleased> {
    const by = { releasedAtMs: now(), releasedBy: subject }
    const released: string[] = []
    const remaining: string[] = []
    let after: QuarantineQuestion['after']
    while (released.length + remaining.length < limit) {
      const room = limit - released.length - remaining.length
      const entries = await store.quarantine({ ...asked, limit: Math.min(pageMax, room), after })
      const last = entries.at(-1)
      if (last === undefined) break
      after = { receivedAtMs: last.receivedAtMs, id: last.id }
      const done = new Set(await intake.release(entries, by))
      for (const { id } of entries) (done.has(id) ? released : remaining).push(id)
    }
    // Who did it stays in the store, too, beside each entry.
    log.info('quarantine.released', {
      subject,
      oauthClientId,
      released: released.length,
      remaining: remaining.length,
      ids: released.slice(0, 20),
    })
    return { released, remaining }
  }

  /** A token for some lots alone must not touch what no lot is known of. */
  async function admit(request: Parameters<Door['admit']>[0]): Promise<Principal> {
    const principal = await door.admit(request, 'manage:quarantine')
    if (principal.lots !== undefined)
      throw new FleetError('token.scope', 'a token for some lots releases nothing', {
        safeDetail: 'a token for some lots alone releases nothing',
      })
    return principal
  }

  const principals = new WeakMap<object, Principal>()
  const onRequest = async (request: Parameters<Door['admit']>[0]) =>
    void principals.set(request, await admit(request))
  const principalOf = (request: object) => principals.get(request) as Principal // set in onRequest, or this is not reached

  server.post<{ Params: { id: string } }>('/v1/quarantine/:id/release', { onRequest }, async (request) => {
    const answer = await release(
      { deviceIds: undefined, reason: undefined, ids: [request.params.id] },
      1,
      principalOf(request),
    )
    if (answer.released.length + answer.remaining.length > 0) return answer
    throw new FleetError('request.not_found', 'no such entry', { safeDetail: 'there is no such entry' })
  })
  server.post(
    '/v1/quarantine/release',
    { onRequest, schema: { body: QuarantineReleaseQuery } },
    async (request) => {
      const { device, reason, limit } = request.body as Static<typeof QuarantineReleaseQuery> // the schema has checked it
      return release(
        { deviceIds: device as DeviceId[] | undefined, reason }, // the schema has checked the grammar
        limit ?? 1000,
        principalOf(request),
      )
    },
  )
}
