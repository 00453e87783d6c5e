/**
 * What the console remembers, in `console.db`: accounts, who is signed in, and what they did. Never a password, a
 * token or the identifier in a cookie: hashes of them. One process, statements run synchronously.
 */
import { createHash } from 'node:crypto'
import Database from 'libsql'
import { FleetError } from '../../core/contract/errors.ts'
import type { Role } from '../roles.ts'
import type { Account, ConsoleEvent } from '../wire.ts'

export interface StoredAccount {
  readonly name: string
  readonly role: Role
  /** Undefined: every lot. */
  readonly lots?: readonly string[] | undefined
  readonly passwordHash: string | null
  readonly createdAtMs: number
}

/** A person signed in, as long as it lasts. */
export interface SignIn {
  readonly person: string
  readonly role: Role
  /** Undefined: every lot. */
  readonly lots?: readonly string[] | undefined
  /** The local account; undefined: a provider says who they are. */
  readonly account: string | undefined
  readonly sinceMs: number
  readonly lastSeenMs: number
}

export interface ConsoleStore {
  findAccount(name: string): StoredAccount | undefined
  /** The administrator who was there first. */
  firstAdmin(): StoredAccount | undefined
  accounts(): Account[]
  /** Makes it, or replaces what is known of it. */
  putAccount(account: StoredAccount): void
  /** It and where it is signed in. */
  removeAccount(name: string): void

  addSignIn(id: string, signIn: SignIn): void
  findSignIn(id: string): SignIn | undefined
  seen(id: string, nowMs: number): void
  removeSignIn(id: string): void
  /** Everywhere but at `exceptId`. */
  removeSignInsOf(account: string, exceptId?: string): void
  /** Those not seen since, and those that began before. */
  removeSignInsBefore(times: { seenMs: number; sinceMs: number }): void

  addEvent(event: Omit<ConsoleEvent, 'eventId'>): void
  /** Newest first. */
  events(options: { before: number | undefined; limit: number }): ConsoleEvent[]
  close(): void
}

/** Beyond it the oldest go. */
const eventsMax = 50_000

const schema = `
CREATE TABLE IF NOT EXISTS accounts (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, password_hash TEXT, created_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sign_ins (
  id_hash TEXT PRIMARY KEY, person TEXT NOT NULL, role TEXT NOT NULL, account TEXT,
  since_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS sign_ins_by_account ON sign_ins (account);
CREATE TABLE IF NOT EXISTS events (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, person TEXT NOT NULL,
  verb TEXT NOT NULL, subject TEXT NOT NULL, address TEXT NOT NULL) STRICT;
`
/** What came later, by table: a list of lots as JSON, null for all of them. */
const added = ['accounts', 'sign_ins'].map((table) => ({ table, column: 'lots', type: 'TEXT' }))

type Row = Readonly<Record<string, unknown>>

