/** Settings of ingest: file and environment to one frozen object. */
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { readDataDir, readSettings, type SettingsSource, settingName } from '../core/runtime/env.ts'
import { followerSettings, serverSettings, tlsFaults } from '../core/runtime/settings.ts'
import { analystSettings } from './analyst-settings.ts'

export const ingestSettings = Type.Object(
  {
    ...serverSettings(8082),
    ...followerSettings,
    store: Type.Union([Type.Literal('duckdb'), Type.Literal('influx')], {
      default: 'duckdb',
      description: 'what keeps the readings: DuckDB in a file, or an InfluxDB',
    }),
    databaseFile: Type.Optional(
      Type.String({ description: 'the DuckDB file; absent: readings.duckdb in the data folder' }),
    ),
    segmentsDir: Type.Optional(
      Type.String({
        description: 'where closed days are kept as Parquet; absent: segments in the data folder',
      }),
    ),
    dayClosesAfterHours: Type.Integer({
      default: 36,
      minimum: 1,
      maximum: 24 * 365,
      description:
        'how long after its end (UTC) a day is closed: written to a segment and summed up; what comes later is taken all the same',
    }),
    retentionDays: Type.Optional(
      Type.Integer({
        minimum: 3,
        maximum: 36_500,
        description:
          'how long readings are kept here; absent: for ever. With an archive, only what it holds is taken away, and can still be asked for; sums are kept for ever',
      }),
    ),
    archive: Type.Enum(['none', 'folder', 's3', 'https'], {
      default: 'none',
      description: 'where copies of closed days go: a folder, a bucket that speaks S3, or an HTTPS endpoint',
    }),
    archiveFolder: Type.Optional(
      Type.String({
        description: 'the folder; it has to be there, so that files do not end up beside a mount',
      }),
    ),
    archiveUrl: Type.Optional(
      Type.String({
        pattern: '^https?://',
        description: 'bucket and prefix, or the endpoint; names of files are put behind it',
      }),
    ),
    archiveRegion: Type.String({ default: 'us-east-1', description: 'region of the bucket' }),
    archiveAccessKeyId: Type.Optional(Type.String({ description: 'access key of the bucket' })),
    archiveSecretAccessKey: Type.Optional(Type.String({ description: 'its secret' })),
    archiveCredentialFile: Type.Optional(
      Type.String({ description: 'credential with which ingest gets access tokens for the endpoint' }),
    ),
    archiveAudience: Type.Optional(Type.String({ description: 'audience of these tokens' })),
    archiveTimeoutMs: Type.Integer({
      default: 10_000,
      minimum: 100,
      maximum: 600_000,
      description:
        'how long the archive may take to answer; for a file, longer by its size at 32 KiB a second',
    }),
    archiveCacheDir: Type.Optional(
      Type.String({
        description:
          'where days are kept that came back from the archive; absent: archive-cache in the data folder',
      }),
    ),
    archiveCacheBytesMax: Type.Integer({
      default: 4_294_967_296,
      minimum: 1_000_000,
      description: 'how much of that is kept; the day that was asked for longest ago goes first',
    }),
    ...analystSettings,
    backupsDir: Type.Optional(
      Type.String({
        description: 'where backups are made; absent: backups in the data folder, better on another disk',
      }),
    ),
    memoryMax: Type.String({
      default: '1GB',
      pattern: '^[1-9][0-9]*(MB|GB)$',
      description: 'memory DuckDB may use',
    }),
    checkpointThreshold: Type.String({
      default: '64MB',
      pattern: '^[1-9][0-9]*(KB|MB|GB)$',
      description: 'size at which the log in front of the DuckDB file is folded into it',
    }),
    threads: Type.Integer({ default: 2, minimum: 1, maximum: 256, description: 'threads DuckDB may use' }),
    influxUrl: Type.String({
      default: 'http://127.0.0.1:8086',
      pattern: '^https?://',
      description: 'where InfluxDB is',
    }),
    influxVersion: Type.Integer({
      default: 2,
      minimum: 1,
      maximum: 3,
      description: 'its version; 1 is written to by /write, 2 and 3 by the API of version 2',
    }),
    influxOrg: Type.String({ default: 'lotwatch', description: 'organization, of version 2' }),
    influxBucket: Type.String({
      default: 'readings',
      description:
        'bucket, of versions 1 and 3 the database: made by the operator, for ingest alone, never forgetting',
    }),
    influxUsername: Type.Optional(
      Type.String({ description: 'user of version 1; absent: it asks nobody who they are' }),
    ),
    influxToken: Type.Optional(
      Type.String({ description: 'token that may read and write the bucket; of version 1 the password' }),
    ),
    influxTimeoutMs: Type.Integer({
      default: 5000,
      minimum: 100,
      maximum: 60_000,
      description: 'how long InfluxDB may keep a batch waiting',
    }),
    handoversWaitingMax: Type.Integer({
      default: 16,
      minimum: 1,
      maximum: 1000,
      description: 'handovers that may wait for a commit; more are asked to come back',
    }),
    commitMessagesMax: Type.Integer({
      default: 10_000,
      minimum: 1,
      maximum: 100_000,
      description: 'messages committed together at most, unless one handover has more',
    }),
    ledgerRangesPerEpochMax: Type.Integer({
      default: 10_000,
      minimum: 1,
      description: 'ranges of sequences kept per device and epoch; what would need more is quarantined',
    }),
    ledgerEpochsPerDeviceMax: Type.Integer({
      default: 1000,
      minimum: 1,
      description: 'epochs kept per device; readings of more are quarantined',
    }),
    quarantinePerDeviceMax: Type.Integer({
      default: 1000,
      minimum: 0,
      description: 'entries per device whose content is kept in quarantine',
    }),
    statusDays: Type.Integer({
      default: 14,
      minimum: 1,
      description: 'days for which a status of each device is kept for every 15 min; changes are kept longer',
    }),
    historyDays: Type.Integer({
      default: 400,
      minimum: 1,
      description: 'days for which changes of status, and when devices came and went, are kept',
    }),
    staleAfterSec: Type.Integer({
      default: 600,
      minimum: 1,
      description: 'age from which the latest reading of a device no longer counts as current',
    }),
    queryWindowsMax: Type.Integer({
      default: 200_000,
      minimum: 1,
      description: 'windows one series may have, over all its lots',
    }),
    queryReadingsMax: Type.Integer({
      default: 2_000_000,
      minimum: 1,
      description: 'readings one series may read where lots have several devices',
    }),
  },
  { additionalProperties: false },
)

