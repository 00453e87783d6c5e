/**
 * SQL as both databases understand it: statements with `?` for values, text, whole numbers and bytes. What differs
 * between them, connections and transactions, is each driver's (sqlite.ts, postgres.ts).
 */

export type SqlValue = string | number | Uint8Array | null

export interface Statement {
  readonly sql: string
  readonly values: readonly SqlValue[]
}

export interface SqlReader {
  /** The shape of a row is the statement's. Whole numbers come as numbers, bytes as a Uint8Array. */
  all<Row>(sql: string, ...values: SqlValue[]): Promise<Row[]>
}

/** One change at a time, of all processes: what is read here stays true until `commit`. */
export interface SqlChange extends SqlReader {
  /**
   * Runs the statements in order, all or nothing.
   * @param build is given the moment of the commit, Unix milliseconds
   */
  commit(build: (atMs: number) => readonly Statement[]): Promise<void>
}

export interface SqlDriver extends SqlReader {
  /** Rows of several statements, all of one state. */
  allAtOnce(statements: readonly Statement[]): Promise<unknown[][]>
  change<Answer>(work: (change: SqlChange) => Promise<Answer>): Promise<Answer>
  /** Statements in one transaction that bears on no other: usage, decisions, used identifiers. */
  run(statements: readonly Statement[], options?: { durable: boolean }): Promise<void>
  /** @returns how many rows the statement changed; durable when it resolves */
  runOne(statement: Statement): Promise<number>
  /** Counts tokens, as the port says. */
  countTokens(counts: readonly { counter: string; windowStartMs: number; add: number }[]): Promise<number[]>
  /** Calls back after commits of other processes too. */
  onCommit(listener: () => void): () => void
  close(): Promise<void>
}

export function statement(sql: string, ...values: SqlValue[]): Statement {
  return { sql, values }
}
