/**
 * Clients: who may have tokens, and for what. Devices are clients as well, registered and retired by `devices.ts`; what
 * they are granted, their metadata and their quota are changed here. Credentials are in `credentials.ts`.
 */
import { isDeepStrictEqual } from 'node:util'
import type {
  Client,
  ClientPatch,
  ClientRequest,
  CredentialRecord,
  GrantRequest,
  IssuedCredential,
} from '../../core/contract/client.ts'
import { fitsInToken, grantFaults, isNarrower } from '../grants.ts'
import type { Issuer } from '../issuer/issuer.ts'
import type { AuditVerb, Change, RegistryView } from '../repository/repository.ts'
import { type By, type Changes, conflict, invalid, notFound, requireMatch } from './changes.ts'
import { type Credentials, recordOf, refuseKnownKey } from './credentials.ts'
import { putThere } from './hosted.ts'

/** Whatever takes something from a client voids the tokens it has: they say more than it may. */
export interface Clients {
  /** @throws FleetError `request.conflict` when the identifier is taken, `request.invalid` for a grant that cannot be */
  register(by: By, request: ClientRequest): Promise<IssuedCredential>
  /** With its credentials, oldest first. */
  show(oauthClientId: string): Promise<{
    /** What can be changed, and what `If-Match` speaks of. */
    readonly client: Client
    readonly credentials: readonly CredentialRecord[]
  }>
  change(by: By, oauthClientId: string, patch: ClientPatch): Promise<Client>
  /** For good: its credentials and tokens are void. @throws FleetError `request.conflict` for a device, a built-in one */
  retire(by: By, oauthClientId: string): Promise<void>
  /** What it may get at an audience, at most; replaces the grant it has there. */
  setGrant(by: By, oauthClientId: string, audience: string, request: GrantRequest): Promise<Client>
  revokeGrant(by: By, oauthClientId: string, audience: string): Promise<Client>
  /** Makes a client of Lotwatch itself what this version says; grants for other audiences stay. */
  ensure(client: Client): Promise<void>
}

export interface ClientsOptions {
  readonly repository: RegistryView
  readonly issuer: Issuer
  readonly changes: Changes
  readonly credentials: Credentials
  /** Those that are there at every start. */
  readonly builtIn: ReadonlySet<string>
}

/** What a client is unless it is said: it may use every way to authenticate that it has a credential for. */
export function clientDefaults(): Pick<Client, 'grantTypes' | 'authMethods' | 'metadata'> {
  return {
    grantTypes: ['client_credentials'],
    authMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    metadata: {},
  }
}

