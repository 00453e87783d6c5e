/**
 * APIs: what tokens are issued for. Three are Lotwatch's own, there at every start with the scopes of this version;
 * others are whatever else shall accept our tokens.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Api, ApiRequest } from '../../core/contract/client.ts'
import { audiences, scopesOf } from '../../core/contract/principal.ts'
import type { Change } from '../repository/repository.ts'
import { type By, type Changes, conflict, invalid, notFound, requireMatch } from './changes.ts'

export interface Apis {
  /**
   * Registers it, or replaces what is known of it. Of a built-in one, token life and quota can be set.
   * Tokens that were issued before stay as they are: one with a scope that is gone lives until it expires.
   * @throws FleetError `request.invalid` for a scope twice, `request.conflict` for what is fixed
   */
  set(by: By, audience: string, request: ApiRequest): Promise<Api>
  /** @throws FleetError `request.conflict` while clients have grants for it, and for built-in ones */
  retire(by: By, audience: string): Promise<void>
  /** Makes those of Lotwatch itself what this version says; their token life and quota stay. */
  ensureBuiltIn(): Promise<void>
}

const nameOf = { broker: 'Broker', ingest: 'Ingest', provisioning: 'Provisioning' } as const

export function builtInApis(): readonly Api[] {
  return (['broker', 'ingest', 'provisioning'] as const).map((program) => ({
    audience: audiences[program],
    name: `Lotwatch ${nameOf[program]}`,
    scopes: Object.entries(scopesOf[audiences[program]]).map(([scope, description]) => ({
      scope,
      description,
    })),
    alg: 'ES256',
    dialect: 'rfc9068',
    builtIn: true,
  }))
}

export function createApis({ changes }: { changes: Changes }): Apis {
  return {
    set(by, audience, request) {
      return changes.make(by, async (view) => {
        const before = await view.findApi(audience)
        requireMatch(by, before)
        const { alg = 'ES256', dialect = 'rfc9068', name, scopes, ...rest } = request
        const api: Api = {
          audience,
          name,
          scopes,
          alg,
          dialect,
          builtIn: before?.builtIn ?? false,
          ...rest,
        }
        refuseTwice(scopes.map(({ scope }) => scope))
        if (before?.builtIn) refuseFixed(before, api)
        if (isDeepStrictEqual(before, api)) return { answer: api }
        return { changes: [changeOf(by.actor, before, api)], answer: api }
      })
    },

    retire(by, audience) {
      return changes.make(by, async (view) => {
        const before = await view.findApi(audience)
        if (before === undefined) throw notFound(`there is no API ${audience}`)
        requireMatch(by, before)
        if (before.builtIn) throw conflict(`${audience} is one of Lotwatch itself`)
        const granted = await view.clientsGranted(audience)
        if (granted > 0) throw conflict(`${granted} clients have a grant for ${audience}`)
        const audit = { actor: by.actor, verb: 'api.retired', subject: audience, before } as const
        return { changes: [{ audit, removeApi: audience }], answer: undefined }
      })
    },

    ensureBuiltIn() {
      const actor = 'provisioning'
      return changes.make({ actor }, async (view) => {
        const present = await view.apis()
        const missing = builtInApis().flatMap((api) => {
          const before = present.find(({ audience }) => audience === api.audience)
          const { tokenLifeSec, quota } = before ?? {}
          const after: Api = {
            ...api,
            ...(tokenLifeSec === undefined ? {} : { tokenLifeSec }),
            ...(quota === undefined ? {} : { quota }),
          }
          return isDeepStrictEqual(before, after) ? [] : [changeOf(actor, before, after)]
        })
        return { changes: missing, answer: undefined }
      })
    },
  }
}

function changeOf(actor: string, before: Api | undefined, after: Api): Change {
  return { audit: { actor, verb: 'api.set', subject: after.audience, before, after }, api: after }
}

function refuseTwice(scopes: readonly string[]): void {
  const twice = scopes.find((scope, i) => scopes.indexOf(scope) !== i)
  if (twice !== undefined) throw invalid(`scopes: ${twice} is named twice`)
}

function refuseFixed(before: Api, after: Api): void {
  const fixed = (['name', 'scopes', 'alg', 'dialect'] as const).filter(
    (member) => !isDeepStrictEqual(before[member], after[member]),
  )
  if (fixed.length > 0)
    throw conflict(`${before.audience} is one of Lotwatch itself: its ${fixed.join(', ')} cannot be changed`)
}
