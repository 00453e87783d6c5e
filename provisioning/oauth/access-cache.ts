/**
 * What the token endpoint knows of clients that authenticated before, kept in memory by a process that has the
 * repository to itself: a device that asks again is answered without a query. What a change touches is forgotten within
 * its commit, before anybody can ask again, so that no answer is older than the state at the call. Not for a
 * repository that others change too. Who fails is never answered from here: a failure costs the same for clients that
 * are known, kept, and not there at all.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Api } from '../../core/contract/client.ts'
import type { Change, RegistryRepository } from '../repository/repository.ts'
import type { Authenticated, Authenticator } from './authenticator.ts'
import type { PresentedSecret } from './client-auth.ts'
import type { SecretHasher } from './secret.ts'

export interface AccessCache {
  /** To be used for every change, and with APIs from memory. */
  readonly repository: RegistryRepository
  /**
   * The same authenticator, which remembers who succeeded with which secret.
   * @param hash of what is kept here alone
   */
  remembering(authenticator: Authenticator, hash: SecretHasher, now: () => number): Authenticator
  readonly clients: number
}

/** Who succeeded last under this name, and with what. */
interface Remembered {
  readonly digest: Uint8Array
  readonly expiresAtMs: number | null
  readonly authenticated: Authenticated
}

/** Never equals a digest: compared with when nobody is kept, so that it costs the same. */
const nobody = new Uint8Array(32)

/**
 * @param inner its `onCommit` calls back before the commit's `change` resolves and before anything else runs
 * @param clientsMax clients kept; beyond it the one that was kept first goes. About 1.5 KB each
 */
export function createAccessCache(inner: RegistryRepository, clientsMax = 100_000): AccessCache {
  const clients = new Map<string, Remembered>()
  const apis = new Map<string, Api>()
  /** Goes up with each commit: what was read before it is not kept after it. */
  let commits = 0
  /** By the change that is decided and not committed yet. */
  let touched = touchedBy([])

  inner.onCommit(() => {
    commits++
    if (touched.all) clients.clear()
    else for (const id of touched.clients) clients.delete(id)
    if (touched.apis) apis.clear()
  })

  const repository: RegistryRepository = {
    ...inner,
    change(decide) {
      return inner.change(async (view) => {
        const decision = await decide(view)
        touched = touchedBy(decision.changes ?? [])
        return decision
      })
    },
    async findApi(audience) {
      const known = apis.get(audience)
      if (known !== undefined) return known
      const at = commits
      const api = await inner.findApi(audience)
      // As many as operators register: no bound of its own.
      if (api !== undefined && at === commits) apis.set(audience, api)
      return api
    },
  }

  return {
    repository,
    get clients() {
      return clients.size
    },
    remembering: (authenticator, hash, now) => ({
      async authenticate(presented) {
        if (presented.method === 'private_key_jwt') return authenticator.authenticate(presented)
        // In this order, as in the authenticator.
        const nowMs = now()
        const known = clients.get(presented.oauthClientId)
        const digest = hash(presented.clientSecret)
        if (
          timingSafeEqual(known?.digest ?? nobody, digest) &&
          known?.authenticated.method === presented.method &&
          (known.expiresAtMs === null || known.expiresAtMs > nowMs)
        ) {
          const { access, credentialId, method } = known.authenticated
          return { nowMs, access, credentialId, method }
        }
        const at = commits
        const authenticated = await authenticator.authenticate(presented)
        if (at === commits) keep(presented, digest, authenticated)
        return authenticated
      },
    }),
  }

  function keep({ oauthClientId }: PresentedSecret, digest: Uint8Array, authenticated: Authenticated): void {
    const { access, credentialId } = authenticated
    const credential = access.credentials.find((one) => one.credentialId === credentialId)
    if (credential === undefined) return
    if (clients.size >= clientsMax) clients.delete(clients.keys().next().value as string) // it is not empty
    clients.set(oauthClientId, { digest, expiresAtMs: credential.expiresAtMs, authenticated })
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
