/** Rows and the records they stand for. Written by sql-writes.ts and nobody else: what it wrote fits the types. */
import type { Client, CredentialRecord } from '../../core/contract/client.ts'
import type { Revocation } from '../../core/contract/feed.ts'
import type { Assignment, Device } from '../../core/contract/registry.ts'
import type { AuditEntry, ClientAccess, StoredCredential } from './repository.ts'
import type { SqlValue } from './sql.ts'

export function jsonOrNull(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

export interface RecordRow {
  record: string
}

export function recordOf<Record>(row: RecordRow): Record {
  return JSON.parse(row.record) as Record
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

export interface CredentialRow {
  credential_id: string
  oauth_client_id: string
  thumbprint: string | null
  created_at_ms: number
  last_used_at_ms: number | null
  expires_at_ms: number | null
  revoked_at_ms: number | null
}

export function credentialOf(row: CredentialRow): CredentialRecord {
  return {
    credentialId: row.credential_id,
    oauthClientId: row.oauth_client_id,
    of: row.thumbprint === null ? 'secret' : 'key',
    ...(row.thumbprint === null ? {} : { thumbprint: row.thumbprint }),
    createdAtMs: row.created_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
  }
}

/** In the order of the columns of `credentials` up to `expires_at_ms`. */
export function credentialValues(
  credential: StoredCredential & { readonly oauthClientId: string },
  atMs: number,
): SqlValue[] {
  const { credentialId, oauthClientId, expiresAtMs } = credential
  const isKey = credential.of === 'key'
  return [
    credentialId,
    oauthClientId,
    isKey ? null : credential.digest,
    isKey ? JSON.stringify(credential.publicKey) : null,
    isKey ? credential.thumbprint : null,
    atMs,
    expiresAtMs,
  ]
}

export interface AccessRow extends RecordRow {
  device: string | null
  client_revoked_at_ms: number | null
  credential_id: string | null
  /** libsql gives a Buffer on the main thread and an ArrayBuffer on others. */
  digest: Uint8Array | ArrayBuffer | null
  public_key: string | null
  thumbprint: string | null
  expires_at_ms: number | null
}

/** One row per credential, or one without when there is none. */
export function accessOf(rows: readonly AccessRow[]): ClientAccess | undefined {
  const [first] = rows
  if (first === undefined) return undefined
  const device = first.device === null ? undefined : (JSON.parse(first.device) as Device)
  return {
    client: recordOf<Client>(first),
    deviceState: device?.state,
    board: device?.board,
    revokedAtMs: first.client_revoked_at_ms ?? undefined,
    credentials: rows.flatMap(storedOf),
  }
}

function storedOf(row: AccessRow): StoredCredential[] {
  const { credential_id: credentialId, expires_at_ms: expiresAtMs, digest, public_key, thumbprint } = row
  if (credentialId === null) return []
  if (digest !== null) {
    const bytes = digest instanceof Uint8Array ? digest : new Uint8Array(digest)
    return [{ of: 'secret', credentialId, digest: bytes, expiresAtMs }]
  }
  if (public_key === null || thumbprint === null) return []
  return [{ of: 'key', credentialId, publicKey: JSON.parse(public_key), thumbprint, expiresAtMs }]
}

export interface RevocationRow {
  kind: Revocation['of']
  subject: string
  at_ms: number
}

export function revocationOf({ kind, subject, at_ms: atMs }: RevocationRow): Revocation {
  if (kind === 'credential') return { of: kind, credentialId: subject, atMs }
  if (kind === 'token') return { of: kind, tokenId: subject, atMs }
  return { of: kind, oauthClientId: subject, atMs }
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
