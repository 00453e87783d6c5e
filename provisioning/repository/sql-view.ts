/** What can be asked of the registry, as SQL. Every answer is one statement, hence one state. */
import type { Api, Client } from '../../core/contract/client.ts'
import type { Alarm, Command, DesiredConfig, Presence } from '../../core/contract/downlink.ts'
import type { EnrolKey, Enrolment } from '../../core/contract/enrolment.ts'
import type { Device, DeviceState, Lot } from '../../core/contract/registry.ts'
import type { BrokerRecord, DeviceFilter, Page, RegistryView, StoredSigningKey } from './repository.ts'
import type { SqlReader, SqlValue } from './sql.ts'
import {
  type AccessRow,
  type AssignmentRow,
  type AuditRow,
  accessOf,
  assignmentOf,
  auditEntryOf,
  type CredentialRow,
  credentialOf,
  type RecordRow,
  recordOf,
} from './sql-rows.ts'

const accessSql = `
  SELECT c.record, d.record AS device, r.at_ms AS client_revoked_at_ms,
    k.credential_id, k.digest, k.public_key, k.thumbprint, k.expires_at_ms
  FROM clients c
  LEFT JOIN devices d ON d.device_id = c.oauth_client_id
  LEFT JOIN revocations r ON r.kind = 'client' AND r.subject = c.oauth_client_id
  LEFT JOIN credentials k ON k.oauth_client_id = c.oauth_client_id AND k.revoked_at_ms IS NULL
  WHERE c.oauth_client_id = ?
  ORDER BY k.created_at_ms, k.credential_id`

const unusedSql = `
  SELECT k.* FROM credentials k
  WHERE k.revoked_at_ms IS NULL AND (k.expires_at_ms IS NULL OR k.expires_at_ms > ?)
    AND coalesce(k.last_used_at_ms, k.created_at_ms) < ?
    AND EXISTS (
      SELECT 1 FROM credentials newer WHERE newer.oauth_client_id = k.oauth_client_id
        AND newer.revoked_at_ms IS NULL AND newer.last_used_at_ms IS NOT NULL
        AND newer.created_at_ms > k.created_at_ms
        AND (newer.expires_at_ms IS NULL OR newer.expires_at_ms >= k.expires_at_ms))
  ORDER BY k.oauth_client_id, k.credential_id LIMIT ?`

