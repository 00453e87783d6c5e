/**
 * Credentials of devices and clients: any number each, side by side; issued, rotated with a grace, revoked, and retired
 * when nobody uses them any more. What a credential may get is decided by grants; who it proves is `oauth/`'s to check.
 */
import type {
  Client,
  CredentialRecord,
  CredentialRequest,
  IssuedCredential,
  RotateRequest,
} from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { Device } from '../../core/contract/registry.ts'
import { mayChange } from '../device.ts'
import type { Issuer } from '../issuer/issuer.ts'
import { parseClientKey } from '../public-key.ts'
import type {
  AuditVerb,
  Change,
  RegistryRepository,
  RegistryView,
  RevocationTarget,
  StoredCredential,
} from '../repository/repository.ts'
import { type By, type Changes, conflict, invalid, notFound } from './changes.ts'
import { putThere } from './hosted.ts'

export interface CredentialsOptions {
  readonly repository: RegistryRepository
  readonly changes: Changes
  readonly issuer: Issuer
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** What devices are told about their broker. */
  readonly broker: NonNullable<CredentialFile['broker']>
  /** PEM, handed out in credential files. */
  readonly ca: string | undefined
}

/** Whose credential: an identifier of a client is not found among devices, nor the other way round. */
export interface Owner {
  readonly of: 'device' | 'client'
  readonly oauthClientId: string
}

/** A credential that counts for nothing until a change with `newCredential` is committed. */
export interface PreparedCredential {
  /** As it is to be stored: a hosted issuer has given it a name of its own. */
  readonly client: Client
  readonly stored: StoredCredential
  /** With the secret, when it is one; without `private_key_jwk` otherwise. */
  readonly file: CredentialFile
  /** Kinds of credentials that the issuer has ended by it. */
  readonly ends: readonly StoredCredential['of'][]
}

export interface Credentials {
  /**
   * Makes a credential for a client that may not be registered yet; nothing is committed.
   * @throws FleetError `request.invalid` for a key that is not accepted, an expiry in the past
   */
  newCredentialFor(client: Client, wanted: CredentialRequest): Promise<PreparedCredential>
  /** Another credential; those there are stay. A registered device becomes enrolled by it. */
  issue(by: By, owner: Owner, wanted: CredentialRequest): Promise<IssuedCredential>
  /** Another credential; the others end after the grace, or are revoked when there is none. */
  rotate(by: By, owner: Owner, wanted: RotateRequest): Promise<IssuedCredential>
  /** Void at once and for good; revoking it again changes nothing. */
  revoke(by: By, owner: Owner, credentialId: string): Promise<void>
  /**
   * Revokes what has not been used since a moment, where its owner has used a newer one.
   * @returns how many
   */
  retireUnused(beforeMs: number): Promise<number>
}

type Others = Pick<Change, 'credentialsExpire' | 'revocations'>
/** What becomes of the credentials that are live, when there is another. */
type OthersOf = (live: readonly CredentialRecord[], client: Client) => Others

/** Owners whose credentials are retired in one commit. */
const retiredAtOnce = 500

