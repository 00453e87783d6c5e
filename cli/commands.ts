/** The verbs of lotctl and their options. Each loads its own code only when it is called, so that help is quick. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { replayColumnsDefault } from '../core/contract/fleet.ts'
import { everyPattern } from '../core/contract/query.ts'
import { isZone } from '../core/contract/zone.ts'
import type { AccessOptions } from './access.ts'
import type { Exit } from './exit.ts'
import type { PlayOptions } from './fleet.ts'
import type { Home } from './home.ts'
import { type Output, outputs } from './output.ts'
import type { Query, verbs } from './queries.ts'

export interface CommandsOptions {
  readonly version: string
  /** Called by the verbs that need settings; help does not. */
  readonly home: () => Home
  /** The exit code of a verb that has more to say than that it worked. */
  readonly exit: (code: Exit) => void
}

/** The options of a play, as commander names them. */
interface PlayFlags {
  readonly columnId: string
  readonly columnCapacity: string
  readonly columnOccupied: string
  readonly columnTime: string
  readonly tz?: string
  readonly shiftToNow?: true
  readonly speed?: number
}

type FleetFlags = PlayFlags & AccessOptions & { readonly replay?: string }

type QueryFlags = AccessOptions & { readonly output: Output } & Query

export function createCommands({ version, home, exit }: CommandsOptions): Command {
  const lotctl = new Command('lotctl')
    .description('Lotwatch at the terminal: run the system, play a fleet, ask what is stored.')
    .version(version)
    .exitOverride()
    .helpCommand(false)
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true })

  lotctl.commandsGroup('Run:')
  withPlay(lotctl.command('up'))
    .description('run provisioning, broker and ingest on this machine until Ctrl-C')
    .option('--demo', 'with a demonstration fleet')
    .addOption(replayOption().implies({ demo: true }))
    .action(async (flags: FleetFlags & { demo?: true }, command: Command) => {
      const fleet = fleetOptions(flags, command)
      const { up } = await import('./up.ts')
      exit(await up(home(), flags.demo === true ? { fleet } : {}))
    })
  withPlay(withAccess(lotctl.command('demo'), 'provisioning'))
    .description('register a fleet with a running system and run it until Ctrl-C')
    .addOption(replayOption())
    .action(async (flags: FleetFlags, command: Command) => {
      const fleet = fleetOptions(flags, command)
      const { demo } = await import('./demo.ts')
      exit(await demo(home(), fleet))
    })
  withPlay(withAccess(lotctl.command('replay <file>'), 'provisioning'))
    .description('play a recorded CSV file through a running system until all of it is stored')
    .addOption(outputOption())
    .action(async (file: string, flags: FleetFlags & { output: Output }) => {
      const { replay } = await import('./demo.ts')
      const play = { file, ...playOptions(flags) }
      exit(await replay(home(), { ...accessOf(flags), replay: play, output: flags.output }))
    })

  lotctl.commandsGroup('Ask:')
  const query = (name: keyof typeof verbs, description: string) =>
    withAccess(lotctl.command(name), 'ingest')
      .description(description)
      .addOption(outputOption())
      .option('--tz <zone>', 'IANA time zone of days, weeks and times, such as Europe/London')
      .action(async (flags: QueryFlags) => {
        const { server, credential, output, ...parameters } = flags
        const [{ verbs }, { openAccess }, { config, places, voice }] = await Promise.all([
          import('./queries.ts'),
          import('./access.ts'),
          home(),
        ])
        const api = openAccess(config, places, accessOf(flags)).api('ingest')
        await verbs[name](api, { query: parameters, output, timeoutMs: config.timeoutSec * 1000, voice })
      })
  query('lots', 'which lots there are')
  query('latest', 'what each lot holds now').addOption(lotOption())
  query('series', 'windows of time: mean, highest, lowest and so on')
    .addOption(lotOption())
    .option('--from <time>', 'RFC 3339, a date, or relative to now: -7d', '-1d')
    .option('--to <time>', 'as --from; default now')
    .option('--every <length>', 'length of a window: 15m, 1h, 1d, 1w', matching(everyPattern))
    .option('--agg <names...>', 'mean, min, max, first, last, count')
    .option('--fill <with>', 'windows nobody measured: null, or none to leave them out')
  query('readings', 'every reading')
    .addOption(lotOption())
    .option('--device <ids...>', 'of these devices')
    .option('--from <time>', 'as for series')
    .option('--to <time>', 'as for series')
    .option('--order <order>', 'asc or desc by time')
    .addOption(limitOption())
    .addOption(cursorOption())
  query('quarantine', 'what can never be stored, with its reason')
    .option('--device <ids...>', 'of these devices')
    .option('--reason <reason>', 'only this one, such as reading.negative')
    .addOption(limitOption())
    .addOption(cursorOption())

  lotctl.commandsGroup('Access:')
  const token = lotctl.command('token').description('access tokens')
  withAccess(token.command('get'))
    .description('print an access token, for curl and notebooks')
    .requiredOption('--audience <name>', 'required: provisioning, broker, ingest, or a whole audience')
    .option('--scope <scopes>', 'separated by spaces; default: all that were granted')
    .action(async (flags: AccessOptions & { audience: string; scope?: string }) => {
      const { tokenGet } = await import('./token.ts')
      await tokenGet(home(), flags)
    })
  const tls = lotctl.command('tls').description('certificates')
  tls
    .command('init <folder>')
    .description('make a private authority, and a certificate for each server that has none')
    .requiredOption('--server <names...>', 'NAME or NAME:OTHER,OTHER with names and addresses beside it')
    .option('--authority <folder>', 'where the authority’s own key is kept; default: with the rest')
    .option('--days <number>', 'how long servers’ certificates hold', positive, 825)
    .action(async (folder: string, flags: { server: string[]; authority?: string; days: number }) => {
      const { initTls, parseServerName } = await import('./tls.ts')
      const servers = flags.server.map(parseServerName)
      const written = await initTls(folder, {
        servers,
        ...(flags.authority === undefined ? {} : { authorityDir: flags.authority }),
        days: flags.days,
        now: new Date(),
      })
      home().voice.answer(written.length === 0 ? 'nothing was missing' : written.join('\n'))
    })
  return lotctl
}

