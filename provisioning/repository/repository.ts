/**
 * Where the registry is kept. The port speaks of what the registry knows, not of tables; every adapter passes
 * test/contract/repository.test.ts.
 */
import type { FeedEvent, FeedSnapshot } from '../../core/contract/feed.ts'
import type {
  Assignment,
  Client,
  CredentialRecord,
  Device,
  DeviceState,
  Lot,
} from '../../core/contract/registry.ts'

/** What can be asked. Every answer is one consistent state, the newest that was committed when the call was made. */
export interface RegistryView {
  findLot(lotId: string): Promise<Lot | undefined>
  /** By `lotId`, ascending. */
  lots(): Promise<readonly Lot[]>
  findDevice(deviceId: string): Promise<Device | undefined>
  /** By `deviceId`, ascending, those after `page.after`; at most `page.limit`. */
  devices(page: { after?: string | undefined; limit: number }): Promise<readonly Device[]>
  /** Ascending by `fromMs`. */
  assignmentsOf(deviceId: string): Promise<readonly Assignment[]>
  /** Clients of every kind, devices among them. */
  findClient(oauthClientId: string): Promise<Client | undefined>
  /** Clients that are no devices, by `oauthClientId`, ascending. */
  clients(): Promise<readonly Client[]>
  /** Oldest first, revoked ones included. */
  credentialsOf(oauthClientId: string): Promise<readonly CredentialRecord[]>
  /**
   * What decides whether a client may have a token, or use one it has. On the path of every token request.
   * The state is that at the instant of the call: a caller who reads the clock just before it never pairs
   * a time after a revocation with the state before it.
   */
  findAccess(oauthClientId: string): Promise<ClientAccess | undefined>
  /** Newest first, those before `page.before`; at most `page.limit`. */
  auditEntries(page: { before?: number | undefined; limit: number }): Promise<readonly AuditEntry[]>
}

export interface RegistryRepository extends RegistryView {
  /**
   * Decides on the present state and commits the change whole: records, audit entry and feed events together, durably,
   * or nothing. No other change comes between what `decide` reads and the commit. What `decide` throws is passed on.
   * Moments of creation and revocation are stamped at the commit.
   * @throws FleetError `request.conflict` when a `newClient` has an identifier that is taken
   */
  change<Answer>(decide: (view: RegistryView) => Promise<Decision<Answer>>): Promise<Answer>
  /**
   * Events after a position, ascending, at most `limit`; none when there is nothing newer.
   * @returns undefined when some of them are no longer kept, or the position was never reached: a snapshot is due
   */
  feedAfter(position: number, limit: number): Promise<readonly FeedRecord[] | undefined>
  /** All a follower must know, as of the position of the newest event (0 before the first). */
  feedSnapshot(): Promise<{ readonly position: number; readonly snapshot: FeedSnapshot }>
  /** Notes when credentials were last used. Informational: what is noted last before a crash may be lost. */
  noteUse(uses: ReadonlyMap<string, number>): Promise<void>
  close(): void
}

/** A client as the token endpoint sees it. */
export interface ClientAccess {
  readonly client: Client
  /** Undefined for clients that are no devices. */
  readonly deviceState: DeviceState | undefined
  /** All tokens issued up to this moment's second are void. */
  readonly revokedAtMs: number | undefined
  /** Those that are not revoked. */
  readonly credentials: readonly StoredSecret[]
}

export interface StoredSecret {
  readonly credentialId: string
  readonly digest: Uint8Array
}

/** A change of the registry, as the records that it leaves behind. Absent members stay as they are. */
export interface Change {
  readonly audit: Omit<AuditEntry, 'auditId' | 'atMs'>
  readonly newClient?: Client
  /** Replaces what is known of a client that exists. */
  readonly client?: Client
  readonly lot?: Lot
  readonly device?: Device
  /** Each replaces the device's assignment with the same `fromMs`. */
  readonly assignments?: readonly Assignment[]
  readonly newCredential?: StoredSecret & { readonly oauthClientId: string }
  /** Void from the commit on. */
  readonly revocations?: readonly RevocationTarget[]
}

export type RevocationTarget =
  | { readonly of: 'credential'; readonly credentialId: string }
  | { readonly of: 'client'; readonly oauthClientId: string }

export interface Decision<Answer> {
  /** Absent: nothing needs to change. */
  readonly change?: Change
  readonly answer: Answer
}

export interface AuditEntry {
  readonly auditId: number
  readonly atMs: number
  /** The OAuth client that asked for it; `provisioning` for what it does by itself at start. */
  readonly actor: string
  readonly verb: AuditVerb
  /** The lot, device or client that changed. */
  readonly subject: string
  readonly before?: unknown
  readonly after?: unknown
}

export type AuditVerb =
  | 'lot.set'
  | 'device.registered'
  | 'device.assigned'
  | 'device.suspended'
  | 'device.resumed'
  | 'device.retired'
  | 'client.registered'
  | 'client.changed'
  | 'credential.issued'
  | 'credential.revoked'

/** An event of the feed with its place in the order of all commits. */
export interface FeedRecord {
  readonly position: number
  readonly type: Exclude<FeedEvent['type'], 'snapshot'>
  /** JSON. */
  readonly data: string
}
