/** What analysts may do beyond plain questions, put together from its parts. */
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Door } from '../core/runtime/door.ts'
import type { IngestConfig } from './config.ts'
import type { Ledger } from './ledger.ts'
import type { Places } from './places.ts'
import { Snapshots } from './snapshots.ts'
import { createSqlRunner, type SqlLimits } from './sql.ts'
import { addSqlRoutes } from './sql-routes.ts'
import type { Store } from './store/store.ts'

export interface AnalystsOptions {
  readonly config: IngestConfig
  readonly door: Door
  readonly store: Store
  readonly places: Places
  readonly ledger: Ledger
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

export interface Analysts {
  /** When no request is under way any more. */
  close(): void
}

export function addAnalysts(server: FastifyInstance, options: AnalystsOptions): Analysts {
  const { config, door, store, places, ledger, now, nowMs } = options
  const snapshots =
    store.days &&
    new Snapshots({
      days: store.days,
      folder: join(config.exportsDir, 'snapshots'),
      ageMaxMs: config.sqlSnapshotAgeSec * 1000,
      nowMs,
    })
  const runner = snapshots && createSqlRunner({ snapshots, tables: { places, ledger, now } })
  addSqlRoutes(server, {
    door,
    runner,
    folder: join(config.exportsDir, 'queries'),
    limits: sqlLimitsOf(config),
    atOnceMax: config.sqlAtOnceMax,
  })
  return {
    close() {
      snapshots?.close()
    },
  }
}

function sqlLimitsOf(config: IngestConfig): SqlLimits {
  return {
    timeoutMs: config.sqlTimeoutSec * 1000,
    memoryMb: config.sqlMemoryMb,
    spillMb: config.sqlSpillMb,
    resultMb: config.sqlResultMb,
    rowsMax: config.sqlRowsMax,
    threads: config.sqlThreads,
  }
}
