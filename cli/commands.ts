/** The verbs of lotctl and their options. Each loads its own code only when it is called, so that help is quick. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { replayColumnsDefault } from '../core/contract/fleet.ts'
import { everyPattern } from '../core/contract/query.ts'
import type { AccessOptions } from './access.ts'
import { addAnalystVerbs } from './commands/analysts.ts'
import { addBackup } from './commands/backup.ts'
import { addApis, addClients, addGrants } from './commands/clients.ts'
import { addDevices, addLots } from './commands/devices.ts'
import { addAlarms, addEnrolment } from './commands/enrolment.ts'
import { addQuarantineRelease } from './commands/quarantine.ts'
import { addHealth, addIssuer, addRecords, addSession, addTokens, addWatch } from './commands/server.ts'
import { type Desk, examplesText, positive, zone } from './commands/verb.ts'
import type { PlayOptions } from './fleet.ts'
import { type Output, outputs } from './output.ts'
import type { Query, QuestionOutput, verbs } from './queries.ts'

export interface CommandsOptions extends Desk {
  readonly version: string
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

type QueryFlags = AccessOptions & {
  readonly output: QuestionOutput
  readonly file?: string
  readonly input?: boolean
} & Omit<Query, 'input' | 'file'>

export function createCommands({ version, home, exit }: CommandsOptions): Command {
  const lotctl = new Command('lotctl')
    .description('Lotwatch at the terminal: run the system, play a fleet, ask what is stored.')
    .version(version)
    .exitOverride()
    .helpCommand(false)
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true })

  lotctl.commandsGroup('Run:')
  withPlay(lotctl.command('up'))
    .description('run provisioning, broker, ingest and console on this machine until Ctrl-C')
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
  const query = (name: keyof typeof verbs, description: string, command = lotctl.command(name)) =>
    withAccess(command, 'ingest')
      .description(description)
      .addOption(outputOption(['csv-excel', 'parquet']))
      .option('--file <path>', 'write the whole answer to a file')
      .option('--columns <names...>', 'only these columns, in this order')
      .option('--tz <zone>', 'IANA time zone of days, weeks and times, such as Europe/London')
      .action(async (flags: QueryFlags) => {
        const { server, credential, profile, input, output, file, ...parameters } = flags
        const [{ verbs }, { openAccess }, { config, places, voice }] = await Promise.all([
          import('./queries.ts'),
          import('./access.ts'),
          home(),
        ])
        const api = openAccess(config, places, accessOf(flags)).api('ingest')
        const timeoutMs = config.timeoutSec * 1000
        const where = file === undefined ? {} : { file }
        await verbs[name](api, { query: parameters, output, ...where, timeoutMs, voice })
      })
  withAmong(query('lots', 'which lots there are'))
  withAmong(query('latest', 'what each lot holds now'))
  withWindows(withAmong(query('series', 'windows of time: mean, highest, lowest and so on')), '-1d')
    .option('--metric <names...>', 'occupied, free, utilisation, entries, exits')
    .option('--agg <names...>', 'mean, min, max, first, last, sum, p95, count')
    .option('--fill <with>', 'windows nobody measured: null, none to leave them out, previous, linear')
    .addOption(qualityOption())
  withRange(withAmong(query('profile', 'a typical week, hour by hour')), '-8w')
    .option('--metric <name>', 'occupied, free, utilisation')
    .addOption(qualityOption())
  withWindows(withAmong(query('completeness', 'what was due, what is there, and why the rest is not')), '-1d')
  withRange(withAmong(query('readings', 'every reading; a thousand, or all of them to a file')))
    .option('--received-from <time>', 'only what came in from then on, late readings too')
    .option('--order <order>', 'asc or desc by time')
    .addOption(qualityOption())
    .addOption(limitOption())
    .addOption(cursorOption())
  const quarantine = lotctl
    .command('quarantine')
    .description('what can never be stored: look at it, release it after a fix')
  query(
    'quarantine',
    'what can never be stored, with its reason',
    quarantine.command('list', { isDefault: true }),
  )
    .option('--device <ids...>', 'of these devices')
    .option('--reason <reason>', 'only this one, such as reading.negative')
    .addOption(limitOption())
    .addOption(cursorOption())

  const desk = { home, exit }
  addAnalystVerbs(lotctl, desk)
  addQuarantineRelease(quarantine, desk)
  lotctl.commandsGroup('Registry:')
  addDevices(lotctl, desk)
  const device = lotctl.commands.find((command) => command.name() === 'device') ?? lotctl
  withAmong(query('health', 'how each device is: state, queue, drops, clock', device.command('health')))
    .option('--state <names...>', 'online, late, silent_sensor, offline, never_seen, suspended, retired')
    .addOption(limitOption())
    .addOption(cursorOption())
  withWindows(withAmong(query('history', 'how devices were, hour by hour', device.command('history'))), '-1d')
  addLots(lotctl, desk)
  addEnrolment(lotctl, desk)
  addAlarms(lotctl, desk)

  lotctl.commandsGroup('Authorization:')
  addClients(lotctl, desk)
  addApis(lotctl, desk)
  addGrants(lotctl, desk)
  addIssuer(lotctl, desk)
  addRecords(lotctl, desk)

  lotctl.commandsGroup('Store:')
  addBackup(lotctl, desk)

  lotctl.commandsGroup('Access:')
  addSession(lotctl, desk)
  lotctl
    .command('login-link')
    .description('print a link that signs a person in to the console, once; for whoever owns the data folder')
    .option('--account <name>', 'whose; default: the first administrator')
    .action(async (flags: { account?: string }) => {
      const { loginLink } = await import('./login-link.ts')
      loginLink(home(), flags)
    })
  const token = lotctl.command('token').alias('tokens').description('access tokens')
  withAccess(token.command('get'))
    .description('print an access token, for curl and notebooks')
    .requiredOption('--audience <name>', 'required: provisioning, broker, ingest, or a whole audience')
    .option('--scope <scopes>', 'separated by spaces; default: all that were granted')
    .action(async (flags: AccessOptions & { audience: string; scope?: string }) => {
      const { tokenGet } = await import('./token.ts')
      await tokenGet(home(), flags)
    })
  addTokens(token, desk)
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

  lotctl.commandsGroup('Watch over it:')
  addHealth(lotctl, desk)
  addWatch(lotctl, desk)

  lotctl.commandsGroup('Help:')
  lotctl
    .command('version')
    .description('print the version')
    .action(() => home().voice.answer(version))
  addCompletion(lotctl, { version, home, exit })
  for (const command of below(lotctl)) finishVerb(command)
  return lotctl
}

/** What holds for all: nothing prompts where it was told not to, and a noun alone shows its verbs. */
function finishVerb(command: Command): void {
  if (command.commands.length > 0) {
    // Commander would show the help of the noun, and end well.
    command.addHelpText('before', ({ error }) => {
      const [word] = command.args
      if (!error && word !== undefined && !word.startsWith('-'))
        command.error(`error: unknown command '${word}'`)
      return ''
    })
    return
  }
  command.option('--no-input', 'never ask anything')
  const examples =
    examplesOf[
      command.parent?.parent === null ? command.name() : `${command.parent?.name()} ${command.name()}`
    ]
  if (examples !== undefined) command.addHelpText('before', examplesText(examples))
}

