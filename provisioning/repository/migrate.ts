/** The steps that bring a database to the version of this program. A step that was released is never edited. */
import { FleetError } from '../../core/contract/errors.ts'
import postgresRegistry from './migrations/postgres/001-registry.sql'
import postgresBrokers from './migrations/postgres/002-brokers.sql'
import sqliteRegistry from './migrations/sqlite/001-registry.sql'
import sqliteBrokers from './migrations/sqlite/002-brokers.sql'

/** In order, the same number of steps for both. */
export const migrations = {
  sqlite: [sqliteRegistry, sqliteBrokers],
  postgres: [postgresRegistry, postgresBrokers],
} as const satisfies Record<string, readonly string[]>

/**
 * The steps that are still to be taken, each in a transaction of its own together with its number.
 * @param version of the database: how many steps it has taken
 * @param where it is, for people
 * @throws FleetError `config.invalid` when a newer version has written it: going back would lose what it knows
 */
export function stepsFrom(
  version: number,
  steps: readonly string[],
  where: string,
): readonly { readonly sql: string; readonly version: number }[] {
  if (version > steps.length) {
    throw new FleetError('config.invalid', `${where} was written by a newer version`, {
      faults: [
        `${where}: its version is ${version}, this program knows up to ${steps.length}; run the newer version, or restore a backup from before it`,
      ],
    })
  }
  return steps.map((sql, i) => ({ sql, version: i + 1 })).slice(version)
}
