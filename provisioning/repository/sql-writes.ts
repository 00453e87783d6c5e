/** A change of the registry as statements, events of the feed among them. Pure. */
import type { Client } from '../../core/contract/client.ts'
import type { Alarm } from '../../core/contract/downlink.ts'
import type { FeedEvent } from '../../core/contract/feed.ts'
import type { Device } from '../../core/contract/registry.ts'
import type { Change, FeedRecord, RevocationTarget } from './repository.ts'
import { type Statement, statement } from './sql.ts'
import { credentialValues, jsonOrNull } from './sql-rows.ts'

export interface Moment {
  /** Of the commit, Unix milliseconds. */
  readonly atMs: number
  /** The next alarm gets this number. */
  readonly nextAlarmId: number
  /** What tokens call the client, where that is not its own identifier. */
  readonly issuerClientIds: ReadonlyMap<string, string>
}

/** Those of all changes, in order; the audit entries come last in each. */
export function statementsOf(changes: readonly Change[], moment: Moment): Statement[] {
  let { nextAlarmId } = moment
  return changes.flatMap((change) => {
    const statements = [...recordsOf(change, moment), ...alarmsOf(change, moment.atMs, nextAlarmId)]
    if (change.newAlarm !== undefined) nextAlarmId++
    const { audit, replay } = change
    if (audit !== undefined)
      statements.push(
        statement(
          'INSERT INTO audit (at_ms, actor, verb, subject, before, after) VALUES (?, ?, ?, ?, ?, ?)',
          moment.atMs,
          audit.actor,
          audit.verb,
          audit.subject,
          jsonOrNull(audit.before),
          jsonOrNull(audit.after),
        ),
      )
    if (replay !== undefined)
      statements.push(
        statement(
          `INSERT INTO replays (actor, request_key, request_hash, sealed_answer, at_ms) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (actor, request_key) DO UPDATE SET request_hash = excluded.request_hash,
             sealed_answer = excluded.sealed_answer, at_ms = excluded.at_ms`,
          replay.actor,
          replay.key,
          replay.requestHash,
          replay.sealedAnswer,
          moment.atMs,
        ),
      )
    return statements
  })
}