export function createCredentials(options: CredentialsOptions): Credentials {
  const { repository, changes, issuer, now } = options

  async function newCredentialFor(client: Client, wanted: CredentialRequest): Promise<PreparedCredential> {
    const { publicKey, expiresAtMs = null } = wanted
    if (expiresAtMs !== null && expiresAtMs <= now()) throw invalid('expiresAtMs: is in the past')
    const key = publicKey === undefined ? undefined : await parseClientKey(publicKey)
    const method = methodOf(client, key === undefined ? 'secret' : 'key')
    issuer.refuseUnusable?.(client, { publicKey: key, expiresAtMs })
    const { directory } = issuer
    const known = directory === undefined ? {} : await putThere(directory, repository, client)
    const named: Client = { ...client, ...known }
    const issued = await issuer.issueCredential(named, { publicKey: key, expiresAtMs })
    const { clientSecret, stored, issuedBy, ends = [] } = issued
    const authority = options.ca === undefined ? {} : { ca: options.ca }
    const file: CredentialFile = {
      v: 1,
      issuer: issuedBy?.issuer ?? issuer.issuer,
      token_endpoint: issuedBy?.tokenEndpoint ?? issuer.tokenEndpoint,
      client_id: named.issuerClientId ?? client.oauthClientId,
      ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
      token_endpoint_auth_method: issuedBy?.authMethod ?? method,
      credentialId: stored.credentialId,
      ...(client.kind === 'device'
        ? { deviceId: client.oauthClientId, broker: { ...options.broker, ...(issuedBy && authority) } }
        : {}),
      // An issuer on the internet is not known to our authority.
      ...(issuedBy === undefined ? authority : {}),
    }
    return { client: named, stored, file, ends }
  }

  async function tellGone({ oauthClientId, credentialId }: CredentialRecord): Promise<void> {
    if (issuer.directory === undefined) return
    const client = await repository.findClient(oauthClientId)
    if (client !== undefined) await issuer.directory.removeCredential(client, credentialId)
  }

  /** Tells a hosted issuer what becomes of the others: what goes on for a while here ends there too. */
  async function tellEnds({ client, ends }: PreparedCredential, othersOf: OthersOf): Promise<void> {
    if (issuer.directory === undefined) return
    const held = await repository.credentialsOf(client.oauthClientId)
    const live = held.filter((one) => isLive(one, now()) && !ends.includes(one.of))
    const { credentialsExpire, revocations = [] } = othersOf(live, client)
    for (const credentialId of credentialsExpire?.credentialIds ?? [])
      await issuer.directory.endCredential(client, credentialId, credentialsExpire?.atMs ?? now())
    for (const one of revocations)
      if (one.of === 'credential') await issuer.directory.removeCredential(client, one.credentialId)
  }

  /** One more, and what becomes of the others. */
  async function add(
    { actor, ...terms }: By,
    owner: Owner,
    wanted: CredentialRequest,
    verb: AuditVerb,
    othersOf: (live: readonly CredentialRecord[], client: Client) => Others,
  ): Promise<IssuedCredential> {
    const { oauthClientId: subject } = owner
    const prepare = async () => {
      const prepared = await newCredentialFor(await requireOwner(repository, owner), wanted)
      await tellEnds(prepared, othersOf)
      return prepared
    }
    return changes.makeWith({ actor, ...terms }, prepare, async (view, { client, stored, file, ends }) => {
      const present = await requireOwner(view, owner)
      const named = namedBy(present, client.issuerClientId)
      await refuseKnownKey(view, stored)
      const live = (await view.credentialsOf(subject)).filter((one) => isLive(one, now()))
      const others = withEnded(othersOf, live, { client, ends })
      const before = live.map(({ credentialId }) => credentialId)
      const after = { ...recordOf(stored), ...('revocations' in others ? {} : others) }
      const audit = { actor, verb, subject, ...(verb === 'credential.rotated' ? { before } : {}), after }
      const enrolled = owner.of === 'device' ? await enrolledBy(view, actor, subject) : []
      return {
        changes: [
          { audit, newCredential: { ...stored, oauthClientId: subject }, ...named, ...others },
          ...enrolled,
        ],
        answer: { credential: file },
      }
    })
  }

  return {
    newCredentialFor,

    issue: (by, owner, wanted) => add(by, owner, wanted, 'credential.issued', () => ({})),

    rotate(by, owner, { publicKey, graceSec }) {
      return add(by, owner, { publicKey }, 'credential.rotated', (live, client) => {
        const credentialIds = live.map(({ credentialId }) => credentialId)
        if (credentialIds.length === 0) return {}
        if (graceSec === 0) return { revocations: voided(client, credentialIds) }
        return { credentialsExpire: { credentialIds, atMs: now() + graceSec * 1000 } }
      })
    },

    async revoke(by, owner, credentialId) {
      const { oauthClientId } = owner
      await changes.make(by, async (view) => {
        const client = await requireOwner(view, owner)
        const known = (await view.credentialsOf(oauthClientId)).find(
          (one) => one.credentialId === credentialId,
        )
        if (known === undefined) throw notFound(`${oauthClientId} has no credential ${credentialId}`)
        if (known.revokedAtMs !== null) return { answer: undefined }
        return { changes: [revoked(by.actor, 'credential.revoked', known, client)], answer: undefined }
      })
      const client = await repository.findClient(oauthClientId)
      if (issuer.directory === undefined || client === undefined) return
      // Asked again, this is told again: it may have failed the first time.
      await issuer.directory.removeCredential(client, credentialId)
      // What it has got in the meantime.
      if (client.issuerClientId !== undefined)
        await changes.make({ actor: by.actor }, async () => ({
          changes: [{ revocations: [{ of: 'client', oauthClientId }] }],
          answer: undefined,
        }))
    },

    async retireUnused(beforeMs) {
      const candidates = await repository.credentialsUnusedSince(beforeMs, retiredAtOnce)
      const owners = [...new Set(candidates.map(({ oauthClientId }) => oauthClientId))]
      if (owners.length === 0) return 0
      for (const one of candidates) await tellGone(one)
      return changes.make({ actor: ownActor }, async (view) => {
        const of = await Promise.all(owners.map((owner) => view.credentialsOf(owner)))
        const outworn = of.flatMap((credentials) => unusedOf(credentials, beforeMs, now()))
        return {
          changes: outworn.map((one) => revoked(ownActor, 'credential.retired', one)),
          answer: outworn.length,
        }
      })
    },
  }
}

/** Who asks, in the audit log, when provisioning acts by itself. */
const ownActor = 'provisioning'

/**
 * Those that have done their service: not used since, and a newer one has been that lives at least as long.
 * @param credentials of one owner
 */
