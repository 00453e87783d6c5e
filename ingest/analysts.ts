/** What analysts may do beyond plain questions, put together from its parts. */
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Revocations } from '../core/auth/revocations.ts'
import type { Door } from '../core/runtime/door.ts'
import type { IngestConfig } from './config.ts'
import type { Ledger } from './ledger.ts'
import { Live } from './live.ts'
import { addLiveRoutes } from './live-routes.ts'
import type { Places } from './places.ts'
import { Snapshots } from './snapshots.ts'
import { createSqlRunner, type SqlLimits } from './sql.ts'
import { addSqlRoutes } from './sql-routes.ts'
import type { Store, StoredReading } from './store/store.ts'

/** A sign of life for listeners, below what proxies wait for. */
const liveBeatMs = 10_000
/** A listener whose token was revoked is cut within it. */
const liveSweepMs = 500

export interface AnalystsOptions {
  readonly config: IngestConfig
  readonly door: Door
  readonly store: Store
  readonly places: Places
  readonly ledger: Ledger
  readonly revocations: Revocations
  /** Distinguishes this run of the program. */
  readonly run: string
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

export interface Analysts {
  /** Readings were committed. */
  stored(readings: readonly StoredReading[]): void
  /** Before the server stops: whoever listens is told. */
  stop(): void
  /** When no request is under way any more. */
  close(): void
}

export function addAnalysts(server: FastifyInstance, options: AnalystsOptions): Analysts {
  const { config, door, store, places, ledger, revocations, run, now, nowMs } = options
  const snapshots =
    store.days?.hasSegments === true
      ? new Snapshots({
          days: store.days,
          folder: join(config.exportsDir, 'snapshots'),
          ageMaxMs: config.sqlSnapshotAgeSec * 1000,
          nowMs,
        })
      : undefined
  const runner = snapshots && createSqlRunner({ snapshots, tables: { places, ledger, now } })
  addSqlRoutes(server, {
    door,
    runner,
    folder: join(config.exportsDir, 'queries'),
    limits: sqlLimitsOf(config),
    atOnceMax: config.sqlAtOnceMax,
  })
  const live = new Live({
    readingsMax: config.liveReadingsMax,
    listenersMax: config.liveListenersMax,
    stallMs: config.liveStallSec * 1000,
    run,
    nowMs,
    soon: setImmediate,
  })
  addLiveRoutes(server, {
    door,
    live,
    places,
    ending(principal) {
      if (revocations.isRevoked(principal)) return 'token.revoked'
      return now() > (principal.expiresAtSec + config.skewSec) * 1000 ? 'token.expired' : undefined
    },
  })
  const beats = setInterval(() => live.beat(), liveBeatMs)
  const sweeps = setInterval(() => live.sweep(), liveSweepMs)
  return {
    stored: (readings) => live.add(readings),
    stop() {
      clearInterval(beats)
      clearInterval(sweeps)
      live.stop()
    },
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