export function* below(command: Command): Generator<Command> {
  yield command
  for (const child of command.commands) yield* below(child)
}

/** Of the verbs that stand alone; the others bring theirs. */
const examplesOf: Readonly<Record<string, readonly [string, string]>> = {
  up: ['up --demo', 'up'],
  demo: ['demo', 'demo --replay counts.csv --shift-to-now'],
  replay: ['replay counts.csv --tz Europe/London', 'replay counts.csv --speed 60'],
  lots: ['lots', 'lots -o csv'],
  latest: ['latest', 'latest --lot north -o json'],
  series: ['series --from -7d --every 1h', 'series --lot north --agg mean max -o csv'],
  profile: ['profile --lot north', 'profile --lot north --from -26w --metric utilisation -o csv'],
  completeness: ['completeness --from -7d --every 1d', 'completeness --lot north -o json'],
  readings: ['readings --lot north --from -1d', 'readings --from -30d -o parquet --file month.parquet'],
  'device health': ['device health', 'device health --state offline late'],
  'device history': [
    'device history --device gate-1 --from -7d',
    'device history --lot north --every 1d -o csv',
  ],
  'quarantine list': ['quarantine', 'quarantine list --reason reading.negative'],
  'login-link': ['login-link', 'login-link --account maria'],
  'token get': ['token get --audience ingest', 'token get --audience provisioning --scope read:devices'],
  'tls init': [
    'tls init ./tls --server localhost',
    'tls init ./tls --server lots.example:10.0.0.7,lots --days 90',
  ],
  version: ['version', 'version --no-input'],
  completion: ['completion bash > lotctl.bash', 'completion zsh'],
}

