/**
 * The registry over SQL, written once for both databases: what is asked is in sql-view.ts, what a change leaves behind
 * in sql-writes.ts; connections and transactions are the driver's.
 */

import type { Presence } from '../../core/contract/downlink.ts'
import { FleetError } from '../../core/contract/errors.ts'
import type { FeedSnapshot } from '../../core/contract/feed.ts'
import type { Change, FeedRecord, RegistryRepository, RegistryView, TokenDecision } from './repository.ts'
import { type SqlDriver, type SqlReader, type SqlValue, type Statement, statement } from './sql.ts'
import {
  type AssignmentRow,
  assignmentOf,
  type RecordRow,
  type RevocationRow,
  recordOf,
  revocationOf,
} from './sql-rows.ts'
import { createSqlView } from './sql-view.ts'
import { type Moment, statementsOf } from './sql-writes.ts'

export interface SqlRepositoryOptions {
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** How many events of the feed are kept for followers to resume from. */
  readonly feedEventsKept?: number
}

const hourMs = 3600_000
/** No token lives longer than 24 h, and nobody's clock is believed to be off by more than an hour. */
const revocationKeptMs = 25 * hourMs
const replayKeptMs = 24 * hourMs
const decisionKeptMs = 30 * 24 * hourMs
const decisionsKept = 1_000_000
const decisionsInStatement = 100
/** Rows forgotten in one statement: some milliseconds. */
const prunedAtOnce = 1000
/** The longest window of a quota is a day. */
const countKeptMs = 48 * hourMs
const commandKeptMs = 90 * 24 * hourMs

export function createSqlRepository(driver: SqlDriver, options: SqlRepositoryOptions): RegistryRepository {
  const { now, feedEventsKept = 50_000 } = options

  return {
    ...createSqlView(driver, now),

    change(decide) {
      return driver.change(async (change) => {
        const view = createSqlView(change, now)
        const { changes = [], answer } = await decide(view)
        if (changes.length === 0) return answer
        await refuseTaken(view, changes)
        const known = await knownFor(change, changes)
        await change.commit((atMs) => statementsOf(changes, { ...known, atMs }))
        return answer
      })
    },
    onCommit: (listener) => driver.onCommit(listener),

    async feedAfter(position, limit) {
      const [bounds, records] = (await driver.allAtOnce([
        boundsStatement,
        statement(
          'SELECT position, type, data FROM feed WHERE position > ? ORDER BY position LIMIT ?',
          position,
          limit,
        ),
      ])) as [BoundsRow[], FeedRecord[]]
      const { first, last } = boundsOf(bounds)
      return position > last || position < first - 1 ? undefined : records
    },
    async feedSnapshot() {
      const [bounds, lots, devices, assignments, revocations, configs, commands, presence] =
        (await driver.allAtOnce([boundsStatement, ...snapshotStatements(now() - revocationKeptMs)])) as [
          BoundsRow[],
          RecordRow[],
          RecordRow[],
          AssignmentRow[],
          RevocationRow[],
          RecordRow[],
          RecordRow[],
          RecordRow[],
        ]
      const snapshot: FeedSnapshot = {
        lots: lots.map((row) => recordOf(row)),
        devices: devices.map((row) => recordOf(row)),
        assignments: assignments.map(assignmentOf),
        revocations: revocations.map(revocationOf),
        configs: configs.map((row) => recordOf(row)),
        commands: commands.map((row) => recordOf(row)),
        presence: presence.map((row) => recordOf<Presence>(row)),
      }
      return { position: boundsOf(bounds).last, snapshot }
    },

    async noteUse(uses) {
      await driver.run(
        // In one order everywhere: two processes that note the same never wait for each other.
        inOrder([...uses]).map(([credentialId, atMs]) =>
          statement('UPDATE credentials SET last_used_at_ms = ? WHERE credential_id = ?', atMs, credentialId),
        ),
        { durable: false },
      )
    },
    async useOnce(id, expiresAtMs) {
      const sql = 'INSERT INTO used_ids (id, expires_at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING'
      return (await driver.runOne(statement(sql, id, expiresAtMs))) === 1
    },
    countTokens: (counts) => driver.countTokens(counts),

    async addDecisions(decisions) {
      await driver.run(decisionStatements(decisions), { durable: false })
    },
    async findDecision(decisionId) {
      const sql = 'SELECT record FROM decisions WHERE decision_id = ?'
      return (await driver.all<RecordRow>(sql, decisionId)).map((row) => recordOf<TokenDecision>(row))[0]
    },
    async decisions({ before, limit, oauthClientId, outcome }) {
      const conditions = ['at_ms < ?']
      const values: SqlValue[] = [before ?? Number.MAX_SAFE_INTEGER]
      if (oauthClientId !== undefined) {
        conditions.push('oauth_client_id = ?')
        values.push(oauthClientId)
      }
      if (outcome !== undefined) {
        conditions.push('outcome = ?')
        values.push(outcome)
      }
      const sql = `SELECT record FROM decisions WHERE ${conditions.join(' AND ')}
        ORDER BY at_ms DESC, decision_number DESC LIMIT ?`
      return (await driver.all<RecordRow>(sql, ...values, limit)).map((row) => recordOf<TokenDecision>(row))
    },

    async prune() {
      for (const { table, key, where, value } of prunedOf(now(), feedEventsKept)) {
        const sql = `DELETE FROM ${table} WHERE (${key}) IN
          (SELECT ${key} FROM ${table} WHERE ${where} ORDER BY ${key} LIMIT ${prunedAtOnce})`
        // Others have their turn in between: a day's records in one statement held up everybody.
        while ((await driver.runOne(statement(sql, value))) === prunedAtOnce);
      }
    },
    close: () => driver.close(),
  }
}

