/**
 * Where the registry is kept. The port speaks of what the registry knows, not of tables; every adapter passes
 * test/contract/repository.test.ts. Several processes may share one repository when its adapter says so: all that is
 * said here about order and indivisibility holds across them.
 */
import type { Api, Client, CredentialRecord } from '../../core/contract/client.ts'
import type { Alarm, Command, DesiredConfig, Presence } from '../../core/contract/downlink.ts'
import type { EnrolKey, Enrolment } from '../../core/contract/enrolment.ts'
import type { FeedEvent, FeedSnapshot } from '../../core/contract/feed.ts'
import type { Assignment, Board, Device, DeviceState, Lot } from '../../core/contract/registry.ts'

/** Rows after a cursor, ascending by identifier unless said otherwise; at most `limit`. */
export interface Page<Cursor = string> {
  readonly after?: Cursor | undefined
  readonly limit: number
}

export interface DeviceFilter {
  /** Devices that have all of them. */
  readonly tags?: readonly string[] | undefined
  readonly state?: DeviceState | undefined
  /** Assigned to this lot now. */
  readonly lotId?: string | undefined
  /** Identifier or name begins with it, whatever the case. */
  readonly search?: string | undefined
}

/** What can be asked. Every answer is one consistent state, the newest that was committed when the call was made. */
export interface RegistryView {
  findLot(lotId: string): Promise<Lot | undefined>
  /** By `lotId`, ascending. */
  lots(): Promise<readonly Lot[]>
  findDevice(deviceId: string): Promise<Device | undefined>
  devices(page: Page & DeviceFilter): Promise<readonly Device[]>
  /** Ascending by `fromMs`. */
  assignmentsOf(deviceId: string): Promise<readonly Assignment[]>

  findApi(audience: string): Promise<Api | undefined>
  /** By audience, ascending. */
  apis(): Promise<readonly Api[]>
  /** Clients of every kind, devices among them. */
  findClient(oauthClientId: string): Promise<Client | undefined>
  /** Clients that are no devices. */
  clients(page: Page): Promise<readonly Client[]>
  /** How many devices are in each state, and how many clients are no devices. */
  counts(): Promise<{ readonly devices: Readonly<Record<DeviceState, number>>; readonly clients: number }>
  /** How many clients have a grant for the API. */
  clientsGranted(audience: string): Promise<number>
  /** Oldest first, revoked and expired ones included. */
  credentialsOf(oauthClientId: string): Promise<readonly CredentialRecord[]>
  /** A credential that is not revoked, by the RFC 7638 thumbprint of its key. */
  findKey(thumbprint: string): Promise<CredentialRecord | undefined>
  /**
   * What decides whether a client may have a token, or use one it has. On the path of every token request.
   * The state is that at the instant of the call: a caller who reads the clock just before it never pairs
   * a time after a revocation with the state before it.
   */
  findAccess(oauthClientId: string): Promise<ClientAccess | undefined>
  /** When a token was revoked by its `jti`, while it could still be alive. */
  findTokenRevocation(tokenId: string): Promise<number | undefined>
  /**
   * Credentials that are neither revoked nor expired, were last used, or made if never used, before `beforeMs`, and
   * whose owner has used a newer one that is not revoked and lives at least as long.
   */
  credentialsUnusedSince(beforeMs: number, limit: number): Promise<readonly CredentialRecord[]>

  findEnrolKey(enrolKeyId: string): Promise<EnrolKey | undefined>
  /** By the keyed hash of the key itself. */
  findEnrolKeyByDigest(digest: Uint8Array): Promise<EnrolKey | undefined>
  enrolKeys(page: Page): Promise<readonly EnrolKey[]>
  findEnrolment(enrolmentId: string): Promise<Enrolment | undefined>
  /** The newest with this public key. */
  findEnrolmentByKey(thumbprint: string): Promise<Enrolment | undefined>
  enrolments(page: Page & { readonly state?: Enrolment['state'] | undefined }): Promise<readonly Enrolment[]>

  findConfig(deviceId: string): Promise<DesiredConfig | undefined>
  findCommand(commandId: string): Promise<Command | undefined>
  /** Newest first; at most `limit`. */
  commandsOf(deviceId: string, limit: number): Promise<readonly Command[]>
  /** What was said last of each, in no order; nothing of a device that was never connected. */
  presenceOf(deviceIds: readonly string[]): Promise<readonly Presence[]>
  /** Of the devices that are connected, by identifier. */
  presences(): Promise<readonly Presence[]>
  brokers(): Promise<readonly BrokerRecord[]>
  /** Newest first, those before `page.before`; at most `page.limit`. */
  alarms(page: { before?: number | undefined; limit: number }): Promise<readonly Alarm[]>
  findAlarm(alarmId: number): Promise<Alarm | undefined>