/** @param now Unix milliseconds: what has expired, which assignment holds */
export function createSqlView(db: SqlReader, now: () => number): RegistryView {
  const records = async <Record>(sql: string, ...values: SqlValue[]): Promise<Record[]> =>
    (await db.all<RecordRow>(sql, ...values)).map((row) => recordOf<Record>(row))
  const record = async <Record>(sql: string, value: SqlValue): Promise<Record | undefined> =>
    (await records<Record>(sql, value))[0]

  return {
    findLot: (lotId) => record<Lot>('SELECT record FROM lots WHERE lot_id = ?', lotId),
    lots: () => records<Lot>('SELECT record FROM lots ORDER BY lot_id'),
    findDevice: (deviceId) => record<Device>('SELECT record FROM devices WHERE device_id = ?', deviceId),
    devices(page) {
      const { sql, values } = devicesSql(page, now())
      return records<Device>(sql, ...values)
    },
    async assignmentsOf(deviceId) {
      const sql = 'SELECT * FROM assignments WHERE device_id = ? ORDER BY from_ms'
      return (await db.all<AssignmentRow>(sql, deviceId)).map(assignmentOf)
    },

    findApi: (audience) => record<Api>('SELECT record FROM apis WHERE audience = ?', audience),
    apis: () => records<Api>('SELECT record FROM apis ORDER BY audience'),
    findClient: (oauthClientId) =>
      record<Client>('SELECT record FROM clients WHERE oauth_client_id = ?', oauthClientId),
    clients: ({ after, limit }) =>
      records<Client>(
        `SELECT record FROM clients WHERE kind IN ('service', 'command-line') AND oauth_client_id > ?
         ORDER BY oauth_client_id LIMIT ?`,
        after ?? '',
        limit,
      ),
    async counts() {
      const devices = { registered: 0, enrolled: 0, active: 0, suspended: 0, retired: 0 }
      const byState = 'SELECT state, count(*) AS devices FROM devices GROUP BY state'
      for (const row of await db.all<{ state: DeviceState; devices: number }>(byState))
        devices[row.state] = row.devices
      const others = "SELECT count(*) AS clients FROM clients WHERE kind IN ('service', 'command-line')"
      return { devices, clients: (await db.all<{ clients: number }>(others))[0]?.clients ?? 0 }
    },
    async clientsGranted(audience) {
      const sql = 'SELECT count(*) AS clients FROM client_audiences WHERE audience = ?'
      return (await db.all<{ clients: number }>(sql, audience))[0]?.clients ?? 0
    },
    async credentialsOf(oauthClientId) {
      const sql = 'SELECT * FROM credentials WHERE oauth_client_id = ? ORDER BY created_at_ms, credential_id'
      return (await db.all<CredentialRow>(sql, oauthClientId)).map(credentialOf)
    },
    async findKey(thumbprint) {
      const sql = 'SELECT * FROM credentials WHERE thumbprint = ? AND revoked_at_ms IS NULL'
      return (await db.all<CredentialRow>(sql, thumbprint)).map(credentialOf)[0]
    },
    async findAccess(oauthClientId) {
      return accessOf(await db.all<AccessRow>(accessSql, oauthClientId))
    },
    async findTokenRevocation(tokenId) {
      const sql = "SELECT at_ms FROM revocations WHERE kind = 'token' AND subject = ?"
      return (await db.all<{ at_ms: number }>(sql, tokenId))[0]?.at_ms
    },
    async credentialsUnusedSince(beforeMs, limit) {
      return (await db.all<CredentialRow>(unusedSql, now(), beforeMs, limit)).map(credentialOf)
    },

    findEnrolKey: (id) => record<EnrolKey>('SELECT record FROM enrol_keys WHERE enrol_key_id = ?', id),
    findEnrolKeyByDigest: (digest) =>
      record<EnrolKey>('SELECT record FROM enrol_keys WHERE digest = ?', digest),
    enrolKeys: ({ after, limit }) =>
      records<EnrolKey>(
        'SELECT record FROM enrol_keys WHERE enrol_key_id > ? ORDER BY enrol_key_id LIMIT ?',
        after ?? '',
        limit,
      ),
    findEnrolment: (id) => record<Enrolment>('SELECT record FROM enrolments WHERE enrolment_id = ?', id),
    findEnrolmentByKey: (thumbprint) =>
      record<Enrolment>(
        `SELECT record FROM enrolments WHERE thumbprint = ?
         ORDER BY created_at_ms DESC, enrolment_id DESC LIMIT 1`,
        thumbprint,
      ),
    enrolments: ({ after = '', limit, state }) =>
      state === undefined
        ? records<Enrolment>(
            'SELECT record FROM enrolments WHERE enrolment_id > ? ORDER BY enrolment_id LIMIT ?',
            after,
            limit,
          )
        : records<Enrolment>(
            `SELECT record FROM enrolments WHERE state = ? AND enrolment_id > ?
             ORDER BY enrolment_id LIMIT ?`,
            state,
            after,
            limit,
          ),

    findConfig: (deviceId) =>
      record<DesiredConfig>('SELECT record FROM configs WHERE device_id = ?', deviceId),
    findCommand: (id) => record<Command>('SELECT record FROM commands WHERE command_id = ?', id),
    commandsOf: (deviceId, limit) =>
      records<Command>(
        `SELECT record FROM commands WHERE device_id = ?
         ORDER BY created_at_ms DESC, command_id DESC LIMIT ?`,
        deviceId,
        limit,
      ),
    async presenceOf(deviceIds) {
      if (deviceIds.length === 0) return []
      const places = deviceIds.map(() => '?').join(', ')
      return records<Presence>(`SELECT record FROM presence WHERE device_id IN (${places})`, ...deviceIds)
    },
    presences: () => records<Presence>('SELECT record FROM presence WHERE connected = 1 ORDER BY device_id'),
    brokers: () => records<BrokerRecord>('SELECT record FROM brokers ORDER BY broker_id'),
    alarms: ({ before, limit }) =>
      records<Alarm>(
        'SELECT record FROM alarms WHERE alarm_id < ? ORDER BY alarm_id DESC LIMIT ?',
        before ?? Number.MAX_SAFE_INTEGER,
        limit,
      ),
    findAlarm: (alarmId) => record<Alarm>('SELECT record FROM alarms WHERE alarm_id = ?', alarmId),

    signingKeys: () =>
      records<StoredSigningKey>('SELECT record FROM signing_keys ORDER BY created_at_ms, kid'),
    async findMark(name) {
      return (await db.all<{ value: string }>('SELECT value FROM marks WHERE name = ?', name))[0]?.value
    },
    async findReplay(actor, key) {
      const sql = 'SELECT request_hash, sealed_answer FROM replays WHERE actor = ? AND request_key = ?'
      const [row] = await db.all<{ request_hash: string; sealed_answer: string }>(sql, actor, key)
      return row === undefined
        ? undefined
        : { requestHash: row.request_hash, sealedAnswer: row.sealed_answer }
    },
    async auditEntries({ before, limit, subject, actor }) {
      const conditions = ['audit_id < ?']
      const values: SqlValue[] = [before ?? Number.MAX_SAFE_INTEGER]
      if (subject !== undefined) {
        conditions.push('subject = ?')
        values.push(subject)
      }
      if (actor !== undefined) {
        conditions.push('actor = ?')
        values.push(actor)
      }
      const sql = `SELECT * FROM audit WHERE ${conditions.join(' AND ')} ORDER BY audit_id DESC LIMIT ?`
      return (await db.all<AuditRow>(sql, ...values, limit)).map(auditEntryOf)
    },
  }
}

/** A page goes on by identifier, so that each is a short walk along the primary key, whatever the filters. */
function devicesSql(
  { after, limit, tags = [], state, lotId, search }: Page & DeviceFilter,
  nowMs: number,
): { sql: string; values: SqlValue[] } {
  const conditions = ['d.device_id > ?']
  const values: SqlValue[] = [after ?? '']
  for (const tag of tags) {
    conditions.push('EXISTS (SELECT 1 FROM device_tags t WHERE t.tag = ? AND t.device_id = d.device_id)')
    values.push(tag)
  }
  if (state !== undefined) {
    conditions.push('d.state = ?')
    values.push(state)
  }
  if (lotId !== undefined) {
    conditions.push(
      `EXISTS (SELECT 1 FROM assignments a WHERE a.lot_id = ? AND a.device_id = d.device_id
         AND a.from_ms <= ? AND (a.to_ms IS NULL OR a.to_ms > ?))`,
    )
    values.push(lotId, nowMs, nowMs)
  }
  if (search !== undefined) {
    // Text that begins with it: from it on, and before all that begins with something later.
    const from = search.toLowerCase()
    const to = `${from}\u{10ffff}`
    conditions.push(
      '((lower(d.device_id) >= ? AND lower(d.device_id) < ?) OR (d.search >= ? AND d.search < ?))',
    )
    values.push(from, to, from, to)
  }
  return {
    sql: `SELECT d.record FROM devices d WHERE ${conditions.join(' AND ')} ORDER BY d.device_id LIMIT ?`,
    values: [...values, limit],
  }
}
