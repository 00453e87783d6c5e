/**
 * One run of a verb: calls to provisioning, or to the program that the verb asks, and the answer in the form that was asked for. With `--dry-run`
 * what would be changed is told instead; without a terminal nothing is ever asked.
 */
import { existsSync } from 'node:fs'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import type { Api, ApiRequest } from '../core/runtime/fetch.ts'
import { type Access, type AccessOptions, type CalledProgram, openAccess } from './access.ts'
import { type Listing, type Look, listing, thing } from './answer.ts'
import { type Exit, exitOf, exits, explain } from './exit.ts'
import type { Home, Voice } from './home.ts'
import type { Output } from './output.ts'
import { writePrivate } from './profiles.ts'

/** Options that verbs share, as commander names them. */
export interface CallFlags extends AccessOptions {
  readonly output?: Output
  readonly quiet?: true
  /** False with `--no-input`. */
  readonly input?: boolean
  readonly yes?: true
  readonly dryRun?: true
  readonly timeoutMs?: number
  readonly tz?: string
  readonly out?: string
}

/** Headers of a conditional request (RFC 9110 §13). */
export type Match = Readonly<Record<string, string>>

interface Planned {
  readonly method: string
  readonly path: string
  readonly body?: unknown
}

export class Call {
  readonly home: Home
  readonly flags: CallFlags
  readonly look: Look
  readonly #planned: Planned[] = []
  #access: Access | undefined
  #program: CalledProgram = 'provisioning'

  constructor(home: Home, flags: CallFlags) {
    this.home = home
    this.flags = flags
    this.look = { output: flags.output ?? 'table', quiet: flags.quiet ?? false, tz: flags.tz ?? 'UTC' }
  }

  get voice(): Voice {
    return this.home.voice
  }

  get timeoutMs(): number {
    return this.flags.timeoutMs ?? this.home.config.timeoutSec * 1000
  }

  get access(): Access {
    this.#access ??= openAccess(this.home.config, this.home.places, this.flags)
    return this.#access
  }

  /** Whom the verb asks from now on; provisioning until then. */
  asks(program: CalledProgram): void {
    this.#program = program
  }