export type IngestConfig = Readonly<
  Static<typeof ingestSettings> & {
    readonly credentialFile: string
    readonly databaseFile: string
    readonly segmentsDir: string
    readonly archiveCacheDir: string
    readonly exportsDir: string
    readonly backupsDir: string
  }
>

/** @throws FleetError `config.invalid` naming every fault */
export function readIngestConfig(source: SettingsSource): IngestConfig {
  const settings = readSettings(ingestSettings, { section: 'ingest', prefix: 'LOTWATCH_INGEST', ...source })
  const faults = contradictionsIn(settings)
  if (faults.length > 0) throw new FleetError('config.invalid', 'settings contradict each other', { faults })
  const dataDir = readDataDir(source)
  return Object.freeze({
    ...settings,
    credentialFile: settings.credentialFile ?? join(dataDir, 'services', 'ingest.json'),
    databaseFile: settings.databaseFile ?? join(dataDir, 'readings.duckdb'),
    segmentsDir: settings.segmentsDir ?? join(dataDir, 'segments'),
    backupsDir: settings.backupsDir ?? join(dataDir, 'backups'),
    archiveCacheDir: settings.archiveCacheDir ?? join(dataDir, 'archive-cache'),
    exportsDir: settings.exportsDir ?? join(dataDir, 'exports'),
  })
}

function contradictionsIn(settings: Static<typeof ingestSettings>): string[] {
  const faults = tlsFaults('LOTWATCH_INGEST', settings)
  faults.push(...archiveFaults(settings))
  const { store, influxVersion, influxUsername, influxToken } = settings
  if (store === 'influx' && influxVersion > 1 && influxToken === undefined)
    faults.push(`LOTWATCH_INGEST_INFLUX_TOKEN: is required, InfluxDB ${influxVersion} lets nobody in without`)
  if (
    store === 'influx' &&
    influxVersion === 1 &&
    (influxUsername === undefined) !== (influxToken === undefined)
  )
    faults.push(
      'LOTWATCH_INGEST_INFLUX_USERNAME and LOTWATCH_INGEST_INFLUX_TOKEN: one is set without the other',
    )
  return faults
}

/** What each kind of archive cannot do without. */
const archiveNeeds = {
  none: [],
  folder: ['archiveFolder'],
  s3: ['archiveUrl', 'archiveAccessKeyId', 'archiveSecretAccessKey'],
  https: ['archiveUrl', 'archiveCredentialFile', 'archiveAudience'],
} as const satisfies Record<string, readonly (keyof Static<typeof ingestSettings>)[]>

function archiveFaults(settings: Static<typeof ingestSettings>): string[] {
  const faults = archiveNeeds[settings.archive]
    .filter((name) => settings[name] === undefined)
    .map((name) => `${settingName('LOTWATCH_INGEST', name)}: is required, archive is ${settings.archive}`)
  if (settings.store === 'influx' && (settings.archive !== 'none' || settings.retentionDays !== undefined))
    faults.push('LOTWATCH_INGEST_ARCHIVE and LOTWATCH_INGEST_RETENTION_DAYS: only DuckDB closes days')
  return faults
}