  signingKeys(): Promise<readonly StoredSigningKey[]>
  /** A value that all who share the repository must have alike, such as the mark of the pepper. */
  findMark(name: string): Promise<string | undefined>
  /** The sealed answer to a request that was made before under the same key. */
  findReplay(actor: string, key: string): Promise<Replay | undefined>
  /** Newest first, those before `page.before`; at most `page.limit`. */
  auditEntries(page: {
    before?: number | undefined
    limit: number
    subject?: string | undefined
    actor?: string | undefined
  }): Promise<readonly AuditEntry[]>
}

export interface RegistryRepository extends RegistryView {
  /**
   * Decides on the present state and commits the changes whole: records, audit entries and feed events together,
   * durably, or nothing. No other change, of this process or another, comes between what `decide` reads and the commit.
   * What `decide` throws is passed on. Moments of creation and revocation are stamped at the commit.
   * @throws FleetError `request.conflict` when a `newClient` has an identifier that is taken
   */
  change<Answer>(decide: (view: RegistryView) => Promise<Decision<Answer>>): Promise<Answer>
  /** Calls back after each commit that has news for the feed, whichever process made it. @returns stops that */
  onCommit(listener: () => void): () => void
  /**
   * Events after a position, ascending, at most `limit`; none when there is nothing newer.
   * @returns undefined when some of them are no longer kept, or the position was never reached: a snapshot is due
   */
  feedAfter(position: number, limit: number): Promise<readonly FeedRecord[] | undefined>
  /** All a follower must know, as of the position of the newest event (0 before the first). */
  feedSnapshot(): Promise<{ readonly position: number; readonly snapshot: FeedSnapshot }>
  /** Notes when credentials were last used. Informational: what is noted last before a crash may be lost. */
  noteUse(uses: ReadonlyMap<string, number>): Promise<void>
  /**
   * Uses up a `jti` of an assertion, once: durable before it resolves.
   * @param id what must not come twice, already bound to its client
   * @returns false when it was used before
   */
  useOnce(id: string, expiresAtMs: number): Promise<boolean>
  /**
   * Counts tokens against quotas and says where each counter then stands. Counters are by name and window start.
   * An adapter that is alone with its file may count in memory and write about every second: a crash then forgets
   * the last second's counts. With several processes the counts are exact.
   */
  countTokens(counts: readonly TokenCount[]): Promise<readonly number[]>
  /** Appends decisions of the token endpoint, in one write. Durable soon, not at once: see the operations guide. */
  addDecisions(decisions: readonly TokenDecision[]): Promise<void>
  findDecision(decisionId: string): Promise<TokenDecision | undefined>
  /** Newest first, those before `page.before` (a time); at most `page.limit`. */
  decisions(page: {
    before?: number | undefined
    limit: number
    oauthClientId?: string | undefined
    outcome?: TokenDecision['outcome'] | undefined
  }): Promise<readonly TokenDecision[]>
  /** Forgets what nobody can ask for any more: old decisions, used assertions, counters, replays, revocations, feed. */
  prune(): Promise<void>
  close(): Promise<void>
}

/** A client as the token endpoint sees it. */
export interface ClientAccess {
  readonly client: Client
  /** Undefined for clients that are no devices. */
  readonly deviceState: DeviceState | undefined
  /** The device's board, as last seen. */
  readonly board: Board | undefined
  /** All tokens issued up to this moment's second are void. */
  readonly revokedAtMs: number | undefined
  /** Those that are not revoked; they may have expired. */
  readonly credentials: readonly StoredCredential[]
}

export type StoredCredential = StoredSecret | StoredKey

export interface StoredSecret {
  readonly of: 'secret'
  readonly credentialId: string
  readonly digest: Uint8Array
  /** Null: never. */
  readonly expiresAtMs: number | null
}

export interface StoredKey {
  readonly of: 'key'
  readonly credentialId: string
  /** RFC 7517, public. */
  readonly publicKey: Readonly<Record<string, unknown>>
  /** RFC 7638, SHA-256. */
  readonly thumbprint: string
  readonly expiresAtMs: number | null
}

/** A signing key of our own authorization server; the private half is sealed by who stores it. */
export interface StoredSigningKey {
  readonly kid: string
  readonly alg: 'ES256' | 'RS256' | 'EdDSA'
  /** JSON: the public JWK, with `x5c` where it has one. */
  readonly publicKey: string
  readonly sealedPrivateKey: string
  readonly createdAtMs: number
  /** Published from its creation on; signs from here. */
  readonly signsFromMs: number
  /** Its successor signs from here; null: it has none. */
  readonly signsUntilMs: number | null
  /** Not published any more from here: the last token it signed has expired. Null: not known yet. */
  readonly publishedUntilMs: number | null
}

export interface Replay {
  /** Of the request's method, address and body. */
  readonly requestHash: string
  /** The answer, sealed under the key that the client sent: nobody else can read it. */
  readonly sealedAnswer: string
}