interface BoundsRow {
  first: number | null
  last: number | null
}

/** Of what is committed: the newest event is never pruned, so that the last position is always known. */
const boundsStatement = statement('SELECT min(position) AS first, max(position) AS last FROM feed')

function boundsOf([row]: readonly BoundsRow[]): { first: number; last: number } {
  const last = row?.last ?? 0
  return { first: row?.first ?? last + 1, last }
}

function snapshotStatements(revokedSinceMs: number): Statement[] {
  return [
    statement('SELECT record FROM lots ORDER BY lot_id'),
    statement('SELECT record FROM devices ORDER BY device_id'),
    statement('SELECT * FROM assignments ORDER BY device_id, from_ms'),
    statement(
      `SELECT r.kind, coalesce(c.issuer_client_id, r.subject) AS subject, r.at_ms FROM revocations r
       LEFT JOIN clients c ON r.kind = 'client' AND c.oauth_client_id = r.subject
       WHERE r.at_ms >= ? ORDER BY r.at_ms, r.subject`,
      revokedSinceMs,
    ),
    statement('SELECT record FROM configs ORDER BY device_id'),
    statement(
      "SELECT record FROM commands WHERE state IN ('pending', 'delivered') ORDER BY created_at_ms, command_id",
    ),
    statement('SELECT record FROM presence WHERE connected = 1 ORDER BY device_id'),
  ]
}

/** Many in one statement: each on its own, they take half as long again. */
function decisionStatements(decisions: readonly TokenDecision[]): Statement[] {
  const statements: Statement[] = []
  for (let i = 0; i < decisions.length; i += decisionsInStatement) {
    const some = decisions.slice(i, i + decisionsInStatement)
    const rows = some.map(() => '(?, ?, ?, ?, ?)').join(', ')
    const values: SqlValue[] = []
    for (const decision of some) {
      const { decisionId, atMs, outcome, oauthClientId } = decision
      values.push(decisionId, atMs, outcome, oauthClientId ?? null, JSON.stringify(decision))
    }
    statements.push(
      statement(
        // Whose answer got lost comes again with the same ones.
        `INSERT INTO decisions (decision_id, at_ms, outcome, oauth_client_id, record) VALUES ${rows}
         ON CONFLICT DO NOTHING`,
        ...values,
      ),
    )
  }
  return statements
}

interface Pruned {
  readonly table: string
  /** What its rows are told apart by. */
  readonly key: string
  readonly where: string
  readonly value: number
}

/** What nobody can ask for any more. */
function prunedOf(nowMs: number, feedEventsKept: number): readonly Pruned[] {
  const decisions = { table: 'decisions', key: 'decision_number' }
  return [
    {
      table: 'feed',
      key: 'position',
      where: 'position <= (SELECT max(position) FROM feed) - ?',
      value: feedEventsKept,
    },
    { table: 'revocations', key: 'kind, subject', where: 'at_ms < ?', value: nowMs - revocationKeptMs },
    { table: 'used_ids', key: 'id', where: 'expires_at_ms < ?', value: nowMs - hourMs },
    { table: 'replays', key: 'actor, request_key', where: 'at_ms < ?', value: nowMs - replayKeptMs },
    {
      table: 'token_counts',
      key: 'counter, window_start_ms',
      where: 'window_start_ms < ?',
      value: nowMs - countKeptMs,
    },
    { ...decisions, where: 'at_ms < ?', value: nowMs - decisionKeptMs },
    {
      ...decisions,
      where: 'decision_number <= (SELECT max(decision_number) FROM decisions) - ?',
      value: decisionsKept,
    },
    {
      table: 'commands',
      key: 'command_id',
      where: "state NOT IN ('pending', 'delivered') AND created_at_ms < ?",
      value: nowMs - commandKeptMs,
    },
  ]
}

function inOrder(uses: readonly (readonly [string, number])[]): readonly (readonly [string, number])[] {
  return uses.toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** Nobody else changes anything meanwhile, so what is free now is free at the commit. */
async function refuseTaken(view: RegistryView, changes: readonly Change[]): Promise<void> {
  const wanted = new Set<string>()
  for (const { newClient } of changes) {
    if (newClient === undefined) continue
    const { oauthClientId } = newClient
    if (wanted.has(oauthClientId) || (await view.findClient(oauthClientId)) !== undefined)
      throw new FleetError('request.conflict', `${oauthClientId} is taken`, {
        safeDetail: `the identifier ${oauthClientId} is taken`,
      })
    wanted.add(oauthClientId)
  }
}

/** What the statements need to know of the present, read where it cannot change any more. */
async function knownFor(db: SqlReader, changes: readonly Change[]): Promise<Omit<Moment, 'atMs'>> {
  const issuerClientIds = new Map<string, string>()
  for (const { revocations = [] } of changes) {
    for (const target of revocations) {
      if (target.of !== 'client') continue
      const sql = 'SELECT issuer_client_id AS id FROM clients WHERE oauth_client_id = ?'
      const [row] = await db.all<{ id: string | null }>(sql, target.oauthClientId)
      if (row?.id != null) issuerClientIds.set(target.oauthClientId, row.id)
    }
  }
  if (!changes.some(({ newAlarm }) => newAlarm !== undefined)) return { issuerClientIds, nextAlarmId: 0 }
  const [newest] = await db.all<{ id: number | null }>('SELECT max(alarm_id) AS id FROM alarms')
  return { issuerClientIds, nextAlarmId: (newest?.id ?? 0) + 1 }
}