export function unusedOf(
  credentials: readonly CredentialRecord[],
  beforeMs: number,
  nowMs: number,
): readonly CredentialRecord[] {
  return credentials.filter(
    (one) =>
      isLive(one, nowMs) &&
      (one.lastUsedAtMs ?? one.createdAtMs) < beforeMs &&
      credentials.some(
        (other) =>
          other.createdAtMs > one.createdAtMs &&
          other.lastUsedAtMs !== null &&
          isLive(other, nowMs) &&
          outlasts(other, one),
      ),
  )
}

function outlasts(other: CredentialRecord, one: CredentialRecord): boolean {
  if (other.expiresAtMs === null) return true
  return one.expiresAtMs !== null && other.expiresAtMs >= one.expiresAtMs
}

export function isLive({ revokedAtMs, expiresAtMs }: CredentialRecord, nowMs: number): boolean {
  return revokedAtMs === null && (expiresAtMs === null || expiresAtMs > nowMs)
}

/** Those that the issuer has ended are void, whatever was to become of them. */
function withEnded(
  othersOf: OthersOf,
  live: readonly CredentialRecord[],
  { client, ends }: Pick<PreparedCredential, 'client' | 'ends'>,
): Others {
  const ended = live.filter(({ of }) => ends.includes(of)).map(({ credentialId }) => credentialId)
  const others = othersOf(
    live.filter(({ of }) => !ends.includes(of)),
    client,
  )
  if (ended.length === 0) return others
  return { ...others, revocations: [...voided(client, ended), ...(others.revocations ?? [])] }
}

/** Tokens of a hosted issuer need not say which credential they were got with: all that the client has are void with it. */
function voided(
  { oauthClientId, issuerClientId }: Client,
  credentialIds: readonly string[],
): RevocationTarget[] {
  return [
    ...credentialIds.map((credentialId) => ({ of: 'credential', credentialId }) as const),
    ...(issuerClientId === undefined ? [] : [{ of: 'client', oauthClientId } as const]),
  ]
}

function revoked(actor: string, verb: AuditVerb, record: CredentialRecord, client?: Client): Change {
  const { credentialId, oauthClientId: subject } = record
  return {
    audit: { actor, verb, subject, before: { credentialId } },
    revocations: client === undefined ? [{ of: 'credential', credentialId }] : voided(client, [credentialId]),
  }
}

/** What the audit log shows of it. */
export function recordOf(stored: StoredCredential): Readonly<Record<string, unknown>> {
  const { of, credentialId, expiresAtMs } = stored
  return {
    credentialId,
    of,
    ...(stored.of === 'key' ? { thumbprint: stored.thumbprint } : {}),
    ...(expiresAtMs === null ? {} : { expiresAtMs }),
  }
}

/**
 * One key proves one client. To be asked inside `change`.
 * @throws FleetError `request.conflict`
 */
export async function refuseKnownKey(view: RegistryView, stored: StoredCredential): Promise<void> {
  if (stored.of === 'key' && (await view.findKey(stored.thumbprint)) !== undefined)
    throw conflict('publicKey: this key is a credential already')
}

/** A hosted issuer's own name for the client is kept with it. */
function namedBy(client: Client, issuerClientId: string | undefined): Pick<Change, 'client'> {
  if (issuerClientId === undefined || issuerClientId === client.issuerClientId) return {}
  return { client: { ...client, issuerClientId } }
}

/** The way in which a credential of this kind authenticates, if the client may use one. */
function methodOf(client: Client, of: 'secret' | 'key'): CredentialFile['token_endpoint_auth_method'] {
  const fitting =
    of === 'key' ? (['private_key_jwt'] as const) : (['client_secret_basic', 'client_secret_post'] as const)
  const method = fitting.find((one) => client.authMethods.includes(one))
  if (method === undefined)
    throw conflict(`${client.oauthClientId} may not use ${fitting.join(' or ')}: see its authMethods`)
  return method
}

async function requireOwner(view: RegistryView, { of, oauthClientId }: Owner): Promise<Client> {
  const client = await view.findClient(oauthClientId)
  if (client === undefined || (client.kind === 'device') !== (of === 'device'))
    throw notFound(`there is no ${of} ${oauthClientId}`)
  return client
}

/**
 * The first credential makes a registered device an enrolled one.
 * @throws FleetError `request.conflict` when it is retired
 */
async function enrolledBy(view: RegistryView, actor: string, deviceId: string): Promise<Change[]> {
  const before = await view.findDevice(deviceId)
  if (before !== undefined && !mayChange(before.state)) throw conflict(`${deviceId} is ${before.state}`)
  if (before?.state !== 'registered') return []
  const device: Device = { ...before, state: 'enrolled' }
  return [{ audit: { actor, verb: 'device.enrolled', subject: deviceId, before, after: device }, device }]
}
