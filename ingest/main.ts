/** Ingest's front door: picks the parts, starts them, stops them. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Revocations } from '../core/auth/revocations.ts'
import { createTokenSource } from '../core/auth/token-source.ts'
import { createVerifier, type Fetch } from '../core/auth/verifier.ts'
import { FleetError } from '../core/contract/errors.ts'
import { actorOf, lotsHeader, personHeader } from '../core/contract/on-behalf.ts'
import { audiences, type Principal } from '../core/contract/principal.ts'
import { awaitCredentialFile, readCredentialFile } from '../core/runtime/credential.ts'
import { createDoor } from '../core/runtime/door.ts'
import { followFeed } from '../core/runtime/feed.ts'
import { authoritiesOfOthers, createApi, createFetch } from '../core/runtime/fetch.ts'
import { createServer, listen } from '../core/runtime/http.ts'
import { loadSettingsSource, type Running, runProgram } from '../core/runtime/lifecycle.ts'
import { createLog } from '../core/runtime/log.ts'
import { addMetrics } from '../core/runtime/metrics.ts'
import { tlsFilesOf } from '../core/runtime/settings.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'
import packageFile from '../package.json' with { type: 'json' }
import { addAnalysts } from './analysts.ts'
import { parquetFilesFor } from './answer-form.ts'
import { Answers } from './answers.ts'
import type { Archive } from './archive/archive.ts'
import { createFolderArchive } from './archive/folder.ts'
import { createHttpsArchive } from './archive/https.ts'
import { createS3Archive } from './archive/s3.ts'
import { addBackupRoutes } from './backup-routes.ts'
import { createBackups } from './backups.ts'
import { type IngestConfig, readIngestConfig } from './config.ts'
import { startDayKeeper } from './day-keeper.ts'
import { DeviceAnswers } from './device-answers.ts'
import { createDisk } from './disk.ts'
import { hear } from './feed.ts'
import { createParkApiFeed } from './feeds/parkapi.ts'
import { Fleet } from './fleet.ts'
import { createIntake } from './intake.ts'
import { addIntakeRoutes } from './intake-routes.ts'
import { createKeeper } from './keeper.ts'
import { Ledger } from './ledger.ts'
import { addLimits } from './limits.ts'
import { createIngestMetrics } from './metrics.ts'
import { Newest } from './newest.ts'
import { Places } from './places.ts'
import { addQuarantineRoutes } from './quarantine-routes.ts'
import { Reporter } from './report.ts'
import { addQueryRoutes } from './routes.ts'
import { createTickCounter } from './schedule.ts'
import { Scope } from './scope.ts'
import { createSegmentCache } from './segment-cache.ts'
import { SeriesAnswers } from './series-answers.ts'
import { Statuses } from './statuses.ts'
import { openDuckDB } from './store/duckdb.ts'
import { openInflux } from './store/influx.ts'
import type { Store, StoredState } from './store/store.ts'
import { StuckWatch } from './stuck.ts'
import { startStuckKeeper } from './stuck-keeper.ts'

const keysRefreshMs = 300_000
const sweepMs = 60_000
const pruneMs = 3600_000
const dayMs = 86_400_000
/** The stored ledger may double and have this many rows more before it is written anew at start. */
const ledgerRowsSpare = 10_000
const monotonic = () => performance.now()
/** Nothing in here can change it: the pool is there before the first line of a program runs. */
const poolThreads = Number(process.env.UV_THREADPOOL_SIZE) || undefined

const log = createLog({ program: 'ingest' })
runProgram(log, async () => start(readIngestConfig(loadSettingsSource(process.env))))

