/**
 * Who is connected here, said to provisioning, and who is connected elsewhere, heard from the feed. Pure. Provisioning
 * decides which of two connections of a device is the newer; what it says last on the feed holds, so that of two brokers
 * with one device one closes its connection, and never both.
 */
import { type DeviceId, parseDeviceId } from '../core/contract/device.ts'
import type { Contention, Presence, PresenceAnswer, PresenceNews } from '../core/contract/downlink.ts'
import type { FeedEvent } from '../core/contract/feed.ts'

/** A connection of this broker. */
export interface Here {
  readonly deviceId: DeviceId
  /** Tells it from every other of this broker. */
  readonly connectionId: string
  readonly remoteAddress: string
}

/** One connection took the identity from another, at two brokers. */
export interface TakenOver {
  readonly deviceId: DeviceId
  readonly from: string | undefined
  readonly by: string | undefined
}

export interface PresenceOptions {
  readonly brokerId: string
  /** Milliseconds by a clock that only grows. */
  readonly now: () => number
  /** A connection of this broker has to go: its device has a newer one elsewhere. */
  readonly onSuperseded: (deviceId: DeviceId, connectionId: string) => void
  readonly onTakenOver: (between: TakenOver) => void
  /** There is something to report. */
  readonly onNews: () => void
}

export interface PresenceBatch {
  readonly presence: readonly PresenceNews[]
  readonly contended: readonly Contention[]
}

const batchMax = 1000
const contendedMax = 100
/** Devices whose end was not said yet; what is forgotten beyond it provisioning finds out when this broker restarts. */
const newsMax = 100_000

interface Live extends Here {
  readonly atMs: number
  /** The feed has said so: what it says of others from then on is newer. */
  isConfirmed: boolean
}

/** A connection as the feed tells of it, for as long as it is there. */
type Known = Pick<Presence, 'brokerId' | 'connectionId' | 'address'>

export class PresenceBook {
  readonly #options: PresenceOptions
  readonly #here = new Map<DeviceId, Live>()
  /** What the feed said last of each device that is connected, anywhere. */
  readonly #everywhere = new Map<string, Known>()
  /** Their names, each kept once: a connection is to cost little. */
  readonly #brokerIds = new Map<string, string>()
  /** What provisioning has not been told, the newest of each device. */
  readonly #news = new Map<DeviceId, PresenceNews>()
  readonly #contended = new Map<DeviceId, Contention>()

  constructor(options: PresenceOptions) {
    this.#options = options
  }

  get newsCount(): number {
    return this.#news.size
  }

  connected(here: Here): void {
    const { deviceId, connectionId, remoteAddress } = here
    const live: Live = {
      deviceId,
      connectionId,
      remoteAddress,
      atMs: this.#options.now(),
      isConfirmed: false,
    }
    this.#here.set(deviceId, live)
    this.#tell(live)
  }