export function createClients(options: ClientsOptions): Clients {
  const { repository, changes, credentials, builtIn } = options
  const { directory } = options.issuer

  /** A change of what is known of a client; what it loses by it is gone from its tokens too. */
  function edit(
    by: By,
    oauthClientId: string,
    verb: AuditVerb,
    next: (before: Client, view: RegistryView) => Promise<Client>,
  ): Promise<Client> {
    const decide = async (view: RegistryView) => {
      const before = await requireClient(view, oauthClientId)
      requireMatch(by, before)
      return { before, after: await next(before, view) }
    }
    const tellIssuer = async () => {
      if (directory === undefined) return
      const { after } = await decide(repository)
      // One that is not known there yet is told with its first credential.
      if (after.issuerClientId !== undefined) await putThere(directory, repository, after)
    }
    return changes.makeWith(by, tellIssuer, async (view) => {
      const { before, after } = await decide(view)
      if (isDeepStrictEqual(before, after)) return { answer: after }
      return { changes: [changeOf(by.actor, verb, before, after)], answer: after }
    })
  }

  return {
    async register(by, request) {
      const { oauthClientId, name = oauthClientId, kind, grants = [], publicKey, ...rest } = request
      const client: Client = { ...clientDefaults(), ...rest, oauthClientId, name, kind, grants }
      refuseLots(client.lots)
      const prepare = async () => {
        if ((await repository.findClient(oauthClientId)) !== undefined)
          throw conflict(`the identifier ${oauthClientId} is taken`)
        refuseGrants(grantFaults(grants, await repository.apis()))
        return credentials.newCredentialFor(client, { publicKey })
      }
      return changes.makeWith(by, prepare, async (view, { client: newClient, stored, file }) => {
        refuseGrants(grantFaults(grants, await view.apis()))
        await refuseKnownKey(view, stored)
        const after = { ...newClient, credential: recordOf(stored) }
        const audit = { actor: by.actor, verb: 'client.registered', subject: oauthClientId, after } as const
        const newCredential = { ...stored, oauthClientId }
        return { changes: [{ audit, newClient, newCredential }], answer: { credential: file } }
      })
    },

    async show(oauthClientId) {
      const client = await requireClient(repository, oauthClientId)
      return { client, credentials: await repository.credentialsOf(oauthClientId) }
    },

    change(by, oauthClientId, patch) {
      const { lots, quota, ...rest } = patch
      if (lots !== null) refuseLots(lots)
      return edit(by, oauthClientId, 'client.changed', async (before) => {
        if (before.kind === 'device' && patch.name !== undefined && patch.name !== before.name)
          throw conflict(`${oauthClientId} is a device: it is renamed there`)
        const after: Client = { ...before, ...rest }
        return withOptional(withOptional(after, 'lots', lots), 'quota', quota)
      })
    },

    retire(by, oauthClientId) {
      const requireRetirable = async (view: RegistryView) => {
        const before = await requireClient(view, oauthClientId)
        requireMatch(by, before)
        if (before.kind === 'device') throw conflict(`${oauthClientId} is a device: it is retired there`)
        if (builtIn.has(oauthClientId)) throw conflict(`${oauthClientId} is one of Lotwatch itself`)
        return before
      }
      const tellIssuer = async () => {
        if (directory !== undefined) await directory.remove(await requireRetirable(repository))
      }
      return changes.makeWith(by, tellIssuer, async (view) => {
        const before = await requireRetirable(view)
        const audit = { actor: by.actor, verb: 'client.retired', subject: oauthClientId, before } as const
        return {
          // First void, then gone: the feed still has to name it.
          changes: [
            { audit, revocations: [{ of: 'client', oauthClientId }] },
            { removeClient: oauthClientId },
          ],
          answer: undefined,
        }
      })
    },

    setGrant(by, oauthClientId, audience, { scopes }) {
      return edit(by, oauthClientId, 'grant.set', async (before, view) => {
        const grant = { audience, scopes }
        refuseGrants(grantFaults([grant], await view.apis()))
        const others = before.grants.filter((one) => one.audience !== audience)
        return { ...before, grants: [...others, grant].toSorted(byAudience) }
      })
    },

    revokeGrant(by, oauthClientId, audience) {
      return edit(by, oauthClientId, 'grant.revoked', async (before) => {
        if (!before.grants.some((one) => one.audience === audience))
          throw notFound(`${oauthClientId} has no grant for ${audience}`)
        return { ...before, grants: before.grants.filter((one) => one.audience !== audience) }
      })
    },

    ensure(client) {
      const actor = 'provisioning'
      const subject = client.oauthClientId
      return changes.make({ actor }, async (view) => {
        const before = await view.findClient(subject)
        if (before === undefined) {
          const audit = { actor, verb: 'client.registered', subject, after: client } as const
          return { changes: [{ audit, newClient: client }], answer: undefined }
        }
        const others = before.grants.filter(
          ({ audience }) => !client.grants.some((one) => one.audience === audience),
        )
        const after: Client = { ...before, grants: [...client.grants, ...others].toSorted(byAudience) }
        if (isDeepStrictEqual(before, after)) return { answer: undefined }
        return { changes: [changeOf(actor, 'client.changed', before, after)], answer: undefined }
      })
    },
  }
}

function changeOf(actor: string, verb: AuditVerb, before: Client, after: Client): Change {
  const { oauthClientId } = after
  return {
    audit: { actor, verb, subject: oauthClientId, before, after },
    client: after,
    ...(isNarrower(after, before) ? { revocations: [{ of: 'client', oauthClientId }] } : {}),
  }
}

function byAudience(a: { audience: string }, b: { audience: string }): number {
  return a.audience < b.audience ? -1 : a.audience > b.audience ? 1 : 0
}

/** Undefined leaves the member as it is, null takes it away. */
function withOptional<Name extends 'lots' | 'quota'>(
  client: Client,
  name: Name,
  value: Client[Name] | null,
): Client {
  if (value === undefined) return client
  const { [name]: _, ...rest } = client
  return (value === null ? rest : { ...rest, [name]: value }) as Client // only an optional member went
}

async function requireClient(view: RegistryView, oauthClientId: string): Promise<Client> {
  const client = await view.findClient(oauthClientId)
  if (client === undefined) throw notFound(`there is no client ${oauthClientId}`)
  return client
}

function refuseGrants(faults: readonly string[]): void {
  if (faults.length > 0) throw invalid(faults.join('; '))
}

function refuseLots(lots: readonly string[] | undefined): void {
  if (lots !== undefined && !fitsInToken(lots)) throw invalid('lots: more than a token can carry')
}
