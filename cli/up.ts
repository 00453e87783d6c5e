/**
 * `up`: the whole system on one machine. Starts provisioning, broker, ingest and console side by side (each waits for the others
 * by itself), then the demonstration fleet when asked; says where things are, then what is stored, until it is told to stop.
 */
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pc from 'picocolors'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import type { FleetProgress } from '../core/contract/fleet.ts'
import { openAccess } from './access.ts'
import { type Exit, exits } from './exit.ts'
import { type FleetOptions, type PreparedFleet, prepareFleet, runFleet } from './fleet.ts'
import { type Hold, hold } from './hold.ts'
import { type Home, untilInterrupted } from './home.ts'
import { LogFile } from './log-file.ts'
import { shownLine } from './log-line.ts'
import { newLoginLink } from './login-link.ts'
import { Notices } from './notices.ts'
import { counted, sheet } from './output.ts'
import { type LocalProgram, localPrograms, placesOf, wiringOf } from './places.ts'
import { createScreen, type Screen } from './screen.ts'
import { countStored, recentAnswers, type StoredAt, storedLine } from './stored.ts'
import { type Supervised, supervise } from './supervisor.ts'

/** Measured: a young generation this large takes a fifth off the broker's time per message, and some off a token's. */
const nodeOptionsOf: Partial<Record<LocalProgram, readonly string[]>> = {
  broker: ['--max-semi-space-size=64'],
  provisioning: ['--max-semi-space-size=32'],
}

/** Statements of DuckDB each take a thread of the pool: with more of them ingest answers more questions at once. */
const envOf: Partial<Record<LocalProgram, Readonly<Record<string, string>>>> = {
  ingest: { UV_THREADPOOL_SIZE: '16' },
}

/**
 * Who may take how long to end, in this order; together less than the 5 s that an operator waits.
 * The fleet first, while there is somebody to acknowledge what is in flight.
 */
const stopOrder = [
  ['fleet', 1800],
  ['console', 300],
  ['broker', 1100],
  ['ingest', 900],
  ['provisioning', 500],
] as const

const noSettings = { env: {}, file: undefined }
/** For programs that were started with the one that is misconfigured to say whether they are too. */
const othersWaitMs = 1500
const askEveryMs = 2000
/** Asking what is stored takes at most this part of the time. */
const askShare = 0.2

export async function up(home: Home, options: { fleet?: FleetOptions }): Promise<Exit> {
  const dataDir = resolve(home.config.dataDir)
  const interrupted = untilInterrupted()
  const held = await hold(join(dataDir, 'up.pid'), `the data folder ${dataDir}`)
  const system = new LocalSystem(home, dataDir, held)
  try {
    const running = system.start(options.fleet).then(() => system.tell())
    await Promise.race([running, interrupted, system.failed])
    return exits.ok
  } finally {
    await system.stop()
    held.release()
  }
}

/** The programs of one machine, their logs, and what is said of them. */
class LocalSystem {
  /** Never resolves; rejects when one of the programs cannot run. */
  readonly failed: Promise<never>
  readonly #home: Home
  readonly #dataDir: string
  readonly #hold: Hold
  readonly #screen: Screen
  readonly #programs = new Map<string, Supervised>()
  readonly #notices = new Notices()
  readonly #stopped = new AbortController()
  #fail: (error: unknown) => void = () => undefined
  #fleet: PreparedFleet | undefined
  #progress: FleetProgress | undefined
  #answers: readonly StoredAt[] = []
  #isReady = false

