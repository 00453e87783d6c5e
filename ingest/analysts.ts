/** What analysts may do beyond plain questions, put together from its parts. */
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Revocations } from '../core/auth/revocations.ts'
import type { LotId } from '../core/contract/device.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { LatestRow } from '../core/contract/query.ts'
import type { Door } from '../core/runtime/door.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Answers } from './answers.ts'
import type { IngestConfig } from './config.ts'
import { addExportRoutes } from './export-routes.ts'
import { Exports } from './exports.ts'
import { addFeedRoutes } from './feed-routes.ts'
import type { Feed } from './feeds/feed.ts'
import type { Ledger } from './ledger.ts'
import { Live } from './live.ts'
import { addLiveRoutes } from './live-routes.ts'
import type { Places } from './places.ts'
import { Snapshots } from './snapshots.ts'
import { createSqlRunner, type SqlLimits } from './sql.ts'
import { addSqlRoutes } from './sql-routes.ts'
import type { Store, StoredReading } from './store/store.ts'
import { Zone } from './zone.ts'

/** A sign of life for listeners, below what proxies wait for. */
const liveBeatMs = 10_000
/** A listener whose token was revoked is cut within it. */
const liveSweepMs = 500
const exportSweepMs = 60_000
/** An export has as many rows as there are. */
const exportRowsMax = 1_000_000_000_000

export interface AnalystsOptions {
  readonly config: IngestConfig
  readonly door: Door
  readonly store: Store
  readonly places: Places
  readonly ledger: Ledger
  readonly revocations: Revocations
  readonly answers: Answers
  readonly feeds: readonly Feed[]
  readonly log: Log
  /** The file of the program that answers a SELECT. */
  readonly sqlProgram: string
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
  /** Before the server stops: whoever listens is told, and exports begin anew at the next start. */
  stop(): Promise<void>
  /** When no request is under way any more. */
  close(): void
}

export function addAnalysts(server: FastifyInstance, options: AnalystsOptions): Analysts {
  const { config, door, store, places, ledger, revocations, answers, feeds, log, run, now, nowMs } = options
  const { sqlProgram } = options
  const snapshots =
    store.days?.hasSegments === true
      ? new Snapshots({
          days: store.days,
          folder: join(config.exportsDir, 'snapshots'),
          ageMaxMs: config.sqlSnapshotAgeSec * 1000,
          nowMs,
        })
      : undefined
  const runner =
    snapshots && createSqlRunner({ snapshots, tables: { places, ledger, now }, program: sqlProgram })
  addSqlRoutes(server, {
    door,
    runner,
    folder: join(config.exportsDir, 'queries'),
    limits: sqlLimitsOf(config),
    atOnceMax: config.sqlAtOnceMax,
  })
  const exports =
    runner &&
    new Exports({
      runner,
      folder: join(config.exportsDir, 'jobs'),
      limits: {
        ...sqlLimitsOf(config),
        timeoutMs: config.exportTimeoutSec * 1000,
        memoryMb: config.exportMemoryMb,
        resultMb: config.exportResultMb,
        rowsMax: exportRowsMax,
      },
      perClientMax: config.exportsPerClientMax,
      jobsMax: config.exportsMax,
      keptMb: config.exportsKeptMb,
      keptMs: config.exportsKeptHours * 3600_000,
      log,
      now,
    })
  addExportRoutes(server, {
    door,
    exports,
    fetchesMax: config.exportFetchesMax,
    stallMs: config.liveStallSec * 1000,
    now,
  })
  addFeedRoutes(server, {
    door,
    feeds,
    isPublic: config.feedsPublic,
    cityId: config.feedCityId,
    async latest(principal = everybody, signal) {
      const found = await answers.latest(everyLot, { principal, zone: new Zone('UTC'), signal })
      return found.rows as readonly LatestRow[] // latest has them all at once
    },
    lotOf: (lotId) => places.lot(lotId as LotId), // of a row, which has it from there
    now,
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
  const expiries = setInterval(() => exports?.sweep(), exportSweepMs)
  return {
    stored: (readings) => live.add(readings),
    async stop() {
      for (const timer of [beats, sweeps, expiries]) clearInterval(timer)
      live.stop()
      await exports?.stop()
    },
    close() {
      snapshots?.close()
    },
  }
}

const everyLot = { lots: undefined, devices: undefined, tags: undefined }

/** Who asks for a feed that is open: every lot, and no more than a feed says of it. */
const everybody: Principal = {
  issuer: '',
  subject: 'everybody',
  oauthClientId: 'everybody',
  tokenId: '',
  issuedAtSec: 0,
  expiresAtSec: 0,
  scopes: new Set(['read:readings']),
  deviceId: undefined,
  credentialId: undefined,
  acl: undefined,
  lots: undefined,
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
