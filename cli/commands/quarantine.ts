/** `lotctl quarantine release`: its options. */
import { type Command, Option } from 'commander'
import type { ReleaseFlags } from '../quarantine.ts'
import { type Desk, examplesText, positive } from './verb.ts'

export function addQuarantineRelease(quarantine: Command, { home, exit }: Desk): void {
  quarantine
    .command('release [ids...]')
    .description('look at entries once more: what is right by now is stored, what is still wrong stays')
    .addHelpText(
      'before',
      examplesText([
        'quarantine release 5f0c3a77',
        'quarantine release --reason ledger.full --device gate-1',
      ]),
    )
    .option('--device <ids...>', 'entries of these devices')
    .option('--reason <reason>', 'entries with this reason')
    .option('--all', 'every entry')
    .addOption(new Option('--limit <number>', 'at most so many entries').argParser(positive))
    .option('--server <url>', 'where ingest is')
    .option('--credential <file>', 'who asks; default: operator.json in the data folder')
    .option('--profile <name>', 'who asks and where, as lotctl login has kept it')
    .action(async (ids: string[], flags: ReleaseFlags, command: Command) => {
      const named = [ids.length > 0, (flags.device ?? flags.reason) !== undefined, flags.all === true]
      if (named.filter(Boolean).length !== 1)
        command.error('error: name entries by id, or by --device and --reason, or --all')
      const { releaseQuarantine } = await import('../quarantine.ts')
      exit(await releaseQuarantine(home(), ids, flags))
    })
}
