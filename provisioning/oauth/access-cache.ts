/**
 * What the token endpoint asks of the registry, kept in memory for a process that has the repository to itself: a
 * device that asks again is answered without a query. What a change touches is forgotten within its commit, before
 * anybody can ask again, so that no answer is older than the state at the call. Not for a repository that others
 * change too.
 */
import type { Api } from '../../core/contract/client.ts'
import type { Change, ClientAccess, RegistryRepository } from '../repository/repository.ts'

export interface AccessCacheOptions {
  /** Clients kept; beyond it the one that was read first goes. About 1.5 KB each. */
  readonly clientsMax?: number
}

/** @param repository its `onCommit` calls back before the commit's `change` resolves and before anything else runs */
export function withAccessCache(
  repository: RegistryRepository,
  { clientsMax = 100_000 }: AccessCacheOptions = {},
): RegistryRepository {
  const clients = new Map<string, ClientAccess>()
  const apis = new Map<string, Api>()
  /** Goes up with each commit: what was read before it is not kept after it. */
  let commits = 0
  /** Of changes that are decided and not committed yet. */
  let touched: Touched = { clients: [], apis: false, all: false }

  repository.onCommit(() => {
    commits++
    if (touched.all) clients.clear()
    else for (const id of touched.clients) clients.delete(id)
    if (touched.apis) apis.clear()
  })

  return {
    ...repository,
    change(decide) {
      return repository.change(async (view) => {
        const decision = await decide(view)
        touched = touchedBy(decision.changes ?? [])
        return decision
      })
    },
    async findAccess(oauthClientId) {
      const known = clients.get(oauthClientId)
      if (known !== undefined) return known
      const at = commits
      const access = await repository.findAccess(oauthClientId)
      if (access !== undefined && at === commits) {
        if (clients.size >= clientsMax) clients.delete(clients.keys().next().value as string) // it is not empty
        clients.set(oauthClientId, access)
      }
      return access
    },
    async findApi(audience) {
      const known = apis.get(audience)
      if (known !== undefined) return known
      const at = commits
      const api = await repository.findApi(audience)
      // As many as operators register: no bound of its own.
      if (api !== undefined && at === commits) apis.set(audience, api)
      return api
    },
  }
}

interface Touched {
  readonly clients: readonly string[]
  readonly apis: boolean
  /** Credentials are named without their client. */
  readonly all: boolean
}

function touchedBy(changes: readonly Change[]): Touched {
  return {
    clients: changes.flatMap((change) => [
      ...(change.newClient === undefined ? [] : [change.newClient.oauthClientId]),
      ...(change.client === undefined ? [] : [change.client.oauthClientId]),
      ...(change.removeClient === undefined ? [] : [change.removeClient]),
      ...(change.device === undefined ? [] : [change.device.deviceId]),
      ...(change.newCredential === undefined ? [] : [change.newCredential.oauthClientId]),
      ...(change.revocations ?? []).flatMap((one) => (one.of === 'client' ? [one.oauthClientId] : [])),
    ]),
    apis: changes.some(({ api, removeApi }) => api !== undefined || removeApi !== undefined),
    all: changes.some(
      ({ credentialsExpire, revocations = [] }) =>
        credentialsExpire !== undefined || revocations.some(({ of }) => of === 'credential'),
    ),
  }
}
