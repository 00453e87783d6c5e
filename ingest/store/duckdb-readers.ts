/**
 * Connections for questions, so that these do not wait for commits: a few, and who finds none idle waits in order. A
 * question whose client has left is interrupted, and one that still waits gives its place up.
 */
import type {
  DuckDBConnection,
  DuckDBInstance,
  DuckDBMaterializedResult,
  DuckDBValue,
} from '@duckdb/node-api'
import { FleetError } from '../../core/contract/errors.ts'
import { interruptWhen } from '../interrupt.ts'

export type Row = readonly unknown[]

export type Ask = (
  sql: string,
  /** Undefined: it has none, and is asked at once rather than prepared first. */
  values: Record<string, DuckDBValue> | undefined,
  signal?: AbortSignal,
) => Promise<readonly Row[]>

export interface Readers {
  /**
   * @throws FleetError `system.busy` when too many wait; the signal's reason when that has fired; else what DuckDB throws
   */
  readonly ask: Ask
  close(): void
}

/** Questions that may wait for a connection; more are told to come back. */
const waitingMax = 64

export async function openReaders(database: DuckDBInstance, count: number): Promise<Readers> {
  const all = await Promise.all(Array.from({ length: count }, () => database.connect()))
  const idle = [...all]
  const waiting = new Set<(connection: DuckDBConnection) => void>()

  async function take(signal: AbortSignal | undefined): Promise<DuckDBConnection> {
    const connection = idle.pop()
    if (connection !== undefined) return connection
    if (waiting.size >= waitingMax)
      throw new FleetError('system.busy', 'too many questions at once', {
        safeDetail: 'too many questions at once',
      })
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        waiting.delete(onFree)
        reject(signal?.reason)
      }
      const onFree = (freed: DuckDBConnection) => {
        signal?.removeEventListener('abort', onAbort)
        resolve(freed)
      }
      waiting.add(onFree)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  function giveBack(connection: DuckDBConnection): void {
    const [next] = waiting
    if (next === undefined) {
      idle.push(connection)
      return
    }
    waiting.delete(next)
    next(connection)
  }

  return {
    async ask(sql, values, signal) {
      signal?.throwIfAborted()
      const connection = await take(signal)
      const isOver = interruptWhen(signal, connection)
      try {
        return rowsOf(await connection.run(sql, values))
      } catch (error) {
        // Interrupted: the reason is the caller's, not the database's.
        throw signal?.aborted === true ? signal.reason : error
      } finally {
        isOver()
        giveBack(connection)
      }
    },

    close() {
      for (const connection of all) connection.closeSync()
    },
  }
}

/** All of it is there: reading it as a stream would take a turn of the event loop for each chunk. */
function rowsOf(result: DuckDBMaterializedResult): Row[] {
  const rows: Row[] = []
  for (let i = 0; i < result.chunkCount; i++) for (const row of result.getChunk(i).getRows()) rows.push(row)
  return rows
}