/** A broker that reports presence, one start of it. */
export interface BrokerRecord {
  readonly brokerId: string
  /** When its last report was made, by its own clock: an older one comes too late. */
  readonly sentAtMs: number
  readonly heardAtMs: number
}

/** A change of the registry, as the records that it leaves behind. Absent members stay as they are. */
export interface Change {
  /** Absent: nobody changed anything worth keeping, such as presence. */
  readonly audit?: Omit<AuditEntry, 'auditId' | 'atMs'>
  readonly newClient?: Client
  /** Replaces what is known of a client that exists. */
  readonly client?: Client
  readonly removeClient?: string
  readonly api?: Api
  readonly removeApi?: string
  readonly lot?: Lot
  readonly device?: Device
  /** Each replaces the device's assignment with the same `fromMs`. */
  readonly assignments?: readonly Assignment[]
  readonly newCredential?: StoredCredential & { readonly oauthClientId: string }
  /** These end then, unless they end earlier. */
  readonly credentialsExpire?: { readonly credentialIds: readonly string[]; readonly atMs: number }
  /** Void from the commit on. */
  readonly revocations?: readonly RevocationTarget[]
  readonly enrolKey?: EnrolKey & { readonly digest?: Uint8Array }
  readonly enrolment?: Enrolment & { readonly thumbprint: string }
  readonly config?: DesiredConfig
  readonly command?: Command
  readonly presence?: readonly Presence[]
  readonly broker?: BrokerRecord
  readonly removeBroker?: string
  readonly newAlarm?: Omit<Alarm, 'alarmId' | 'atMs' | 'acknowledgedAtMs'>
  readonly alarm?: Alarm
  /** Replaces the key with the same `kid`. */
  readonly signingKeys?: readonly StoredSigningKey[]
  readonly removeSigningKeys?: readonly string[]
  readonly mark?: { readonly name: string; readonly value: string }
  readonly replay?: Replay & { readonly actor: string; readonly key: string }
}

export type RevocationTarget =
  | { readonly of: 'credential'; readonly credentialId: string }
  | { readonly of: 'client'; readonly oauthClientId: string }
  | { readonly of: 'token'; readonly tokenId: string }

export interface Decision<Answer> {
  /** In order, in one commit. Absent or empty: nothing needs to change. */
  readonly changes?: readonly Change[]
  readonly answer: Answer
}

export interface AuditEntry {
  readonly auditId: number
  readonly atMs: number
  /** The OAuth client that asked for it; `provisioning` for what it does by itself; the device for its own enrolment. */
  readonly actor: string
  readonly verb: AuditVerb
  /** The lot, device, client, API, key that changed. */
  readonly subject: string
  readonly before?: unknown
  readonly after?: unknown
}

export type AuditVerb =
  | 'lot.set'
  | 'device.registered'
  | 'device.changed'
  | 'device.assigned'
  | 'device.enrolled'
  | 'device.activated'
  | 'device.suspended'
  | 'device.resumed'
  | 'device.retired'
  | 'device.window_opened'
  | 'device.configured'
  | 'device.commanded'
  | 'device.board_changed'
  | 'client.registered'
  | 'client.changed'
  | 'client.retired'
  | 'api.set'
  | 'api.retired'
  | 'grant.set'
  | 'grant.revoked'
  | 'credential.issued'
  | 'credential.rotated'
  | 'credential.revoked'
  | 'credential.retired'
  | 'token.revoked'
  | 'enrol_key.made'
  | 'enrol_key.revoked'
  | 'enrolment.requested'
  | 'enrolment.approved'
  | 'enrolment.rejected'
  | 'signing_key.made'
  | 'signing_key.retired'
  | 'alarm.raised'
  | 'alarm.acknowledged'

export interface TokenCount {
  /** `client:gate-1`, `api:urn:…`, with the window's length: what is counted. */
  readonly counter: string
  /** Unix milliseconds: hours and days in UTC. */
  readonly windowStartMs: number
  /** 0 only asks; below 0 gives back what was counted for a token that was not issued after all. */
  readonly add: number
}

/** One decision of the token endpoint, with what decided it. No secret, no token. */
export interface TokenDecision {
  readonly decisionId: string
  readonly atMs: number
  readonly outcome: 'issued' | 'refused'
  /** As claimed; undefined when nobody could be made out. */
  readonly oauthClientId?: string | undefined
  readonly address?: string | undefined
  /** `error` of the answer; undefined when a token was issued. */
  readonly error?: string | undefined
  /** For the operator: why, in words and ids (credential, grant, rule, quota). */
  readonly reason: Readonly<Record<string, unknown>>
}

/** An event of the feed with its place in the order of all commits. */
export interface FeedRecord {
  readonly position: number
  readonly type: Exclude<FeedEvent['type'], 'snapshot'>
  /** JSON. */
  readonly data: string
}