function addCompletion(lotctl: Command, options: CommandsOptions): void {
  const load = () => import('./commands/completion.ts')
  const plain = () => createCommands(options)
  lotctl
    .command('completion')
    .description('print a script that lets a shell complete commands and ids')
    .addArgument(new Argument('<shell>', 'which').choices(['bash', 'zsh', 'fish', 'powershell']))
    .action(async (shell: string) => (await load()).completionScript(plain(), shell))
  lotctl
    .command('complete', { hidden: true })
    .description('what a shell asks when it completes')
    .argument('[words...]', 'as they stand')
    .action(async (words: string[]) => (await load()).complete(plain(), options.home, words))
}

function withAccess(command: Command, program?: string): Command {
  if (program !== undefined) command.option('--server <url>', `where ${program} is`)
  return command
    .option('--credential <file>', 'who asks; default: operator.json in the data folder')
    .option('--profile <name>', 'who asks and where, as lotctl login has kept it')
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

function outputOption(more: readonly string[] = []): Option {
  return new Option('-o, --output <format>', 'how to print the answer')
    .choices([...outputs, ...more])
    .default('table')
}

function withAmong(command: Command): Command {
  return command
    .addOption(new Option('--lot <ids...>', 'of these lots; default: all'))
    .option('--device <ids...>', 'of these devices')
    .option('--tag <tags...>', 'of devices with one of these tags')
}

function withRange(command: Command, from?: string): Command {
  return command
    .option('--from <time>', 'RFC 3339, a date, or relative to now: -7d, now-1d/d', from)
    .option('--to <time>', 'as --from; default now')
}

function withWindows(command: Command, from: string): Command {
  return withRange(command, from).option(
    '--every <length>',
    'length of a window: 15m, 1h, 1d, 1w, auto',
    matching(everyPattern),
  )
}

function qualityOption(): Option {
  return new Option('--quality <which>', 'good leaves out readings with a flag other than late').choices([
    'all',
    'good',
  ])
}

function limitOption(): Option {
  return new Option('--limit <number>', 'at most so many rows').argParser(positive)
}

function cursorOption(): Option {
  return new Option('--cursor <cursor>', 'go on where the last answer ended')
}

function accessOf({ server, credential, profile }: AccessOptions): AccessOptions {
  return {
    ...(server === undefined ? {} : { server }),
    ...(credential === undefined ? {} : { credential }),
    ...(profile === undefined ? {} : { profile }),
  }
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

function matching(pattern: string) {
  return (text: string): string => {
    if (!new RegExp(pattern).test(text)) throw new InvalidArgumentError('such as 15m, 1h, 1d')
    return text
  }
}
