/** `lotctl sql`, `watch` and `export`: their options. */
import { type Command, Option } from 'commander'
import { formats } from '../../core/contract/query.ts'
import type { ExportRequest } from '../../core/contract/sql.ts'
import type { AccessOptions } from '../access.ts'
import { outputs } from '../output.ts'
import { type Desk, examplesText, zone } from './verb.ts'

interface CommonFlags extends AccessOptions {
  readonly tz?: string
}

interface SqlFlags extends CommonFlags {
  readonly output: (typeof outputs)[number]
}

interface WatchFlags extends SqlFlags {
  readonly lot?: readonly string[]
  readonly device?: readonly string[]
}

interface ExportFlags extends CommonFlags, Omit<ExportRequest, 'tz'> {
  readonly keep?: true
}

export function addAnalystVerbs(lotctl: Command, { home }: Desk): void {
  const withAccess = (command: Command) =>
    command
      .option('--tz <zone>', 'IANA time zone of days and times; default UTC', zone)
      .option('--server <url>', 'where ingest is')
      .option('--credential <file>', 'who asks; default: operator.json in the data folder')
      .option('--profile <name>', 'who asks and where, as lotctl login has kept it')
  const output = () =>
    new Option('-o, --output <format>', 'how to print the answer').choices(outputs).default('table')

  /** The work, and what it needs; loaded when it is called. */
  async function begin(flags: AccessOptions) {
    const [work, { openAccess }, { config, places, voice }] = await Promise.all([
      import('../analysts.ts'),
      import('../access.ts'),
      home(),
    ])
    return { work, voice, config, api: openAccess(config, places, flags).api('ingest') }
  }

  withAccess(lotctl.command('sql <statement>'))
    .description('one SELECT over readings, lots, devices and what is missing')
    .addHelpText(
      'before',
      examplesText([
        'sql "SELECT lotId, max(occupied) FROM readings GROUP BY ALL"',
        'sql "FROM gaps" -o csv',
      ]),
    )
    .addOption(output())
    .action(async (statement: string, flags: SqlFlags) => {
      const { work, api, voice } = await begin(flags)
      await work.sql(api, statement, { output: flags.output, tz: flags.tz, voice })
    })

  withAccess(lotctl.command('watch'))
    .description('every reading as it is stored, until Ctrl-C')
    .addHelpText('before', examplesText(['watch --lot north', 'watch -o ndjson']))
    .addOption(output().choices(['table', 'ndjson']))
    .option('--lot <ids...>', 'of these lots; default: all')
    .option('--device <ids...>', 'of these devices')
    .action(async (flags: WatchFlags) => {
      const { work, api, voice } = await begin(flags)
      const { untilInterrupted } = await import('../home.ts')
      await work.watch(api, flags, { output: flags.output, voice, until: untilInterrupted() })
    })

  withAccess(lotctl.command('export <file>'))
    .description('readings, or the answer to a SELECT, into a file; however many there are')
    .addHelpText(
      'before',
      examplesText([
        'export north.parquet --lot north --from -30d',
        'export all.csv --sql "SELECT time, lotId, occupied FROM readings"',
      ]),
    )
    .addOption(new Option('--format <format>', 'default: by the ending of the file').choices(formats))
    .option('--sql <statement>', 'one SELECT, instead of the options below')
    .option('--lot <ids...>', 'of these lots; default: all')
    .option('--device <ids...>', 'of these devices')
    .option('--from <time>', 'RFC 3339, a date, or relative to now: -7d')
    .option('--to <time>', 'as --from')
    .option('--columns <names...>', 'these columns alone')
    .option('--keep', 'leave it on the server, too')
    .action(async (file: string, flags: ExportFlags) => {
      const { work, api, voice, config } = await begin(flags)
      const { sql, lot, device, from, to, columns, tz } = flags
      const asked = { sql, lot, device, from, to, columns, tz, format: flags.format ?? formatOf(file) }
      const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
      await work.exportTo(api, given, {
        file,
        keeps: flags.keep === true,
        voice,
        timeoutMs: config.timeoutSec * 1000,
      })
    })
}

function formatOf(file: string): ExportRequest['format'] {
  const ending = file.slice(file.lastIndexOf('.') + 1)
  return formats.find((format) => format === ending) ?? 'csv'
}
