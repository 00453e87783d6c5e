/** A backup of readings: a folder with a database and this manifest, which says what has to be in it. */
import { type Static, Type } from 'typebox'

/** Beside the database in the folder of a backup; written last. */
export const backupManifestName = 'manifest.json'
/** The database in the folder of a backup. */
export const backupDatabaseName = 'readings.duckdb'
/** Beside a database that was restored, with this ending: the manifest it has to agree with at its first start. */
export const restoredEnding = '.restored'

export const BackupManifest = Type.Object(
  {
    v: Type.Literal(1),
    /** Of the folder. */
    name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' }),
    madeAtMs: Type.Integer(),
    file: Type.Object({
      bytes: Type.Integer({ minimum: 0 }),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    }),
    /** Of every table: how many rows it has, and what they add up to in any order. */
    tables: Type.Array(
      Type.Object({
        table: Type.String(),
        rows: Type.Integer({ minimum: 0 }),
        sum: Type.String(),
      }),
    ),
  },
  { additionalProperties: false, description: 'manifest.json of a backup' },
)
export type BackupManifest = Static<typeof BackupManifest>
