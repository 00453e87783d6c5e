/**
 * The live feed: every reading that was stored a moment ago, to whoever listens. One ring of the newest readings serves
 * all: each listener only has a place in it, so a slow one costs nobody anything. Who falls out of the ring, or takes
 * nothing for too long, is cut and told why; who comes back goes on where it was, or hears that it missed something.
 */
import type { DeviceId, LotId } from '../core/contract/device.ts'
import type { StoredReading } from './store/store.ts'

/** Why a listener is cut. */
export type CutReason = 'slow' | 'token.expired' | 'token.revoked' | 'stopping'

/** Where the text goes: a socket, mostly. */
export interface Outlet {
  /** @returns false when no more should be written until `drained` is called */
  write(text: string): boolean
  /** The last word has been written; what has not gone out in a moment is thrown away. */
  end(): void
}

export interface ListenerOptions {
  readonly outlet: Outlet
  /** The id of the last event that was seen; undefined: from now on. */
  readonly after: string | undefined
  /** The text of a reading's event; undefined when this listener is not to see it. */
  readonly show: (stored: StoredReading, id: string) => string | undefined
  /** Why it may listen no longer; asked again and again. */
  readonly ending: () => CutReason | undefined
}

export interface Listener {
  drained(): void
  leave(): void
}

export interface LiveOptions {
  readonly readingsMax: number
  readonly listenersMax: number
  /** How long a listener may take nothing before it is cut. */
  readonly stallMs: number
  /** Distinguishes this run of the program: places in its ring mean nothing in another. */
  readonly run: string
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
  /** Calls back soon, when what is under way now is done. */
  readonly soon: (callback: () => void) => void
}

/** Events written to one listener before others have their turn. */
const eventsPerTurn = 500
const beatText = ': beat\n\n'
/** A handover that was tried again is stored after others that were received later, and clocks of brokers differ. */
const detourMs = 60_000

interface Place {
  readonly options: ListenerOptions
  /** Number of the reading it has not seen yet. */
  next: number
  isBlocked: boolean
  blockedAtMs: number
}

export class Live {
  readonly #options: LiveOptions
  readonly #ring: (StoredReading | undefined)[]
  readonly #places = new Set<Place>()
  /** Number of the next reading; the ring has the ones before it. */
  #end = 0
  #isPumping = false

  constructor(options: LiveOptions) {
    this.#options = options
    this.#ring = new Array(options.readingsMax)
  }

  get listenerCount(): number {
    return this.#places.size
  }

  get isFull(): boolean {
    return this.#places.size >= this.#options.listenersMax
  }

  /** After their commit, in the order in which they were stored. */
  add(readings: readonly StoredReading[]): void {
    for (const reading of readings) this.#ring[this.#end++ % this.#options.readingsMax] = reading
    if (this.#places.size > 0 && readings.length > 0) this.#pumpSoon()
  }

  listen(options: ListenerOptions): Listener {
    const place: Place = { options, next: this.#end, isBlocked: false, blockedAtMs: 0 }
    if (options.after !== undefined) this.#resume(place, options.after)
    this.#places.add(place)
    this.#pumpSoon()
    return {
      drained: () => {
        place.isBlocked = false
        this.#pumpSoon()
      },
      leave: () => void this.#places.delete(place),
    }
  }

  /** Now and then: a sign of life for those who wait, and the end for those who may listen no longer or take nothing. */
  beat(): void {
    const { nowMs, stallMs } = this.#options
    for (const place of [...this.#places]) {
      const ending = place.options.ending()
      if (ending !== undefined) this.#cut(place, ending)
      else if (place.isBlocked && nowMs() - place.blockedAtMs > stallMs) this.#cut(place, 'slow')
      else if (!place.isBlocked) this.#write(place, beatText)
    }
  }

  /** Cuts those who may listen no longer; oftener than a beat. */
  sweep(): void {
    for (const place of [...this.#places]) {
      const ending = place.options.ending()
      if (ending !== undefined) this.#cut(place, ending)
    }
  }

  stop(): void {
    for (const place of [...this.#places]) this.#cut(place, 'stopping')
  }

  get #start(): number {
    return Math.max(0, this.#end - this.#options.readingsMax)
  }

  #resume(place: Place, after: string): void {
    const [run, number, receivedAt] = after.split('-')
    const next = Number(number) + 1
    if (run === this.#options.run && Number.isSafeInteger(next) && next >= this.#start && next <= this.#end) {
      place.next = next
      return
    }
    // What is still here comes once more; what came before it has to be asked for.
    place.next = this.#start
    const oldest = this.#ring[this.#start % this.#options.readingsMax]
    const oldestMs = this.#end > this.#start ? oldest?.receivedAtMs : undefined
    const seenMs = /^\d{1,15}$/.test(receivedAt ?? '') ? Number(receivedAt) : undefined
    const data = JSON.stringify({
      reason: 'too_old',
      receivedFrom: seenMs === undefined ? null : new Date(Math.max(0, seenMs - detourMs)),
      receivedBefore: oldestMs === undefined ? null : new Date(oldestMs),
    })
    this.#write(place, `event: missed\ndata: ${data}\n\n`)
  }

  /** Also tells another run of the program since when something is missed. */
  #idOf(number: number, { receivedAtMs }: StoredReading): string {
    return `${this.#options.run}-${number}-${Math.floor(receivedAtMs)}`
  }

  #pumpSoon(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    this.#options.soon(() => {
      this.#isPumping = false
      let isBehind = false
      for (const place of [...this.#places]) isBehind = this.#pump(place) || isBehind
      if (isBehind) this.#pumpSoon()
    })
  }

  /** @returns whether there is more that it could take */
  #pump(place: Place): boolean {
    if (place.next < this.#start) {
      this.#cut(place, 'slow')
      return false
    }
    if (place.isBlocked) return false
    let text = ''
    const until = Math.min(this.#end, place.next + eventsPerTurn)
    for (; place.next < until; place.next++) {
      const stored = this.#ring[place.next % this.#options.readingsMax]
      if (stored !== undefined) text += place.options.show(stored, this.#idOf(place.next, stored)) ?? ''
    }
    if (text !== '') this.#write(place, text)
    return !place.isBlocked && place.next < this.#end
  }

  #write(place: Place, text: string): void {
    if (place.options.outlet.write(text)) return
    place.isBlocked = true
    place.blockedAtMs = this.#options.nowMs()
  }

  #cut(place: Place, reason: CutReason): void {
    this.#places.delete(place)
    place.options.outlet.write(`event: cut\ndata: ${JSON.stringify({ reason })}\n\n`)
    place.options.outlet.end()
  }
}

/** Which readings somebody asked for, and may see. */
export interface LiveFilter {
  readonly lots: ReadonlySet<LotId> | undefined
  readonly devices: ReadonlySet<DeviceId> | undefined
  /** The limit of the token. */
  readonly limit: ReadonlySet<LotId> | undefined
}

export function isWanted(
  { lots, devices, limit }: LiveFilter,
  deviceId: DeviceId,
  lotId: LotId | undefined,
): boolean {
  if (devices !== undefined && !devices.has(deviceId)) return false
  if (lots !== undefined && (lotId === undefined || !lots.has(lotId))) return false
  return limit === undefined || (lotId !== undefined && limit.has(lotId))
}