async function start(config: IngestConfig): Promise<Running> {
  const log = createLog({ program: 'ingest', level: config.logLevel })
  const tls = tlsFilesOf(config)
  for (const [url, setting] of [
    [config.issuerUrl, 'LOTWATCH_INGEST_ISSUER_URL'],
    [config.provisioningUrl, 'LOTWATCH_INGEST_PROVISIONING_URL'],
  ] as const) {
    requireTlsUrl(url, { setting, insecure: config.insecure })
  }
  const ca = config.caFile === undefined ? undefined : readFileSync(config.caFile, 'utf8')
  const fetch = createFetch({ ca })
  // An archive and InfluxDB may be anybody's.
  const caOfOthers = authoritiesOfOthers(ca)
  const fetchOthers = createFetch({ ca: caOfOthers })
  const archive = openArchive(config, fetchOthers)
  const store = await openStore(config, { ca: caOfOthers, fetch: fetchOthers, archive })
  const state = await store.load()
  const ledger = await loadLedger(store, state, config)
  const newest = new Newest({ store, ledger })
  const statuses = new Statuses()
  statuses.load(state.statuses, state.schedules)
  const places = new Places()
  const stuck = new StuckWatch()
  const fleet = new Fleet()
  const kept = await store.loadPlaces()
  places.replace(kept.lots, kept.assignments)
  fleet.replaceDevices(kept.devices)
  fleet.loadPresence(state.presence)

  const verifier = createVerifier({
    issuers: [
      { issuer: config.issuerUrl, algorithms: ['ES256'], dialect: 'rfc9068', audience: audiences.ingest },
    ],
    fetch,
    now: Date.now,
    clockToleranceSec: config.skewSec,
  })
  const revocations = new Revocations()
  const keeper = createKeeper({ store, places, fleet, log })
  const feed = followFeed({
    // Not awaited: the program is up before provisioning has written the credential.
    api: awaitCredentialFile(config.credentialFile, { log, waitMs: Number.POSITIVE_INFINITY }).then(
      (credential) =>
        createApi({
          baseUrl: config.provisioningUrl,
          tokens: createTokenSource({
            credential,
            audience: audiences.provisioning,
            fetch,
            nowMs: monotonic,
            random: Math.random,
          }),
          fetch,
          unavailable: 'provisioning.unavailable',
        }),
    ),
    revocations,
    onEvent(event) {
      keeper.heard(hear({ places, fleet }, event, Date.now()))
    },
    log,
    random: Math.random,
    nowMs: monotonic,
    ageMaxMs: config.feedAgeMaxSec * 1000,
  })

  const intake = createIntake({
    store,
    ledger,
    statuses,
    hash: (data) => createHash('sha256').update(data).digest('hex'),
    handoversWaitingMax: config.handoversWaitingMax,
    commitMessagesMax: config.commitMessagesMax,
    nowMs: monotonic,
    onCommit(decision, tookMs) {
      const { verdicts, readings, quarantine } = decision
      metrics.committed(decision, tookMs)
      newest.took(readings)
      analysts.stored(readings)
      log.debug('batch.stored', { messages: verdicts.length, readings: readings.length, tookMs })
      if (quarantine.length > 0) {
        const reasons = [...new Set(quarantine.map(({ reason }) => reason))]
        log.warn('readings.quarantined', { entries: quarantine.length, reasons })
      }
    },
    onFatal: crash,
  })
  const server = createServer({
    log,
    tls,
    async readiness() {
      await verifier.preload()
      if (!feed.isKnown())
        throw new FleetError('provisioning.unavailable', 'the feed has not been heard lately')
      await store.check()
    },
  })
  const disk = createDisk(usesOf(config), dirname(config.databaseFile))
  const metrics = createIngestMetrics(addMetrics(server), disk)
  const door = createDoor({ verifier, revocations, isFeedKnown: feed.isKnown, now: Date.now })
  await addLimits(server, {
    clientOf: (request) => whoAsks(door.admitted(request), request.headers[personHeader]),
    perMinuteMax: config.requestsPerMinuteMax,
    atOnceMax: config.requestsAtOnceMax,
  })
  // Also on answers that are written past the framework, such as the live feed.
  server.addHook('onRequest', async (request, reply) => {
    const lots = request.headers[lotsHeader]
    if (lots !== undefined) reply.raw.setHeader(lotsHeader, lots)
  })
  addIntakeRoutes(server, { door, intake, storeId: store.storeId })
  addBackupRoutes(server, {
    door,
    backups: createBackups({ store, folder: config.backupsDir, now: Date.now }),
    log,
  })
  addQuarantineRoutes(server, { door, store, intake, now: Date.now, log })
  const countTicks = createTickCounter()
  const scope = new Scope({ places, fleet })
  const onTheWayMs = config.staleAfterSec * 1000
  const reporter = new Reporter({ store, ledger, statuses, countTicks, onTheWayMs, now: Date.now })
  const asked = {
    store,
    ledger,
    newest,
    places,
    stuck,
    fleet,
    statuses,
    scope,
    reporter,
    countTicks,
    staleAfterSec: config.staleAfterSec,
    windowsMax: config.queryWindowsMax,
    readingsMax: config.queryReadingsMax,
    now: Date.now,
  }
  const answers = new Answers(asked)
  addQueryRoutes(server, {
    door,
    now: Date.now,
    answers,
    series: new SeriesAnswers(asked),
    devices: new DeviceAnswers(asked),
    folder: join(config.exportsDir, 'answers'),
    filesMax: parquetFilesFor(poolThreads),
  })
  const pruneHistory = async () => {
    const nowMs = Date.now()
    await store
      .pruneHistory({
        beatsMs: nowMs - config.statusDays * dayMs,
        changesMs: nowMs - config.historyDays * dayMs,
      })
      .catch((error: unknown) => log.warn('history.not_pruned', { error }))
  }
  const analysts = addAnalysts(server, {
    config,
    door,
    store,
    places,
    ledger,
    revocations,
    answers,
    feeds: [
      createParkApiFeed({
        cityId: config.feedCityId,
        cityName: config.feedCityName,
        source: config.feedSource,
        version: packageFile.version,
      }),
    ],
    log,
    sqlProgram: fileURLToPath(new URL('./sql-child.mjs', import.meta.url)),
    run: randomBytes(6).toString('hex'),
    now: Date.now,
    nowMs: monotonic,
  })
  const port = await listen(server, { ...config, portSetting: 'LOTWATCH_INGEST_PORT' }, tls)

  const refresh = setInterval(() => void verifier.refresh(), keysRefreshMs)
  const sweep = setInterval(() => revocations.sweep(Date.now()), sweepMs)
  const prune = setInterval(() => void pruneHistory(), pruneMs)
  verifier.preload().catch((error: unknown) => log.warn('keys.awaited', { error }))
  const stuckKeeper = startStuckKeeper({ store, places, watch: stuck, now: Date.now, log })
  void stuckKeeper.run()
  const dayKeeper =
    store.days === undefined
      ? undefined
      : startDayKeeper({
          days: store.days,
          archive,
          segmentsDir: config.segmentsDir,
          retentionDays: config.retentionDays,
          closesAfterHours: config.dayClosesAfterHours,
          now: Date.now,
          log,
        })
  // Once at the start: a machine that is off at night would never get to it.
  void dayKeeper?.run(true)

  return {
    ready: { url: `${tls === undefined ? 'http' : 'https'}://${config.host}:${port}`, port },
    async stop() {
      clearInterval(refresh)
      clearInterval(sweep)
      clearInterval(prune)
      feed.stop()
      await stuckKeeper.stop()
      await dayKeeper?.stop()
      await analysts.stop()
      await server.close()
      analysts.close()
      await intake.idle()
      await keeper.idle()
      await store.close()
    },
  }
}

