/**
 * The registry in a SQLite file that this process owns: WAL, synchronous FULL, one connection, locked against others.
 * Statements run synchronously, so a read or a commit is one indivisible step of the process.
 */
import Database from 'libsql'
import { FleetError } from '../../core/contract/errors.ts'
import type { FeedEvent } from '../../core/contract/feed.ts'
import { migrate } from './migrate.ts'
import type {
  Change,
  Decision,
  FeedRecord,
  RegistryRepository,
  RegistryView,
  RevocationTarget,
} from './repository.ts'
import {
  type AccessRow,
  type AssignmentRow,
  type AuditRow,
  accessOf,
  assignmentOf,
  auditEntryOf,
  type ClientRow,
  type CredentialRow,
  clientOf,
  clientValues,
  credentialOf,
  type DeviceRow,
  deviceOf,
  jsonOrNull,
  type LotRow,
  lotOf,
  type RevocationRow,
  revocationOf,
} from './sqlite-rows.ts'

export interface SqliteOptions {
  readonly path: string
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** How many events of the feed are kept for followers to resume from. */
  readonly feedEventsKept?: number
}

/** No token lives longer than 24 h, and nobody's clock is believed to be off by more than an hour. */
const revocationKeptMs = 25 * 3600_000
const pruneEveryEvents = 256

type Value = string | number | Uint8Array | null

/**
 * @throws FleetError `store.locked` when another process has the file, `config.invalid` when it cannot be opened
 *   or was written by a newer version
 */
