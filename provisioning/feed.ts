/**
 * The feed's followers. Each is a loop of its own that reads the log from where it stands and waits for the next
 * commit, so that nothing is queued for it here: a slow follower costs one page of events, and is cut when it does
 * not take that in time.
 */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { FleetError } from '../core/contract/errors.ts'
import type { FeedRecord, RegistryRepository } from './repository/repository.ts'

export interface FeedOptions {
  readonly repository: Pick<RegistryRepository, 'feedAfter' | 'feedSnapshot' | 'onCommit'>
  /** A comment goes out this often when nothing else does. */
  readonly beatMs: number
  /** How long a follower may take to accept what was sent. */
  readonly drainMs?: number
}

export interface Follower {
  readonly out: Writable
  /** The position it has seen; undefined: it needs a snapshot. */
  readonly after: number | undefined
  /** Which events it wants, beside the snapshot; undefined: all. */
  readonly types?: ReadonlySet<FeedRecord['type']> | undefined
  /** Asked before anything is sent. */
  readonly mayFollow: () => Promise<boolean>
}

const pageEvents = 500
const followersMax = 256

export class Feed {
  readonly #repository: FeedOptions['repository']
  readonly #drainMs: number
  readonly #beat: NodeJS.Timeout
  readonly #stopListening: () => void
  readonly #following = new Map<Writable, Promise<void>>()
  /** What was read since the last commit: followers who stand at one place read once. */
  readonly #pages = new Map<number, Promise<readonly FeedRecord[] | undefined>>()
  #snapshot: Promise<{ position: number; text: string }> | undefined
  #wake = () => {}
  #woken!: Promise<void> // the constructor's first act
  #stopped = false

  constructor({ repository, beatMs, drainMs = 15_000 }: FeedOptions) {
    this.#repository = repository
    this.#drainMs = drainMs
    this.#rest()
    this.#beat = setInterval(() => this.#announce(), beatMs)
    this.#stopListening = repository.onCommit(() => this.#announce())
  }

  /** Tells all followers that there may be news. */
  #announce(): void {
    const wake = this.#wake
    this.#pages.clear()
    this.#snapshot = undefined
    this.#rest()
    wake()
  }

  /** @throws FleetError `system.busy` when there are too many already; to be asked before the answer begins */
  requireRoom(): void {
    if (this.#following.size >= followersMax)
      throw new FleetError('system.busy', 'too many followers of the feed')
  }

  /** Writes events to `out` until it closes, the follower is no longer welcome, or the feed stops; then ends it. */
  follow(follower: Follower): Promise<void> {
    const { out } = follower
    // Gone while it was let in: it would never say so again, and keep its place for ever.
    if (out.destroyed) return Promise.resolve()
    out.once('close', () => this.#following.delete(out))
    // When the repository is away the follower is sent away too: it comes back with the position it has.
    const done = this.#run(follower).then(
      () => void out.end(),
      () => void out.destroy(),
    )
    this.#following.set(out, done)
    return done
  }

  /** Ends all followers, and resolves when nothing reads the repository any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#beat)
    this.#stopListening()
    const running = [...this.#following]
    for (const [out] of running) out.destroy()
    this.#announce()
    await Promise.all(running.map(([, done]) => done))
  }

  #rest(): void {
    this.#woken = new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  async #run({ out, after, types, mayFollow }: Follower): Promise<void> {
    let position = after
    let hasSpoken = false
    while (!this.#stopped && !out.destroyed && (await mayFollow())) {
      // Taken before reading: a commit from here on wakes us again.
      const woken = this.#woken
      const page = await this.#read(position, types)
      if (page.text !== '') {
        position = page.position
        hasSpoken = true
        await this.#write(out, page.text)
        continue
      }
      // At once the first time: who comes back knows that nothing was missed.
      if (hasSpoken) await woken
      hasSpoken = true
      await this.#write(out, ':\n\n')
    }
  }

  async #read(
    position: number | undefined,
    types: Follower['types'],
  ): Promise<{ position: number; text: string }> {
    const records = position === undefined ? undefined : await this.#page(position)
    const last = records?.at(-1)
    if (position === undefined || records === undefined) return this.#wholeState()
    if (last === undefined) return { position, text: '' }
    const wanted = types === undefined ? records : records.filter(({ type }) => types.has(type))
    const text = wanted.map((record) => frame(record.position, record.type, record.data)).join('')
    // What it does not want moves its place on all the same: an identifier without data is no event.
    return {
      position: last.position,
      text: wanted.at(-1) === last ? text : `${text}id: ${last.position}\n\n`,
    }
  }

  #page(position: number): Promise<readonly FeedRecord[] | undefined> {
    const known = this.#pages.get(position)
    if (known !== undefined) return known
    const page = this.#repository.feedAfter(position, pageEvents)
    page.catch(() => this.#pages.delete(position))
    this.#pages.set(position, page)
    return page
  }

  #wholeState(): Promise<{ position: number; text: string }> {
    this.#snapshot ??= this.#repository.feedSnapshot().then(({ position, snapshot }) => ({
      position,
      text: frame(position, 'snapshot', JSON.stringify(snapshot)),
    }))
    this.#snapshot.catch(() => {
      this.#snapshot = undefined
    })
    return this.#snapshot
  }

  async #write(out: Writable, text: string): Promise<void> {
    if (out.destroyed || out.write(text)) return
    const closing = new AbortController()
    const cut = () => closing.abort()
    out.once('close', cut)
    // Too slow, or gone.
    await once(out, 'drain', {
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(this.#drainMs)]),
    }).catch(() => out.destroy())
    out.off('close', cut)
  }
}

/** JSON has no line breaks of its own, so one data line holds it. */
function frame(position: number, type: string, data: string): string {
  return `id: ${position}\nevent: ${type}\ndata: ${data}\n\n`
}

/** What a follower says it has seen; anything that is no position of ours means: nothing. */
export function parseLastEventId(header: unknown): number | undefined {
  return typeof header === 'string' && /^[0-9]{1,15}$/.test(header) ? Number(header) : undefined
}
