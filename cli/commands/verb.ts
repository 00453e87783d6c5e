/** How a verb of the registry is made: the options all share, its examples, and a call that is opened when it runs. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { isZone } from '../../core/contract/zone.ts'
import type { Call, CallFlags } from '../call.ts'
import type { Exit } from '../exit.ts'
import type { Home } from '../home.ts'
import { outputs } from '../output.ts'

export interface Desk {
  /** Called by the verbs that need settings; help does not. */
  readonly home: () => Home
  /** The exit code of a verb that has more to say than that it worked. */
  readonly exit: (code: Exit) => void
}

export interface VerbShape {
  readonly description: string
  /** Two command lines, without `lotctl`. */
  readonly examples: readonly [string, string]
  /** It changes something: `--dry-run`. */
  readonly changes?: true
  /** It cannot be undone: `--yes`. */
  readonly destroys?: true
  /** It hands out a secret: `--out`, and no `-q`. */
  readonly issues?: true
}

export function noun(parent: Command, name: string, description: string, plural?: string): Command {
  const command = parent.command(name).description(description)
  return plural === undefined ? command : command.alias(plural)
}

/** @param usage name and arguments, as commander takes them */
export function verb(parent: Command, usage: string, shape: VerbShape): Command {
  const command = parent
    .command(usage)
    .description(shape.description)
    .addHelpText('before', examplesText(shape.examples))
    .addOption(
      new Option('-o, --output <format>', 'how to print the answer').choices(outputs).default('table'),
    )
  if (shape.issues !== true) command.option('-q, --quiet', 'ids alone, one a line')
  if (shape.issues === true) command.option('--out <file>', 'write the secret there, mode 0600')
  if (shape.changes === true) command.option('--dry-run', 'tell what would be asked for, and change nothing')
  if (shape.destroys === true || shape.issues === true)
    command.option('-y, --yes', shape.issues === true ? 'replace the file that is there' : 'do not ask')
  return command
    .option(
      '--server <url>',
      'where the program is that is asked: provisioning, unless the verb says another',
    )
    .option('--credential <file>', 'who asks; default: operator.json in the data folder')
    .option('--profile <name>', 'who asks and where, as lotctl login has kept it')
    .addOption(new Option('--timeout <length>', 'for one answer, such as 10s').argParser(lengthMs))
    .option('--tz <zone>', 'IANA time zone of times; default UTC', zone)
}

/** What a verb does; loaded when it is called. */
export type Work<Flags extends CallFlags> = (
  call: Call,
  flags: Flags,
  ...args: string[]
) => Promise<Exit | undefined> | Promise<void>

/** @param load imports the work */
export function runs<Flags extends CallFlags = CallFlags>(
  command: Command,
  desk: Desk,
  load: () => Promise<Work<Flags>>,
): void {
  command.action(async () => {
    const { timeout, ...flags } = command.opts<Flags & { timeout?: number }>()
    const [work, { Call }] = await Promise.all([load(), import('../call.ts')])
    const whole = { ...flags, ...(timeout === undefined ? {} : { timeoutMs: timeout }) } as unknown as Flags // the same options
    const call = new Call(desk.home(), whole)
    // Commander has them in the order of the usage; the last may be a list.
    const code = await work(call, whole, ...(command.processedArgs.flat().filter(isGiven) as string[]))
    call.finish()
    if (code !== undefined) desk.exit(code)
  })
}

export function examplesText(examples: readonly string[]): string {
  return `${examples.map((example) => `  lotctl ${example}`).join('\n')}\n`
}

export function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('not a number above zero')
  return value
}

export function whole(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError('not a whole number')
  return Number(text)
}

export function coordinate(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isFinite(value)) throw new InvalidArgumentError('not a number')
  return value
}

export function zone(name: string): string {
  if (!isZone(name)) throw new InvalidArgumentError('not an IANA time zone, such as Europe/London')
  return name
}

/** `30s`, `15m`, `2h`, `7d`, `500ms`; a bare number is seconds. */
export function lengthMs(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?$/.exec(text)
  if (match === null) throw new InvalidArgumentError('such as 30s, 15m, 2h, 7d')
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return Math.round(Number(match[1]) * units[(match[2] ?? 's') as keyof typeof units])
}

export function lengthSec(text: string): number {
  return Math.round(lengthMs(text) / 1000)
}

/** RFC 3339 or a date in UTC, as Unix milliseconds. */
export function instantMs(text: string): number {
  const value = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*(Z|[+-][0-9]{2}:[0-9]{2}))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isNaN(value)) throw new InvalidArgumentError('not a date, nor a time with its offset (RFC 3339)')
  return value
}

function isGiven(argument: unknown): boolean {
  return argument !== undefined
}