  closed({ deviceId, connectionId }: Here): void {
    // One that was replaced is not the news any more.
    if (this.#here.get(deviceId)?.connectionId !== connectionId) return
    this.#here.delete(deviceId)
    this.#put({ deviceId, connectionId, connected: false, atMs: this.#options.now() })
  }

  /** Connections fight over a device. */
  contended(contention: Contention & { readonly deviceId: DeviceId }): void {
    this.#contended.set(contention.deviceId, contention)
    const [oldest] = this.#contended.keys()
    if (this.#contended.size > contendedMax && oldest !== undefined) this.#contended.delete(oldest)
    this.#options.onNews()
  }

  /** Takes what is to be reported next; it comes back by `answered` or `failed`. */
  take(): PresenceBatch {
    const presence = [...this.#news.values()].slice(0, batchMax)
    for (const { deviceId } of presence) this.#news.delete(deviceId as DeviceId)
    const contended = [...this.#contended.values()]
    this.#contended.clear()
    return { presence, contended }
  }

  /** It did not arrive, or nobody knows: what has not changed since is said again. */
  failed({ presence, contended }: PresenceBatch): void {
    for (const news of presence)
      if (!this.#news.has(news.deviceId as DeviceId)) this.#news.set(news.deviceId as DeviceId, news)
    for (const one of contended)
      if (!this.#contended.has(one.deviceId as DeviceId)) this.#contended.set(one.deviceId as DeviceId, one)
  }

  answered({ superseded, isNew }: PresenceAnswer): void {
    const gone = new Set(superseded)
    for (const { deviceId, connectionId, remoteAddress } of gone.size === 0 ? [] : [...this.#here.values()]) {
      if (!gone.has(connectionId)) continue
      this.#options.onTakenOver({
        deviceId,
        from: remoteAddress,
        by: this.#everywhere.get(deviceId)?.address,
      })
      this.#options.onSuperseded(deviceId, connectionId)
    }
    if (isNew) for (const live of this.#here.values()) if (!live.isConfirmed) this.#tell(live)
  }

  hear(event: FeedEvent): void {
    if (event.type === 'presence') this.#hearOne(event.data)
    if (event.type !== 'snapshot') return
    this.#everywhere.clear()
    this.#brokerIds.clear()
    for (const presence of event.data.presence) this.#know(presence)
    for (const live of [...this.#here.values()]) {
      const known = this.#everywhere.get(live.deviceId)
      if (known !== undefined) this.#compare(live, known)
      // The events that would have told are skipped: provisioning is asked, which knows.
      if (!live.isConfirmed || known === undefined) this.#unknown(live)
    }
  }

  #hearOne(presence: Presence): void {
    const deviceId = parseDeviceId(presence.deviceId)
    if (deviceId === undefined) return
    const before = this.#everywhere.get(deviceId)
    const live = this.#here.get(deviceId)
    if (!presence.connected) {
      if (before?.brokerId === presence.brokerId) this.#everywhere.delete(deviceId)
      // Nobody heard from this broker for a while, so its connections were held to be gone.
      if (live !== undefined && this.#isOf(live, presence)) this.#unknown(live)
      return
    }
    this.#know(presence)
    if (before !== undefined && !isSame(before, presence) && !this.#isHere(before, presence))
      this.#options.onTakenOver({ deviceId, from: before.address, by: presence.address })
    if (live !== undefined) this.#compare(live, presence)
  }

  #know({ deviceId, brokerId: name, connectionId, address }: Presence): void {
    const brokerId = this.#brokerIds.get(name) ?? name
    this.#brokerIds.set(brokerId, brokerId)
    this.#everywhere.set(deviceId, { brokerId, connectionId, ...(address === undefined ? {} : { address }) })
  }

  /** What the feed says of others before it has said this one is older: the answer to our report decides. */
  #compare(live: Live, known: Known): void {
    if (this.#isOf(live, known)) live.isConfirmed = true
    else if (live.isConfirmed && known.brokerId !== this.#options.brokerId)
      this.#options.onSuperseded(live.deviceId, live.connectionId)
  }

  #unknown(live: Live): void {
    live.isConfirmed = false
    this.#tell(live)
  }

  #tell({ deviceId, connectionId, remoteAddress, atMs }: Live): void {
    this.#put({ deviceId, connectionId, connected: true, address: remoteAddress, atMs })
  }

  #put(news: PresenceNews): void {
    const deviceId = news.deviceId as DeviceId // of a connection that was admitted
    this.#news.delete(deviceId)
    this.#news.set(deviceId, news)
    const [oldest] = this.#news.keys()
    if (this.#news.size > newsMax && oldest !== undefined) this.#news.delete(oldest)
    this.#options.onNews()
  }

  #isOf(live: Live, { brokerId, connectionId }: Known): boolean {
    return brokerId === this.#options.brokerId && connectionId === live.connectionId
  }

  /** Both here: that was counted when it happened. */
  #isHere(one: Known, other: Known): boolean {
    return one.brokerId === this.#options.brokerId && other.brokerId === this.#options.brokerId
  }
}

function isSame(one: Known, other: Known): boolean {
  return one.brokerId === other.brokerId && one.connectionId === other.connectionId
}