function* recordsOf(change: Change, { atMs, issuerClientIds }: Moment): Generator<Statement> {
  if (change.api !== undefined) yield put('apis', 'audience', change.api.audience, change.api)
  if (change.removeApi !== undefined) yield statement('DELETE FROM apis WHERE audience = ?', change.removeApi)
  if (change.newClient !== undefined) {
    const { oauthClientId, kind, issuerClientId } = change.newClient
    yield statement(
      'INSERT INTO clients (oauth_client_id, kind, issuer_client_id, record) VALUES (?, ?, ?, ?)',
      oauthClientId,
      kind,
      issuerClientId ?? null,
      JSON.stringify(change.newClient),
    )
    yield* audiencesOf(change.newClient)
  }
  if (change.client !== undefined) {
    const { oauthClientId, issuerClientId } = change.client
    yield statement(
      'UPDATE clients SET issuer_client_id = ?, record = ? WHERE oauth_client_id = ?',
      issuerClientId ?? null,
      JSON.stringify(change.client),
      oauthClientId,
    )
    yield statement('DELETE FROM client_audiences WHERE oauth_client_id = ?', oauthClientId)
    yield* audiencesOf(change.client)
  }
  if (change.lot !== undefined) {
    yield put('lots', 'lot_id', change.lot.lotId, change.lot)
    yield event('lot', change.lot)
  }
  if (change.device !== undefined) yield* deviceSet(change.device)
  for (const assignment of change.assignments ?? []) {
    const { deviceId, fromMs, toMs, lotId } = assignment
    yield statement(
      `INSERT INTO assignments (device_id, from_ms, to_ms, lot_id) VALUES (?, ?, ?, ?)
       ON CONFLICT (device_id, from_ms) DO UPDATE SET to_ms = excluded.to_ms, lot_id = excluded.lot_id`,
      deviceId,
      fromMs,
      toMs,
      lotId,
    )
    yield event('assignment', assignment)
  }
  if (change.newCredential !== undefined)
    yield statement(
      `INSERT INTO credentials
         (credential_id, oauth_client_id, digest, public_key, thumbprint, created_at_ms, expires_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ...credentialValues(change.newCredential, atMs),
    )
  const expire = change.credentialsExpire
  for (const credentialId of expire?.credentialIds ?? [])
    yield statement(
      `UPDATE credentials SET expires_at_ms = ?
       WHERE credential_id = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)`,
      expire?.atMs ?? atMs,
      credentialId,
      expire?.atMs ?? atMs,
    )
  for (const target of change.revocations ?? []) yield* revoked(target, atMs, issuerClientIds)
  // After its credentials are void: they go with it.
  if (change.removeClient !== undefined)
    yield statement('DELETE FROM clients WHERE oauth_client_id = ?', change.removeClient)
  yield* enrolmentSet(change)
  yield* downlinkSet(change)
  for (const key of change.signingKeys ?? [])
    yield statement(
      `INSERT INTO signing_keys (kid, created_at_ms, record) VALUES (?, ?, ?)
       ON CONFLICT (kid) DO UPDATE SET record = excluded.record`,
      key.kid,
      key.createdAtMs,
      JSON.stringify(key),
    )
  for (const kid of change.removeSigningKeys ?? [])
    yield statement('DELETE FROM signing_keys WHERE kid = ?', kid)
  if (change.mark !== undefined)
    yield statement(
      'INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      change.mark.name,
      change.mark.value,
    )
}

function* audiencesOf({ oauthClientId, grants }: Client): Generator<Statement> {
  for (const { audience } of grants)
    yield statement(
      'INSERT INTO client_audiences (audience, oauth_client_id) VALUES (?, ?) ON CONFLICT DO NOTHING',
      audience,
      oauthClientId,
    )
}

function* revoked(
  target: RevocationTarget,
  atMs: number,
  issuerClientIds: Moment['issuerClientIds'],
): Generator<Statement> {
  const subject =
    target.of === 'credential'
      ? target.credentialId
      : target.of === 'client'
        ? target.oauthClientId
        : target.tokenId
  if (target.of === 'credential')
    yield statement(
      'UPDATE credentials SET revoked_at_ms = ? WHERE credential_id = ? AND revoked_at_ms IS NULL',
      atMs,
      subject,
    )
  yield statement(
    `INSERT INTO revocations (kind, subject, at_ms) VALUES (?, ?, ?) ON CONFLICT (kind, subject)
     DO UPDATE SET at_ms = excluded.at_ms WHERE excluded.at_ms > revocations.at_ms`,
    target.of,
    subject,
    atMs,
  )
  // A hosted issuer's tokens have its own name for the client.
  const named =
    target.of === 'client'
      ? { ...target, oauthClientId: issuerClientIds.get(target.oauthClientId) ?? target.oauthClientId }
      : target
  yield event('revocation', { ...named, atMs })
}

function* deviceSet(device: Device): Generator<Statement> {
  const { deviceId, state, name, tags } = device
  yield statement(
    `INSERT INTO devices (device_id, state, search, record) VALUES (?, ?, ?, ?) ON CONFLICT (device_id)
     DO UPDATE SET state = excluded.state, search = excluded.search, record = excluded.record`,
    deviceId,
    state,
    name.toLowerCase(),
    JSON.stringify(device),
  )
  yield statement('DELETE FROM device_tags WHERE device_id = ?', deviceId)
  for (const tag of tags)
    yield statement('INSERT INTO device_tags (tag, device_id) VALUES (?, ?)', tag, deviceId)
  yield event('device', device)
}

function* enrolmentSet({ enrolKey, enrolment }: Change): Generator<Statement> {
  if (enrolKey !== undefined) {
    const { digest, ...record } = enrolKey
    if (digest === undefined)
      yield statement(
        'UPDATE enrol_keys SET record = ? WHERE enrol_key_id = ?',
        JSON.stringify(record),
        record.enrolKeyId,
      )
    else
      yield statement(
        'INSERT INTO enrol_keys (enrol_key_id, digest, record) VALUES (?, ?, ?)',
        record.enrolKeyId,
        digest,
        JSON.stringify(record),
      )
  }
  if (enrolment !== undefined) {
    const { thumbprint, ...record } = enrolment
    yield statement(
      `INSERT INTO enrolments (enrolment_id, thumbprint, state, created_at_ms, record) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (enrolment_id) DO UPDATE SET state = excluded.state, record = excluded.record`,
      record.enrolmentId,
      thumbprint,
      record.state,
      record.createdAtMs,
      JSON.stringify(record),
    )
  }
}

function* downlinkSet(change: Change): Generator<Statement> {
  const { config, command, presence, broker, removeBroker } = change
  if (broker !== undefined) yield put('brokers', 'broker_id', broker.brokerId, broker)
  if (removeBroker !== undefined) yield statement('DELETE FROM brokers WHERE broker_id = ?', removeBroker)
  if (config !== undefined) {
    yield put('configs', 'device_id', config.deviceId, config)
    yield event('config', config)
  }
  if (command !== undefined) {
    const { commandId, deviceId, state, createdAtMs } = command
    yield statement(
      `INSERT INTO commands (command_id, device_id, state, created_at_ms, record) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (command_id) DO UPDATE SET state = excluded.state, record = excluded.record`,
      commandId,
      deviceId,
      state,
      createdAtMs,
      JSON.stringify(command),
    )
    yield event('command', command)
  }
  for (const one of presence ?? []) {
    yield statement(
      `INSERT INTO presence (device_id, connected, record) VALUES (?, ?, ?)
       ON CONFLICT (device_id) DO UPDATE SET connected = excluded.connected, record = excluded.record`,
      one.deviceId,
      Number(one.connected),
      JSON.stringify(one),
    )
    yield event('presence', one)
  }
}

function* alarmsOf({ newAlarm, alarm }: Change, atMs: number, alarmId: number): Generator<Statement> {
  const raised: Alarm | undefined =
    newAlarm === undefined ? undefined : { ...newAlarm, alarmId, atMs, acknowledgedAtMs: null }
  for (const one of [raised, alarm]) {
    if (one === undefined) continue
    yield statement(
      `INSERT INTO alarms (alarm_id, record) VALUES (?, ?)
       ON CONFLICT (alarm_id) DO UPDATE SET record = excluded.record`,
      one.alarmId,
      JSON.stringify(one),
    )
    yield event('alarm', one)
  }
}

function put(table: string, key: string, id: string, record: object): Statement {
  return statement(
    `INSERT INTO ${table} (${key}, record) VALUES (?, ?) ON CONFLICT (${key}) DO UPDATE SET record = excluded.record`,
    id,
    JSON.stringify(record),
  )
}

function event<Type extends FeedRecord['type']>(
  type: Type,
  data: Extract<FeedEvent, { type: Type }>['data'],
): Statement {
  return statement('INSERT INTO feed (type, data) VALUES (?, ?)', type, JSON.stringify(data))
}