async function openStore(
  config: IngestConfig,
  {
    archive,
    ...trust
  }: {
    ca: readonly string[] | undefined
    fetch: Fetch
    archive: Archive | undefined
  },
): Promise<Store> {
  switch (config.store) {
    case 'duckdb': {
      mkdirSync(dirname(config.databaseFile), { recursive: true })
      const cache =
        archive &&
        createSegmentCache({ archive, folder: config.archiveCacheDir, bytesMax: config.archiveCacheBytesMax })
      return openDuckDB({
        ...config,
        file: config.databaseFile,
        poolThreads,
        onFatal: crash,
        ...(cache && { recall: cache.recall }),
      })
    }
    case 'influx':
      requireTlsUrl(config.influxUrl, { setting: 'LOTWATCH_INGEST_INFLUX_URL', insecure: config.insecure })
      return openInflux({
        ...trust,
        url: config.influxUrl,
        version: config.influxVersion as 1 | 2 | 3, // its bounds
        org: config.influxOrg,
        bucket: config.influxBucket,
        username: config.influxUsername,
        token: config.influxToken,
        timeoutMs: config.influxTimeoutMs,
        quarantinePerDeviceMax: config.quarantinePerDeviceMax,
        onFatal: crash,
      })
    default: {
      const never: never = config.store
      return never
    }
  }
}