function withAccess(command: Command, program?: string): Command {
  if (program !== undefined) command.option('--server <url>', `where ${program} is`)
  return command.option('--credential <file>', 'who asks; default: operator.json in the data folder')
}

function withPlay(command: Command): Command {
  const { key, capacity, occupied, time } = replayColumnsDefault
  return command
    .option('--column-id <name>', 'which car park', key)
    .option('--column-capacity <name>', 'its spaces', capacity)
    .option('--column-occupied <name>', 'spaces taken', occupied)
    .option('--column-time <name>', 'when', time)
    .option('--tz <zone>', 'time zone of times without an offset; default UTC', zone)
    .option('--shift-to-now', 'move by whole weeks, so that now falls into the last week of the file')
    .option('--speed <factor>', 'times real time; default: as fast as the system takes it', positive)
}

function replayOption(): Option {
  return new Option('--replay <file>', 'play a recorded CSV file instead of simulating')
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print the answer').choices(outputs).default('table')
}

function lotOption(): Option {
  return new Option('--lot <ids...>', 'of these lots; default: all')
}

function limitOption(): Option {
  return new Option('--limit <number>', 'at most so many rows').argParser(positive)
}

function cursorOption(): Option {
  return new Option('--cursor <cursor>', 'go on where the last answer ended')
}

function accessOf({ server, credential }: AccessOptions): AccessOptions {
  return { ...(server === undefined ? {} : { server }), ...(credential === undefined ? {} : { credential }) }
}

function playOptions(flags: PlayFlags): PlayOptions {
  return {
    columns: {
      key: flags.columnId,
      capacity: flags.columnCapacity,
      occupied: flags.columnOccupied,
      time: flags.columnTime,
    },
    tz: flags.tz ?? 'UTC',
    shiftToNow: flags.shiftToNow ?? false,
    ...(flags.speed === undefined ? {} : { speed: flags.speed }),
  }
}

/** An option that does nothing is an error: whoever gave it believes that it does. */
function fleetOptions(flags: FleetFlags, command: Command) {
  if (flags.replay !== undefined)
    return { ...accessOf(flags), replay: { file: flags.replay, ...playOptions(flags) } }
  const idle = command.options.find(
    (option) =>
      /^--(column-|tz|shift|speed)/.test(option.long ?? '') &&
      command.getOptionValueSource(option.attributeName()) === 'cli',
  )
  if (idle !== undefined) command.error(`error: ${idle.long} needs --replay <file>`)
  return accessOf(flags)
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('not a number above zero')
  return value
}

function zone(name: string): string {
  if (!isZone(name)) throw new InvalidArgumentError('not an IANA time zone, such as Europe/London')
  return name
}

function matching(pattern: string) {
  return (text: string): string => {
    if (!new RegExp(pattern).test(text)) throw new InvalidArgumentError('such as 15m, 1h, 1d')
    return text
  }
}
