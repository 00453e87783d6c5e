/** Rows of the SQLite registry and the records they stand for. Written by sqlite.ts and nobody else: what it wrote fits the types. */
import type { Revocation } from '../../core/contract/feed.ts'
import type { Assignment, Client, CredentialRecord, Device, Lot } from '../../core/contract/registry.ts'
import type { AuditEntry, ClientAccess } from './repository.ts'

export function jsonOrNull(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

export interface LotRow {
  lot: string
}

export function lotOf(row: LotRow): Lot {
  return JSON.parse(row.lot) as Lot
}

export interface DeviceRow {
  device_id: string
  name: string
  state: Device['state']
  registered_at_ms: number
}

export function deviceOf(row: DeviceRow): Device {
  return {
    deviceId: row.device_id,
    name: row.name,
    state: row.state,
    registeredAtMs: row.registered_at_ms,
  }
}

export interface AssignmentRow {
  device_id: string
  from_ms: number
  to_ms: number | null
  lot_id: string
}

export function assignmentOf(row: AssignmentRow): Assignment {
  return { deviceId: row.device_id, lotId: row.lot_id, fromMs: row.from_ms, toMs: row.to_ms }
}

export interface ClientRow {
  oauth_client_id: string
  kind: Client['kind']
  name: string
  grants: string
  lots: string | null
}

export function clientOf(row: ClientRow): Client {
  return {
    oauthClientId: row.oauth_client_id,
    name: row.name,
    kind: row.kind,
    grants: JSON.parse(row.grants) as Client['grants'],
    ...(row.lots === null ? {} : { lots: JSON.parse(row.lots) as string[] }),
  }
}

export function clientValues(client: Client): [string, string, string | null, string, string] {
  return [
    client.name,
    JSON.stringify(client.grants),
    jsonOrNull(client.lots),
    client.kind,
    client.oauthClientId,
  ]
}

export interface CredentialRow {
  credential_id: string
  oauth_client_id: string
  created_at_ms: number
  last_used_at_ms: number | null
  revoked_at_ms: number | null
}

export function credentialOf(row: CredentialRow): CredentialRecord {
  return {
    credentialId: row.credential_id,
    oauthClientId: row.oauth_client_id,
    createdAtMs: row.created_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
    revokedAtMs: row.revoked_at_ms,
  }
}

export interface AccessRow extends ClientRow {
  state: Device['state'] | null
  revoked_at_ms: number | null
  credential_id: string | null
  /** libsql gives a Buffer on the main thread and an ArrayBuffer on others. */
  digest: Buffer | ArrayBuffer | null
}

/** One row per credential, or one without when there is none. */
export function accessOf(rows: readonly AccessRow[]): ClientAccess | undefined {
  const [first] = rows
  if (first === undefined) return undefined
  return {
    client: clientOf(first),
    deviceState: first.state ?? undefined,
    revokedAtMs: first.revoked_at_ms ?? undefined,
    credentials: rows.flatMap(({ credential_id, digest }) =>
      credential_id === null || digest === null
        ? []
        : [{ credentialId: credential_id, digest: new Uint8Array(digest) }],
    ),
  }
}

export interface RevocationRow {
  kind: 'credential' | 'client'
  subject: string
  at_ms: number
}

export function revocationOf({ kind, subject, at_ms: atMs }: RevocationRow): Revocation {
  return kind === 'credential'
    ? { of: kind, credentialId: subject, atMs }
    : { of: kind, oauthClientId: subject, atMs }
}

export interface AuditRow {
  audit_id: number
  at_ms: number
  actor: string
  verb: AuditEntry['verb']
  subject: string
  before: string | null
  after: string | null
}

export function auditEntryOf(row: AuditRow): AuditEntry {
  return {
    auditId: row.audit_id,
    atMs: row.at_ms,
    actor: row.actor,
    verb: row.verb,
    subject: row.subject,
    ...(row.before === null ? {} : { before: JSON.parse(row.before) as unknown }),
    ...(row.after === null ? {} : { after: JSON.parse(row.after) as unknown }),
  }
}
