/** Brings a database file to the version of this program, step by step, each in a transaction of its own. */
import type Database from 'libsql'
import { FleetError } from '../../core/contract/errors.ts'
import registry from './migrations/001-registry.sql'

/** In order; a step that was released is never edited, the next one changes what it made. */
const migrations: readonly string[] = [registry]

/** @throws FleetError `config.invalid` when a newer version has written the file: going back would lose what it knows */
export function migrate(db: Database.Database, path: string): void {
  const version = versionOf(db)
  if (version > migrations.length) {
    throw new FleetError('config.invalid', `${path} was written by a newer version`, {
      faults: [
        `${path}: its version is ${version}, this program knows up to ${migrations.length}; run the newer version, or restore a backup from before it`,
      ],
    })
  }
  for (const [i, sql] of migrations.entries()) {
    if (i < version) continue
    // The version is written with the step: a crash leaves both or neither.
    db.transaction(() => {
      db.exec(sql)
      db.exec(`PRAGMA user_version = ${i + 1}`)
    })()
  }
}

function versionOf(db: Database.Database): number {
  const row = db.prepare('PRAGMA user_version').get([]) as { user_version: number } // the pragma's one column
  return row.user_version
}
