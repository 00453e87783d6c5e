/**
 * What happens to connections, for operators who watch (`GET /v1/events`): written to each follower as it happens, kept
 * for none. A follower that reads too slowly is cut: it comes back, and knows that it missed something.
 */
import type { Writable } from 'node:stream'
import { type ConnectionEvent, eventBeatMs } from '../core/contract/connection.ts'
import { FleetError } from '../core/contract/errors.ts'

export interface EventFollower {
  readonly out: Writable
  /** Only what concerns this client identifier; undefined: everything. */
  readonly device: string | undefined
  /** Asked at every beat, and after each revocation: tokens end, and are revoked. */
  readonly mayFollow: () => boolean
}

const followersMax = 32
/** Unread bytes of one follower, about a thousand events. */
const unreadBytesMax = 256 * 1024

export class Events {
  readonly #followers = new Set<EventFollower>()
  readonly #beat: NodeJS.Timeout

  constructor(beatMs = eventBeatMs) {
    this.#beat = setInterval(() => this.#tick(), beatMs)
    this.#beat.unref()
  }

  get followerCount(): number {
    return this.#followers.size
  }

  tell(event: ConnectionEvent): void {
    if (this.#followers.size === 0) return
    const { type } = event
    const text = `event: ${type}\ndata: ${JSON.stringify(event)}\n\n`
    for (const follower of this.#followers)
      if (follower.device === undefined || follower.device === event.device) this.#write(follower, text)
  }

  /** @throws FleetError `system.busy` when there are too many already; to be asked before the answer begins */
  requireRoom(): void {
    if (this.#followers.size >= followersMax)
      throw new FleetError('system.busy', 'too many followers of the events')
  }

  follow(follower: EventFollower): void {
    const { out } = follower
    // Gone while it was let in: it would never say so again.
    if (out.destroyed) return
    this.#followers.add(follower)
    out.once('close', () => this.#followers.delete(follower))
    this.#write(follower, ':\n\n')
  }

  /** Ends those who may not follow any more. */
  sendAway(): void {
    for (const { out, mayFollow } of this.#followers) if (!mayFollow()) out.end()
  }

  stop(): void {
    clearInterval(this.#beat)
    for (const { out } of this.#followers) out.destroy()
  }

  #tick(): void {
    this.sendAway()
    for (const follower of this.#followers) this.#write(follower, ':\n\n')
  }

  #write({ out }: EventFollower, text: string): void {
    if (out.writableEnded || out.destroyed) return
    out.write(text)
    if (out.writableLength > unreadBytesMax) out.destroy()
  }
}