  get api(): Api {
    return this.access.api(this.#program)
  }

  get<Answer>(path: string, query: NonNullable<ApiRequest['query']> = {}): Promise<Answer> {
    return this.api.json<Answer>(path, { query, timeoutMs: this.timeoutMs })
  }

  /** For a change that must not overwrite what somebody else changed meanwhile. Nothing there: `value` is undefined. */
  async read<Thing>(path: string): Promise<{ readonly value?: Thing; readonly match: Match }> {
    try {
      const response = await this.api.response(path, { timeoutMs: this.timeoutMs })
      const etag = response.headers.get('etag')
      const value = (await response.json()) as Thing // its shape is the caller's word
      return { value, match: etag === null ? {} : { 'if-match': etag } }
    } catch (error) {
      if (isFleetError(error, 'request.not_found')) return { match: { 'if-none-match': '*' } }
      throw error
    }
  }

  /** All pages of a list route, at most `max` rows. */
  async all<Item>(
    path: string,
    member: string,
    query: NonNullable<ApiRequest['query']> = {},
    max = Number.POSITIVE_INFINITY,
  ): Promise<Item[]> {
    const items: Item[] = []
    let cursor: string | undefined
    do {
      const page = await this.get<Record<string, unknown>>(path, { ...query, cursor })
      items.push(...((page[member] ?? []) as Item[])) // a list route of the contract
      cursor = page.nextCursor as string | undefined // as above
    } while (cursor !== undefined && items.length < max)
    if (cursor !== undefined || items.length > max)
      this.voice.note(`there is more: --limit ${max} was reached`)
    return items.slice(0, max)
  }

  /** @returns undefined when it is only planned (`--dry-run`), and the answer of a route that has none */
  async change<Answer>(
    method: string,
    path: string,
    body?: unknown,
    match: Match = {},
  ): Promise<Answer | undefined> {
    if (this.flags.dryRun === true) {
      this.#planned.push({ method, path, ...(body === undefined ? {} : { body }) })
      return undefined
    }
    return this.api.json<Answer>(path, {
      method,
      timeoutMs: this.timeoutMs,
      headers: match,
      ...(body === undefined ? {} : { body }),
    })
  }

  /** Tells what a dry run would have done. */
  finish(): void {
    if (this.flags.dryRun !== true || this.#planned.length === 0) return
    const whole = { dryRun: true, requests: this.#planned }
    this.#say(
      listing({ rows: this.#planned, columns: ['method', 'path', 'body'], id: 'path', whole }, this.look),
    )
    this.voice.note('nothing was changed')
  }

  list(answer: Listing): void {
    this.#say(listing(answer, this.look))
    if (answer.rows.length === 0 && this.look.output === 'table') this.voice.note('nothing there')
  }

  /** Nothing for what was only planned. */
  show(value: object | undefined, id: string): void {
    if (value !== undefined) this.#say(thing(value, id, this.look))
  }

  /** What a verb did that has no other answer. */
  done(did: object): void {
    if (this.flags.dryRun !== true) this.show(did, Object.keys(did)[0] ?? '')
  }

  /**
   * Where a secret goes that is shown once: into a file of mode 0600, or to standard output.
   * Called before anything is asked for, it makes sure that no file is in the way.
   */
  keepSecret(): (secret: object, told: object) => void {
    const { out, yes, dryRun } = this.flags
    if (out !== undefined && existsSync(out) && yes !== true)
      throw new FleetError('request.conflict', `${out} exists; --yes replaces it`)
    return (secret, told) => {
      if (dryRun === true) return
      if (out !== undefined) {
        writePrivate(out, secret)
        this.show({ ...told, file: out }, Object.keys(told)[0] ?? '')
        return
      }
      // A client that brought its own key has no secret to keep.
      if (!('token_endpoint_auth_method' in secret) || 'client_secret' in secret)
        this.voice.note('shown once: keep it; --out FILE writes it with mode 0600')
      // A secret is JSON also where a table was asked for: it is a file that programs read.
      this.voice.answer(JSON.stringify(secret, undefined, this.look.output === 'ndjson' ? undefined : 2))
    }
  }

  /**
   * Asks before what cannot be undone.
   * @throws FleetError `request.invalid` where nobody can be asked and `--yes` was not given
   */
  async confirm(question: string): Promise<void> {
    if (this.flags.yes === true || this.flags.dryRun === true) return
    if (this.flags.input === false || process.stdin.isTTY !== true || process.stderr.isTTY !== true)
      throw new FleetError('request.invalid', `${question} Nobody can be asked here: --yes says so`)
    const { confirm } = await import('@clack/prompts')
    const answer = await confirm({ message: question, initialValue: false, output: process.stderr })
    if (answer !== true) throw new FleetError('request.invalid', 'nothing was changed')
  }

  /** Does it for each; what fails is told beside the rest. */
  async each<Item extends object>(
    ids: readonly string[],
    work: (id: string) => Promise<Item | undefined>,
    { columns, id }: Pick<Listing, 'columns' | 'id'>,
  ): Promise<Exit> {
    const rows: Item[] = []
    const errors: unknown[] = []
    for (const one of ids) {
      try {
        const row = await work(one)
        if (row !== undefined) rows.push(row)
      } catch (error) {
        if (ids.length === 1 || !isFleetError(error) || error.kind !== 'invalid') throw error
        errors.push(error)
        this.voice.note(`${one}: ${explain(error)}`)
      }
    }
    if (ids.length === 1) this.show(rows[0], id)
    else if (this.flags.dryRun !== true) this.list({ rows, columns, id })
    if (errors.length === 0) return exits.ok
    return errors.length < ids.length ? exits.partial : exitOf(errors[0])
  }

  #say(text: string | undefined): void {
    if (text !== undefined) this.voice.answer(text)
  }
}

/** Where things of a kind are found: by their id, the start of it, or their name. */
export interface Kind {
  readonly noun: string
  readonly path: string
  readonly member: string
  readonly id: string
  /** The list route takes `search`. */
  readonly searches?: true
}

const candidatesShownMax = 5

/**
 * The id that a person meant: itself, its only continuation, or the only thing of that name.
 * @throws FleetError `request.not_found`; `request.invalid` when several could be meant
 */
export async function findId(call: Call, kind: Kind, given: string): Promise<string> {
  if (kind.searches === true && (await isThere(call, `${kind.path}/${encodeURIComponent(given)}`)))
    return given
  const items = await call.all<Record<string, unknown>>(
    kind.path,
    kind.member,
    kind.searches === true ? { search: given.slice(0, 64), limit: 100 } : {},
    kind.searches === true ? 100 : undefined,
  )
  const ids = items.map((item) => String(item[kind.id]))
  if (ids.includes(given)) return given
  const meant = items
    .filter((item) => String(item[kind.id]).startsWith(given) || item.name === given)
    .map((item) => String(item[kind.id]))
  const [only] = meant
  if (only === undefined) throw new FleetError('request.not_found', `there is no ${kind.noun} "${given}"`)
  if (meant.length > 1) {
    const shown = meant.slice(0, candidatesShownMax).join(', ')
    const more = meant.length > candidatesShownMax ? ', …' : ''
    throw new FleetError('request.invalid', `"${given}" could be any of ${meant.length}: ${shown}${more}`)
  }
  call.voice.note(`${kind.noun} ${only}`)
  return only
}

async function isThere(call: Call, path: string): Promise<boolean> {
  try {
    await call.get(path)
    return true
  } catch (error) {
    // What is no identifier may still be a name.
    if (isFleetError(error, 'request.not_found') || isFleetError(error, 'request.invalid')) return false
    throw error
  }
}