/**
 * Whose limits they are. The console asks for many people, each of whom counts; who may not manage the store is not
 * believed, or one client could be any number of them.
 */
function whoAsks(
  principal: Principal | undefined,
  person: string | string[] | undefined,
): string | undefined {
  return principal?.scopes.has('manage:store')
    ? actorOf(principal.oauthClientId, person?.toString())
    : principal?.oauthClientId
}

/** What is on disk, and what it is for. */
function usesOf(config: IngestConfig): Readonly<Record<string, readonly string[]>> {
  const { databaseFile, segmentsDir, archiveCacheDir, exportsDir, backupsDir } = config
  const ofAnyStore = { exports: [exportsDir], backups: [backupsDir] }
  if (config.store !== 'duckdb') return ofAnyStore
  return {
    database: [databaseFile, `${databaseFile}.wal`],
    'closed days': [segmentsDir],
    'days from the archive': [archiveCacheDir],
    ...ofAnyStore,
  }
}

/** Thrown outside of any promise, it ends the program, and the supervisor starts it anew. */
function crash(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}

function openArchive(config: IngestConfig, fetch: Fetch): Archive | undefined {
  // Settings say that each kind has what it needs.
  const { archive, archiveUrl: url = '', insecure, archiveTimeoutMs: timeoutMs } = config
  if (archive === 's3' || archive === 'https')
    requireTlsUrl(url, { setting: 'LOTWATCH_INGEST_ARCHIVE_URL', insecure })
  switch (archive) {
    case 'none':
      return undefined
    case 'folder':
      return createFolderArchive(config.archiveFolder ?? '')
    case 's3':
      return createS3Archive({
        url,
        region: config.archiveRegion,
        accessKeyId: config.archiveAccessKeyId ?? '',
        secretAccessKey: config.archiveSecretAccessKey ?? '',
        fetch,
        timeoutMs,
      })
    case 'https': {
      const tokens = createTokenSource({
        credential: readCredentialFile(config.archiveCredentialFile ?? ''),
        audience: config.archiveAudience ?? '',
        fetch,
        nowMs: monotonic,
        random: Math.random,
      })
      return createHttpsArchive({ url, tokens, fetch, timeoutMs })
    }
    default: {
      const never: never = archive
      return never
    }
  }
}

async function loadLedger(store: Store, state: StoredState, config: IngestConfig): Promise<Ledger> {
  const ledger = new Ledger({
    rangesPerEpochMax: config.ledgerRangesPerEpochMax,
    epochsPerDeviceMax: config.ledgerEpochsPerDeviceMax,
  })
  for (const row of state.ledger) ledger.load(row)
  for (const end of state.ends) ledger.loadEnd(end)
  if (state.covered === undefined)
    for (const { deviceId, timestampMs } of state.highs) ledger.loadHigh(deviceId, timestampMs)
  else for (const { deviceId, fromMs, toMs } of state.covered) ledger.loadCovered(deviceId, fromMs, toMs)
  const rows = [...ledger.rows()]
  if (store.ledgerRowCount > 2 * rows.length + ledgerRowsSpare) await store.compact(rows)
  return ledger
}