  constructor(home: Home, dataDir: string, hold: Hold) {
    this.#home = home
    this.#dataDir = dataDir
    this.#hold = hold
    this.#screen = createScreen({
      write: (text) => process.stdout.write(text),
      columns: () => (process.stdout.isTTY ? process.stdout.columns : undefined),
      nowMs: () => performance.now(),
    })
    this.failed = new Promise((_, reject) => {
      this.#fail = reject
    })
  }

  /** Resolves when every program is ready, and the fleet if there is one. */
  async start(fleet: FleetOptions | undefined): Promise<void> {
    const { source, places, programsDir } = this.#home
    const env = { ...source.env, ...wiringOf(source, places), LOTWATCH_DATA: this.#dataDir }
    const all = localPrograms.map((name) => {
      const file = join(programsDir, `${name}.mjs`)
      const spec = {
        name,
        file,
        env: { ...envOf[name], ...env },
        nodeOptions: nodeOptionsOf[name] ?? [],
        restarts: true,
      }
      return this.#add(supervise(spec, this.#watcher(name))).ready
    })
    await Promise.all([...all, this.#startFleet(fleet)])
    this.#isReady = true
  }

  /** Only needs provisioning: devices wait for the broker by themselves. */
  async #startFleet(options: FleetOptions | undefined): Promise<void> {
    if (options === undefined) return
    await this.#programs.get('provisioning')?.ready
    this.#fleet = await prepareFleet(this.#home, options)
    if (this.#stopped.signal.aborted) return this.#fleet.hold.release()
    const progress = (now: FleetProgress) => {
      this.#progress = now
      if (this.#answers.length > 0) this.#redraw()
    }
    const watcher = { ...this.#watcher('fleet'), progress }
    await this.#add(runFleet(this.#home, this.#fleet, { restarts: true, ...watcher })).ready
  }

  /** Where things are, once; then what is stored, until it is stopped. */
  async tell(): Promise<void> {
    this.#screen.say(this.#welcome())
    const api = openAccess(this.#home.config, this.#home.places, {}).api('ingest')
    while (!this.#stopped.signal.aborted) {
      const askedAtMs = performance.now()
      const stored = await countStored(api, Date.now()).catch(() => undefined) // ingest is away; its log says why
      const atMs = performance.now()
      this.#answers = stored === undefined ? [] : recentAnswers(this.#answers, { stored, atMs })
      this.#tellMore()
      this.#redraw()
      const waitMs = Math.max(askEveryMs, (atMs - askedAtMs) / askShare)
      await delay(waitMs, undefined, { signal: this.#stopped.signal }).catch(() => undefined) // stopped: the loop ends
    }
  }

  #redraw(): void {
    if (!this.#stopped.signal.aborted) this.#screen.live(storedLine(this.#answers, this.#progress))
  }

  async stop(): Promise<void> {
    const sinceMs = performance.now()
    this.#stopped.abort()
    this.#screen.end()
    for (const [name, graceMs] of stopOrder) await this.#programs.get(name)?.stop(graceMs)
    this.#fleet?.hold.release()
    if (this.#isReady) this.#screen.say(`stopped in ${seconds(performance.now() - sinceMs)}`)
  }

  #add(program: Supervised): Supervised {
    this.#programs.set(program.name, program)
    program.failed.catch((error: unknown) => this.#failTogether(error))
    return program
  }

  /** Programs read their settings at the same time: their faults are told in one error, whoever came first. */
  async #failTogether(first: unknown): Promise<void> {
    if (!isFleetError(first, 'config.invalid') || this.#isReady) return this.#fail(first)
    const failures: unknown[] = []
    for (const { failed } of this.#programs.values()) failed.catch((error: unknown) => failures.push(error))
    await delay(othersWaitMs, undefined, { signal: this.#stopped.signal }).catch(() => undefined) // stopped: as far as we know
    this.#fail(together(failures.filter((error) => isFleetError(error, 'config.invalid'))))
  }

  #watcher(name: string) {
    const log = new LogFile(join(this.#dataDir, 'logs', `${name}.log`))
    return {
      started: this.#hold.started,
      line: (line: string) => {
        log.write(line)
        this.#notice(line)
      },
      crashed: (how: string, waitMs: number) => {
        const said = `${name.padEnd(12)}  ${how}; starts again in ${seconds(waitMs)}; its log is ${log.path}`
        this.#screen.say(pc.yellow(said))
      },
    }
  }

  /** Shows a warning or an error; the same one at most every ten seconds, and of one kind only so many. */
  #notice(line: string): void {
    const shown = shownLine(line)
    if (shown === undefined || this.#stopped.signal.aborted) return
    // Until all are there they warn of each other's absence; the log files keep it.
    if (shown.level === 'warn' && !this.#isReady) return
    this.#tellMore()
    if (!this.#notices.take(shown, performance.now())) return
    this.#screen.say(shown.level === 'warn' ? pc.yellow(shown.text) : pc.red(shown.text))
  }

  #tellMore(): void {
    for (const { kind, more } of this.#notices.ended(performance.now()))
      this.#screen.say(pc.yellow(`and ${more} more of ${kind} in ${join(this.#dataDir, 'logs')}`))
  }

  /** What the lines to copy need in another terminal, where only the defaults are known. */
  #elsewhere(): { credential: string; server: string } {
    const { places, config } = this.#home
    const isHere = this.#dataDir === resolve('data')
    return {
      credential: isHere ? '' : ` --credential ${join(config.dataDir, 'operator.json')}`,
      server: places.ingestUrl === placesOf(noSettings).ingestUrl ? '' : ` --server ${places.ingestUrl}`,
    }
  }

  #welcome(): string {
    const { places } = this.#home
    const plan = this.#fleet?.plan
    const what =
      plan === undefined
        ? ''
        : ` with ${counted(plan.devices.length, 'device')} in ${counted(plan.lots.length, 'lot')}`
    const { credential, server } = this.#elsewhere()
    const token = `npx lotctl token get --audience ingest${credential}`
    const trust = places.caFile === undefined ? '' : ` --cacert ${places.caFile}`
    // Printed, and in no log: whoever opens it is the administrator.
    const link = newLoginLink({ dataDir: this.#dataDir, consoleUrl: places.consoleUrl })
    return [
      '',
      `${pc.bold('Lotwatch')} is running${what}.`,
      '',
      sheet([
        ['console', `${places.consoleUrl}  charts and tables`],
        ['sign in', `${link}  once, within the hour; then: npx lotctl login-link`],
        ['provisioning', `${places.provisioningUrl}  registry and tokens`],
        ['broker', `${places.brokerUrl}  where devices connect`],
        ['ingest', `${places.ingestUrl}  store and queries`],
        ['data', this.#dataDir],
        ['ask', `curl${trust} -H "Authorization: Bearer $(${token})" '${places.ingestUrl}/v1/latest'`],
        ['or', `npx lotctl latest${server}${credential}`],
        ['stop', 'Ctrl-C; the next start goes on with the same data'],
      ]),
      '',
      `ready in ${seconds(performance.now())}`,
    ].join('\n')
  }
}

function together(errors: readonly FleetError[]): FleetError {
  const [first] = errors
  if (errors.length === 1 && first !== undefined) return first
  return new FleetError('config.invalid', errors.map(({ message }) => message).join(', '), {
    faults: [...new Set(errors.flatMap(({ faults }) => faults))],
  })
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