/** @throws FleetError `store.locked`, `config.invalid` when the file cannot be opened */
export function openConsoleStore(path: string): ConsoleStore {
  const db = open(path)
  const all = (sql: string, ...values: unknown[]) => db.prepare(sql).all(values) as Row[]
  const one = (sql: string, ...values: unknown[]) => all(sql, ...values)[0]
  const run = (sql: string, ...values: unknown[]) => db.prepare(sql).run(values)
  const hashOf = (id: string) => createHash('sha256').update(id).digest('hex')
  // Of an account what it says now holds.
  const signInQuery = `SELECT person, coalesce(accounts.role, sign_ins.role) AS role,
      CASE WHEN accounts.name IS NULL THEN sign_ins.lots ELSE accounts.lots END AS lots,
      account, since_ms, last_seen_ms
    FROM sign_ins LEFT JOIN accounts ON accounts.name = sign_ins.account`

  return {
    findAccount: (name) => accountOf(one('SELECT * FROM accounts WHERE name = ?', name)),
    firstAdmin: () =>
      accountOf(one("SELECT * FROM accounts WHERE role = 'admin' ORDER BY created_at_ms, name LIMIT 1")),
    accounts: () =>
      all(`SELECT accounts.*, (SELECT max(last_seen_ms) FROM sign_ins WHERE account = accounts.name) AS seen_ms
        FROM accounts ORDER BY name`).map(shownAccount),
    putAccount: ({ name, role, lots, passwordHash, createdAtMs }) =>
      void run(
        `INSERT INTO accounts (name, role, password_hash, created_at_ms, lots) VALUES (?, ?, ?, ?, ?)
          ON CONFLICT (name) DO UPDATE
          SET role = excluded.role, password_hash = excluded.password_hash, lots = excluded.lots`,
        name,
        role,
        passwordHash,
        createdAtMs,
        textOf(lots),
      ),
    removeAccount(name) {
      run('DELETE FROM sign_ins WHERE account = ?', name)
      run('DELETE FROM accounts WHERE name = ?', name)
    },

    addSignIn: (id, { person, role, lots, account, sinceMs, lastSeenMs }) =>
      void run(
        `INSERT INTO sign_ins (id_hash, person, role, account, since_ms, last_seen_ms, lots)
          VALUES (?, ?, ?, ?, ?, ?, ?)`,
        hashOf(id),
        person,
        role,
        account ?? null,
        sinceMs,
        lastSeenMs,
        textOf(lots),
      ),
    findSignIn: (id) => signInOf(one(`${signInQuery} WHERE id_hash = ?`, hashOf(id))),
    seen: (id, nowMs) =>
      void run('UPDATE sign_ins SET last_seen_ms = ? WHERE id_hash = ?', nowMs, hashOf(id)),
    removeSignIn: (id) => void run('DELETE FROM sign_ins WHERE id_hash = ?', hashOf(id)),
    removeSignInsOf: (account, exceptId = '') =>
      void run('DELETE FROM sign_ins WHERE account = ? AND id_hash <> ?', account, hashOf(exceptId)),
    removeSignInsBefore: ({ seenMs, sinceMs }) =>
      void run('DELETE FROM sign_ins WHERE last_seen_ms < ? OR since_ms < ?', seenMs, sinceMs),

    addEvent({ atMs, person, verb, subject, address }) {
      const { lastInsertRowid } = run(
        'INSERT INTO events (at_ms, person, verb, subject, address) VALUES (?, ?, ?, ?, ?)',
        atMs,
        person,
        verb,
        subject,
        address,
      )
      run('DELETE FROM events WHERE event_id <= ?', Number(lastInsertRowid) - eventsMax)
    },
    events: ({ before, limit }) =>
      all(
        'SELECT * FROM events WHERE event_id < ? ORDER BY event_id DESC LIMIT ?',
        before ?? Number.MAX_SAFE_INTEGER,
        limit,
      ).map((row) => ({
        eventId: Number(row.event_id),
        atMs: Number(row.at_ms),
        person: String(row.person),
        verb: String(row.verb),
        subject: String(row.subject),
        address: String(row.address),
      })),
    close: () => db.close(),
  }
}

function open(path: string): Database.Database {
  try {
    const db = new Database(path)
    db.pragma('locking_mode = EXCLUSIVE')
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.exec(schema)
    for (const { table, column, type } of added) {
      const known = db.prepare('SELECT 1 FROM pragma_table_info(?) WHERE name = ?').all([table, column])
      if (known.length === 0) db.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`)
    }
    return db
  } catch (cause) {
    const isLocked = /BUSY|LOCKED/.test(String((cause as { code?: unknown }).code))
    throw isLocked
      ? new FleetError('store.locked', `${path} is open in another process`, { cause })
      : new FleetError('config.invalid', `${path} cannot be opened`, {
          cause,
          faults: [`${path}: ${(cause as Error).message}`],
        })
  }
}

function accountOf(row: Row | undefined): StoredAccount | undefined {
  if (row === undefined) return undefined
  return {
    name: String(row.name),
    role: row.role as Role, // written from one
    lots: lotsOf(row.lots),
    passwordHash: row.password_hash === null ? null : String(row.password_hash),
    createdAtMs: Number(row.created_at_ms),
  }
}

function shownAccount(row: Row): Account {
  const lots = lotsOf(row.lots)
  return {
    name: String(row.name),
    role: row.role as Role, // written from one
    ...(lots === undefined ? {} : { lots }),
    hasPassword: row.password_hash !== null,
    createdAtMs: Number(row.created_at_ms),
    lastSeenAtMs: row.seen_ms === null ? null : Number(row.seen_ms),
  }
}

function signInOf(row: Row | undefined): SignIn | undefined {
  if (row === undefined) return undefined
  return {
    person: String(row.person),
    role: row.role as Role, // written from one
    lots: lotsOf(row.lots),
    account: row.account === null ? undefined : String(row.account),
    sinceMs: Number(row.since_ms),
    lastSeenMs: Number(row.last_seen_ms),
  }
}

function textOf(lots: readonly string[] | undefined): string | null {
  return lots === undefined ? null : JSON.stringify(lots)
}

function lotsOf(text: unknown): string[] | undefined {
  return typeof text === 'string' ? (JSON.parse(text) as string[]) : undefined // written by textOf
}