export function openSqliteRepository(options: SqliteOptions): RegistryRepository {
  const db = open(options.path)
  const { now } = options
  const feedEventsKept = options.feedEventsKept ?? 50_000

  // Bound as one array: a lone object among the arguments would be taken for named parameters.
  const all = <Row>(sql: string) => {
    const statement = db.prepare(sql)
    return (...values: Value[]) => statement.all(values) as Row[] // the shape is the statement's
  }
  const run = (sql: string) => {
    const statement = db.prepare(sql)
    return (...values: Value[]) => statement.run(values)
  }

  const select = {
    lot: all<LotRow>('SELECT lot FROM lots WHERE lot_id = ?'),
    lots: all<LotRow>('SELECT lot FROM lots ORDER BY lot_id'),
    device: all<DeviceRow>('SELECT * FROM devices WHERE device_id = ?'),
    devices: all<DeviceRow>('SELECT * FROM devices WHERE device_id > ? ORDER BY device_id LIMIT ?'),
    assignments: all<AssignmentRow>('SELECT * FROM assignments WHERE device_id = ? ORDER BY from_ms'),
    everyAssignment: all<AssignmentRow>('SELECT * FROM assignments ORDER BY device_id, from_ms'),
    client: all<ClientRow>('SELECT * FROM clients WHERE oauth_client_id = ?'),
    clients: all<ClientRow>("SELECT * FROM clients WHERE kind <> 'device' ORDER BY oauth_client_id"),
    credentials: all<CredentialRow>(
      'SELECT * FROM credentials WHERE oauth_client_id = ? ORDER BY created_at_ms, credential_id',
    ),
    access: all<AccessRow>(
      `SELECT c.*, d.state, r.at_ms AS revoked_at_ms, k.credential_id, k.digest
       FROM clients c
       LEFT JOIN devices d ON d.device_id = c.oauth_client_id
       LEFT JOIN revocations r ON r.kind = 'client' AND r.subject = c.oauth_client_id
       LEFT JOIN credentials k ON k.oauth_client_id = c.oauth_client_id AND k.revoked_at_ms IS NULL
       WHERE c.oauth_client_id = ?`,
    ),
    audit: all<AuditRow>('SELECT * FROM audit WHERE audit_id < ? ORDER BY audit_id DESC LIMIT ?'),
    feedBounds: all<{ first: number | null; last: number | null }>(
      `SELECT (SELECT min(position) FROM feed) AS first, (SELECT seq FROM sqlite_sequence WHERE name = 'feed') AS last`,
    ),
    feedAfter: all<FeedRecord>(
      'SELECT position, type, data FROM feed WHERE position > ? ORDER BY position LIMIT ?',
    ),
    revocations: all<RevocationRow>('SELECT * FROM revocations WHERE at_ms >= ? ORDER BY at_ms, subject'),
  }
  const write = {
    newClient: run('INSERT INTO clients (name, grants, lots, kind, oauth_client_id) VALUES (?, ?, ?, ?, ?)'),
    client: run('UPDATE clients SET name = ?, grants = ?, lots = ? WHERE kind = ? AND oauth_client_id = ?'),
    lot: run('INSERT INTO lots VALUES (?, ?) ON CONFLICT DO UPDATE SET lot = excluded.lot'),
    device: run(
      `INSERT INTO devices VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET name = excluded.name, state = excluded.state`,
    ),
    assignment: run(
      `INSERT INTO assignments VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET to_ms = excluded.to_ms, lot_id = excluded.lot_id`,
    ),
    credential: run('INSERT INTO credentials VALUES (?, ?, ?, ?, NULL, NULL)'),
    credentialRevoked: run(
      'UPDATE credentials SET revoked_at_ms = ? WHERE credential_id = ? AND revoked_at_ms IS NULL',
    ),
    credentialUsed: run('UPDATE credentials SET last_used_at_ms = ? WHERE credential_id = ?'),
    revocation: run(
      'INSERT INTO revocations VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at_ms = max(at_ms, excluded.at_ms)',
    ),
    feed: run('INSERT INTO feed (type, data) VALUES (?, ?)'),
    feedPrune: run('DELETE FROM feed WHERE position <= ?'),
    revocationsPrune: run('DELETE FROM revocations WHERE at_ms < ?'),
    audit: run('INSERT INTO audit (at_ms, actor, verb, subject, before, after) VALUES (?, ?, ?, ?, ?, ?)'),
  }

  function emit<Type extends FeedRecord['type']>(
    type: Type,
    data: Extract<FeedEvent, { type: Type }>['data'],
  ): void {
    const position = Number(write.feed(type, JSON.stringify(data)).lastInsertRowid)
    if (position % pruneEveryEvents !== 0) return
    write.feedPrune(position - feedEventsKept)
    write.revocationsPrune(now() - revocationKeptMs)
  }

  function revoke(target: RevocationTarget, atMs: number): void {
    if (target.of === 'credential') write.credentialRevoked(atMs, target.credentialId)
    write.revocation(target.of, target.of === 'credential' ? target.credentialId : target.oauthClientId, atMs)
    emit('revocation', { ...target, atMs })
  }

  const commit = db.transaction((change: Change) => {
    // Read inside the transaction: nothing else runs between this instant and the commit.
    const atMs = now()
    if (change.newClient !== undefined) write.newClient(...clientValues(change.newClient))
    if (change.client !== undefined) write.client(...clientValues(change.client))
    if (change.lot !== undefined) {
      write.lot(change.lot.lotId, JSON.stringify(change.lot))
      emit('lot', change.lot)
    }
    if (change.device !== undefined) {
      const { deviceId, name, state, registeredAtMs } = change.device
      write.device(deviceId, name, state, registeredAtMs)
      emit('device', change.device)
    }
    for (const assignment of change.assignments ?? []) {
      const { deviceId, fromMs, toMs, lotId } = assignment
      write.assignment(deviceId, fromMs, toMs, lotId)
      emit('assignment', assignment)
    }
    if (change.newCredential !== undefined) {
      const { credentialId, oauthClientId, digest } = change.newCredential
      write.credential(credentialId, oauthClientId, digest, atMs)
    }
    for (const target of change.revocations ?? []) revoke(target, atMs)
    const { actor, verb, subject, before, after } = change.audit
    write.audit(atMs, actor, verb, subject, jsonOrNull(before), jsonOrNull(after))
  }).immediate

  const view: RegistryView = {
    async findLot(lotId) {
      return select.lot(lotId).map(lotOf)[0]
    },
    async lots() {
      return select.lots().map(lotOf)
    },
    async findDevice(deviceId) {
      return select.device(deviceId).map(deviceOf)[0]
    },
    async devices({ after, limit }) {
      return select.devices(after ?? '', limit).map(deviceOf)
    },
    async assignmentsOf(deviceId) {
      return select.assignments(deviceId).map(assignmentOf)
    },
    async findClient(oauthClientId) {
      return select.client(oauthClientId).map(clientOf)[0]
    },
    async clients() {
      return select.clients().map(clientOf)
    },
    async credentialsOf(oauthClientId) {
      return select.credentials(oauthClientId).map(credentialOf)
    },
    async findAccess(oauthClientId) {
      return accessOf(select.access(oauthClientId))
    },
    async auditEntries({ before, limit }) {
      return select.audit(before ?? Number.MAX_SAFE_INTEGER, limit).map(auditEntryOf)
    },
  }

  let lastChange: Promise<unknown> = Promise.resolve()
  async function decideAndCommit<Answer>(
    decide: (view: RegistryView) => Promise<Decision<Answer>>,
  ): Promise<Answer> {
    const { change, answer } = await decide(view)
    if (change !== undefined) {
      try {
        commit(change)
      } catch (error) {
        throw conflictOr(error, change)
      }
    }
    return answer
  }

  return {
    ...view,
    change(decide) {
      const turn = lastChange.then(() => decideAndCommit(decide))
      lastChange = turn.catch(() => undefined) // its caller hears of it; the next in line goes on
      return turn
    },
    async feedAfter(position, limit) {
      const { first, last } = bounds()
      return position > last || position < first - 1 ? undefined : select.feedAfter(position, limit)
    },
    async feedSnapshot() {
      return {
        position: bounds().last,
        snapshot: {
          lots: select.lots().map(lotOf),
          devices: select.devices('', -1).map(deviceOf),
          assignments: select.everyAssignment().map(assignmentOf),
          revocations: select.revocations(now() - revocationKeptMs).map(revocationOf),
        },
      }
    },
    async noteUse(uses) {
      db.transaction(() => {
        for (const [credentialId, atMs] of uses) write.credentialUsed(atMs, credentialId)
      })()
    },
    // The file stays locked until the process ends: libsql keeps it open for its prepared statements.
    close: () => db.close(),
  }

  function bounds(): { first: number; last: number } {
    const [row] = select.feedBounds()
    const last = row?.last ?? 0
    return { first: row?.first ?? last + 1, last }
  }
}

function open(path: string): Database.Database {
  try {
    const db = new Database(path)
    // Exclusive before WAL: the file stays locked until this process ends, however it ends.
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('foreign_keys = ON')
    migrate(db, path)
    return db
  } catch (error) {
    const { code } = error as { code?: unknown } // libsql's errors carry SQLite's word
    if (code === 'SQLITE_BUSY')
      throw new FleetError('store.locked', `another process has ${path} open`, { cause: error })
    if (typeof code !== 'string' || !/^SQLITE_(CANTOPEN|NOTADB|CORRUPT|PERM|READONLY)/.test(code)) throw error
    throw new FleetError('config.invalid', `${path} cannot be opened`, {
      cause: error,
      faults: [`${path}: ${code}`],
    })
  }
}

function conflictOr(error: unknown, change: Change): unknown {
  const { code } = error as { code?: unknown }
  if (code !== 'SQLITE_CONSTRAINT_PRIMARYKEY' || change.newClient === undefined) return error
  const { oauthClientId } = change.newClient
  return new FleetError('request.conflict', `${oauthClientId} is taken`, {
    cause: error,
    safeDetail: `the identifier ${oauthClientId} is taken`,
  })
}
