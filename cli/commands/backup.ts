/** `lotctl backup`: its verbs and options. */
import type { Command } from 'commander'
import type { AccessOptions } from '../access.ts'
import { type Desk, examplesText, noun } from './verb.ts'

const load = () => import('../backup.ts')

export function addBackup(lotctl: Command, { home }: Desk): void {
  const backup = noun(lotctl, 'backup', 'copies of readings, ledger and quarantine', 'backups')
  const make = backup
    .command('create')
    .description('make one on the server while writing goes on, and compare it with what was copied')
    .addHelpText('before', examplesText(['backup create', 'backup create --profile work']))
  withIngest(make).action(async (flags: AccessOptions) => (await load()).createBackup(home(), flags))
  const list = backup
    .command('list')
    .description('list those that are on the server')
    .addHelpText('before', examplesText(['backup list', 'backup list --profile work']))
  withIngest(list).action(async (flags: AccessOptions) => (await load()).listBackups(home(), flags))
  backup
    .command('verify <folder>')
    .description('compare a backup on this machine with its manifest')
    .addHelpText(
      'before',
      examplesText(['backup verify data/backups/2026-11-25T03-00-00.000Z', 'backup verify /mnt/b1']),
    )
    .action(async (folder: string) => void (await (await load()).verifyBackup(home(), folder)))
  backup
    .command('restore <folder>')
    .description('put a backup in place of the database of this machine, while ingest is stopped')
    .addHelpText(
      'before',
      examplesText(['backup restore /mnt/b1', 'backup restore /mnt/b1 --database readings.duckdb']),
    )
    .option('--database <file>', 'the database; default: readings.duckdb in the data folder')
    .action(async (folder: string, flags: { database?: string }) =>
      (await load()).restoreBackup(home(), folder, flags),
    )
}

function withIngest(command: Command): Command {
  return command
    .option('--server <url>', 'where ingest is')
    .option('--credential <file>', 'who asks; default: operator.json in the data folder')
    .option('--profile <name>', 'who asks and where, as lotctl login has kept it')
}
