/**
 * The broker's story: connect → authenticate → admit; publish → authorize → hand over; renew; and cut whoever's
 * token has expired or was revoked. Knows neither Aedes nor HTTP.
 */
import { Value } from 'typebox/value'
import type { Revocations } from '../core/auth/revocations.ts'
import type { ConnectionDecision, ConnectionEvent, ConnectionView } from '../core/contract/connection.ts'
import { type DeviceId, parseDeviceId } from '../core/contract/device.ts'
import { type Alarm, ContentionDetail, parseReply } from '../core/contract/downlink.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { FeedEvent } from '../core/contract/feed.ts'
import { authzInfoTopic, parseTopic } from '../core/contract/topic.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Attempts } from './attempts.ts'
import type { Authenticator, DevicePrincipal } from './authenticate.ts'
import type { BarredDevices } from './barred.ts'
import { Connections } from './connections.ts'
import { ConnectionDecisions } from './decisions.ts'
import type { Downlink } from './downlink.ts'
import type { ConnectRequest, EngineHooks, Link, Taken } from './engine/engine.ts'
import type { Handover } from './handover.ts'
import { LineBudget } from './line-budget.ts'
import type { BrokerMetrics } from './metrics.ts'
import type { Outcomes } from './outcomes.ts'
import { Peer, viewOf } from './peer.ts'
import type { PresenceBook, TakenOver } from './presence.ts'
import { Takeovers, takeoverLimits } from './takeovers.ts'
import { Turns } from './turns.ts'

export interface GateOptions {
  readonly authenticator: Authenticator
  readonly attempts: Attempts
  readonly revocations: Revocations
  readonly barred: BarredDevices
  readonly handover: Handover
  readonly downlink: Pick<Downlink, 'subscribed' | 'closed' | 'sweep'>
  readonly outcomes: Pick<Outcomes, 'answered'>
  readonly presence: Pick<PresenceBook, 'connected' | 'closed' | 'contended'>
  /** Whoever watches is told, in the order in which things happen. */
  readonly onEvent: (event: ConnectionEvent) => void
  /** False while nobody can say what has been revoked. */
  readonly isFeedKnown: () => boolean
  readonly skewSec: number
  readonly log: Log
  readonly metrics: Pick<BrokerMetrics, 'refused' | 'replied'>
  /** Unix milliseconds. */
  readonly now: () => number
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

/** A storm of good devices waits its turn, so that it takes no more than this of the allowance for those that fail. */
const authenticationsAtOnce = 64
/** Refusals are strangers' doing: so many of them are written a second. */
const refusalLinesPerSec = 50
const replyLinesPerSec = 10
/** Replies of one device that provisioning has not answered for; a device has few commands at a time. */
const repliesPerDeviceMax = 16

export class Gate implements EngineHooks<Peer> {
  readonly #options: GateOptions
  readonly #connections = new Connections<Peer>()
  readonly #takeovers = new Takeovers(takeoverLimits)
  readonly #decisions = new ConnectionDecisions()
  readonly #turns = new Turns(authenticationsAtOnce)
  readonly #refusalLines = new LineBudget(refusalLinesPerSec)
  readonly #replyLines = new LineBudget(replyLinesPerSec)
  /** Of the last connection that was admitted. */
  #serial = 0
  /** Devices whose CONNECT is being decided, so that two at once are decided one after the other. */
  readonly #admitting = new Map<DeviceId, Promise<unknown>>()

  constructor(options: GateOptions) {
    this.#options = options
  }

  async connect(request: ConnectRequest, link: Link): Promise<Peer> {
    if (!this.#options.isFeedKnown())
      throw new FleetError('provisioning.unavailable', 'the feed has not been heard yet')
    if (!this.#options.handover.isAvailable)
      throw new FleetError('ingest.unavailable', 'readings cannot be handed over now')
    const principal = await this.#authenticate(request, link)
    const turn = (this.#admitting.get(principal.deviceId) ?? Promise.resolve()).then(() =>
      this.#admit(principal, link),
    )
    const done = turn.catch(() => undefined) // who waits behind it only needs to know that it is over
    this.#admitting.set(principal.deviceId, done)
    try {
      return await turn
    } finally {
      if (this.#admitting.get(principal.deviceId) === done) this.#admitting.delete(principal.deviceId)
    }
  }

  /** Before any signature is checked: whoever fails too often is asked to come back. */
  async #authenticate(request: ConnectRequest, link: Link): Promise<DevicePrincipal> {
    const endTurn = await this.#turns.take()
    try {
      // Whoever has waited in vain is not looked at.
      if (!link.isOpen) throw new FleetError('connect.refused', 'closed before it was its turn')
      return await this.#attempt(request)
    } finally {
      endTurn()
    }
  }

  async #attempt(request: ConnectRequest): Promise<DevicePrincipal> {
    const { attempts, authenticator, nowMs } = this.#options
    const attempt = attempts.begin(request.mqttClientId, request.remoteAddress, nowMs())
    if (attempt === undefined) throw new FleetError('request.too_many', 'too many attempts that failed')
    try {
      const principal = await authenticator.authenticate(request)
      attempt.succeeded()
      return principal
    } catch (error) {
      if (error instanceof FleetError && error.kind === 'unavailable') attempt.undecided()
      throw error
    }
  }

  /** One live connection per device: the newer one comes in when the older one is gone. */
  async #admit(principal: DevicePrincipal, link: Link): Promise<Peer> {
    const { deviceId } = principal
    const older = this.#connections.of(deviceId)
    if (older !== undefined) {
      const between = { deviceId, from: older.link.remoteAddress, by: link.remoteAddress }
      older.link.close('taken over')
      this.takenOver(between)
      await older.link.gone
      this.#connections.remove(older)
    }
    this.#refuseHeld(deviceId)
    if (!link.isOpen) throw new FleetError('connect.refused', 'closed before it was admitted')
    // The feed may have spoken while the older connection was on its way out.
    if (this.#isVoid(principal)) throw new FleetError('token.revoked', 'revoked while it was being admitted')
    const peer = new Peer(principal, link, {
      connectionId: String(++this.#serial),
      nowMs: this.#options.now(),
    })
    this.#connections.add(peer)
    this.#options.presence.connected(peer)
    this.#options.log.info('device.connected', { deviceId, remoteAddress: link.remoteAddress })
    this.#note(deviceId, { outcome: 'admitted', remoteAddress: link.remoteAddress })
    this.#tell({
      type: 'connected',
      device: deviceId,
      remoteAddress: link.remoteAddress,
      tokenExpiresAtMs: principal.expiresAtSec * 1000,
    })
    return peer
  }

  /**
   * One connection took the identity from another, here or at two brokers. Again and again: two machines with one
   * credential. Then neither gets it for a while, so that both are noticed.
   */
  takenOver(between: TakenOver): void {
    const { deviceId, from, by } = between
    this.#options.log.info('device.taken_over', { ...between })
    const told = {
      device: deviceId,
      ...(from === undefined ? {} : { remoteAddress: from }),
      ...(by === undefined ? {} : { byAddress: by }),
    }
    this.#tell({ type: 'taken_over', ...told })
    if (!this.#takeovers.note(deviceId, this.#options.now())) return
    this.#options.log.warn('device.contended', { ...between })
    this.#tell({ type: 'contended', ...told })
    const addresses = [from, by].filter((address) => address !== undefined)
    this.#options.presence.contended({ deviceId, addresses, holdMs: takeoverLimits.holdMs })
    this.#connections.of(deviceId)?.link.close('connections fight over the device')
  }

  /** The device has a newer connection at another broker. */
  superseded(deviceId: DeviceId, connectionId: string): void {
    const peer = this.#connections.of(deviceId)
    if (peer?.connectionId === connectionId) peer.link.close('taken over at another broker')
  }

  /** A broker, perhaps this one, has found that connections fight over a device: all of them hold it. */
  #hold({ subject, detail, kind, acknowledgedAtMs }: Alarm): void {
    const deviceId = parseDeviceId(subject)
    if (kind !== 'device.contended' || acknowledgedAtMs !== null || deviceId === undefined) return
    const nowMs = this.#options.now()
    // Heard long after, as by one who was away: it is over.
    if (!Value.Check(ContentionDetail, detail) || detail.heldUntilMs <= nowMs) return
    this.#takeovers.hold(deviceId, Math.min(detail.heldUntilMs, nowMs + takeoverLimits.holdMs))
    this.#connections.of(deviceId)?.link.close('connections fight over the device')
  }

  #refuseHeld(deviceId: DeviceId): void {
    if (this.#takeovers.isHeld(deviceId, this.#options.now()))
      throw new FleetError('device.contended', `${deviceId} is held: connections fight over it`)
  }

  publish(
    peer: Peer,
    topic: string,
    payload: Uint8Array,
    packet: { packetId: number; qos: 0 | 1; retain: boolean },
  ): Taken {
    const head = peer.headFor(topic, packet)
    if (head !== undefined) {
      this.#options.handover.offer(peer, {
        packetId: packet.packetId,
        head,
        receivedAtMs: this.#options.now(),
        payload,
      })
      return 'held'
    }
    const kind = peer.rights.mayPublish(topic, packet) ? parseTopic(topic)?.kind : undefined
    if (kind === 'replies') {
      this.#reply(peer, payload, packet.packetId)
    } else if (kind === authzInfoTopic && packet.qos === 1) {
      void this.#renew(peer, new TextDecoder('latin1').decode(payload), packet.packetId)
    } else {
      this.#options.log.info('publish.refused', {
        deviceId: peer.deviceId,
        topic: topic.slice(0, 128),
        qos: packet.qos,
        retain: packet.retain,
      })
      peer.link.close('topic is not among its rights')
    }
    return 'apart'
  }

  /**
   * What a device says became of a command. PUBACK when provisioning has it, or will never take it; while provisioning
   * is away it is tried until the deadline, then the connection is closed and the device brings it again.
   */
  #reply(peer: Peer, payload: Uint8Array, packetId: number): void {
    const { deviceId, link } = peer
    const reply = parseReply(payload)
    if (reply === undefined) {
      this.#passOver(deviceId, 'unreadable', { bytes: payload.length })
      link.acknowledge(packetId)
      return
    }
    if (peer.replies >= repliesPerDeviceMax) {
      link.close('too many replies at once')
      return
    }
    const { v: _, commandId, state, ...said } = reply
    peer.replies++
    this.#options.outcomes
      .answered(commandId, { deviceId, state, reply: said })
      .then(
        (answer) => {
          if (answer === 'taken') this.#options.metrics.replied('taken')
          else this.#passOver(deviceId, 'foreign', { commandId })
          link.acknowledge(packetId)
        },
        () => {
          this.#options.metrics.replied('failed')
          link.close('a reply could not be handed over')
        },
      )
      .finally(() => {
        peer.replies--
      })
  }

  /** A device may send what it likes: so many lines, and a count. */
  #passOver(deviceId: DeviceId, outcome: 'unreadable' | 'foreign', what: Record<string, unknown>): void {
    this.#options.metrics.replied(outcome)
    const linesLeftOut = this.#replyLines.take(this.#options.nowMs())
    if (linesLeftOut === undefined) return
    const leftOut = linesLeftOut === 0 ? {} : { linesLeftOut }
    this.#options.log.info('reply.passed_over', { deviceId, outcome, ...what, ...leftOut })
  }

  maySubscribe(peer: Peer, filter: string, qos: 0 | 1 | 2): boolean {
    const isAllowed = peer.rights.maySubscribe(filter, qos)
    if (!isAllowed)
      this.#options.log.info('subscribe.refused', { deviceId: peer.deviceId, filter: filter.slice(0, 128) })
    return isAllowed
  }

  subscribed(peer: Peer): void {
    this.#options.downlink.subscribed(peer)
  }

  /** RFC 9431 §3.2: asked for each delivery, since rights, and the token, may have ended since the SUBSCRIBE. */
  mayReceive(peer: Peer, topic: string, qos: 0 | 1): boolean {
    const endsAtMs = (peer.principal.expiresAtSec + this.#options.skewSec) * 1000
    return (
      peer.rights.maySubscribe(topic, qos) && endsAtMs > this.#options.now() && !this.#isVoid(peer.principal)
    )
  }

  closed(peer: Peer, reason: string): void {
    this.#connections.remove(peer)
    this.#options.downlink.closed(peer)
    this.#options.presence.closed(peer)
    this.#options.log.info('device.disconnected', { deviceId: peer.deviceId, reason })
    const { deviceId, remoteAddress } = peer
    this.#note(deviceId, { outcome: 'closed', reason, remoteAddress })
    this.#tell({ type: 'disconnected', device: deviceId, remoteAddress, reason })
  }

  refused(refusal: { mqttClientId: string | undefined; remoteAddress: string; error: unknown }): void {
    const { mqttClientId, remoteAddress, error } = refusal
    const isExpected = error instanceof FleetError
    this.#options.metrics.refused(isExpected ? error.code : 'internal')
    const linesLeftOut = this.#refusalLines.take(this.#options.nowMs())
    if (linesLeftOut !== undefined) {
      this.#options.log[isExpected ? 'info' : 'error']('connect.refused', {
        ...(mqttClientId === undefined ? {} : { mqttClientId: mqttClientId.slice(0, 64) }),
        remoteAddress,
        ...(isExpected ? { code: error.code, reason: error.message } : { error }),
        ...(linesLeftOut === 0 ? {} : { linesLeftOut }),
      })
    }
    const why = isExpected ? { code: error.code, reason: error.message } : { code: 'internal' }
    const device = mqttClientId?.slice(0, 64)
    this.#tell({ type: 'refused', ...(device === undefined ? {} : { device }), remoteAddress, ...why })
    if (device !== undefined) this.#note(device, { outcome: 'refused', ...why, remoteAddress })
  }

  /** RFC 9431 §3: a new token on a live connection. PUBACK is the yes, a closed connection the no. */
  async #renew(peer: Peer, token: string, packetId: number): Promise<void> {
    // Each may wait for keys, and holds up nothing: who sends ever more of them would fill the memory.
    if (peer.isRenewing) {
      peer.link.close('two renewals at once')
      return
    }
    peer.isRenewing = true
    try {
      const next = await this.#options.authenticator.renew(peer.principal, token)
      if (!peer.link.isOpen) return
      if (this.#isVoid(next)) throw new FleetError('token.revoked', 'revoked while it was being renewed')
      peer.stand(next)
      this.#options.log.info('token.renewed', {
        deviceId: peer.deviceId,
        expiresAtSec: peer.principal.expiresAtSec,
      })
      this.#tell({
        type: 'renewed',
        device: peer.deviceId,
        remoteAddress: peer.remoteAddress,
        tokenExpiresAtMs: next.expiresAtSec * 1000,
      })
      peer.link.acknowledge(packetId)
    } catch (error) {
      this.#options.log.info('token.refused', {
        deviceId: peer.deviceId,
        code: error instanceof FleetError ? error.code : 'internal',
      })
      peer.link.close('renewal refused')
    } finally {
      peer.isRenewing = false
    }
  }

  /** Cuts the connections whose token has expired. Called every second. */
  sweep(): void {
    const nowMs = this.#options.now()
    for (const peer of this.#connections.expired(nowMs, this.#options.skewSec))
      peer.link.close('token expired')
    this.#options.revocations.sweep(nowMs)
    this.#takeovers.sweep(nowMs)
    this.#options.downlink.sweep()
  }

  /** After the feed has said something that bears on who may stay: cuts whoever stands on what is void now. */
  heard(event: FeedEvent): void {
    if (event.type === 'device') {
      // An import is one for each device: to look at all connections each time would take seconds.
      const deviceId = parseDeviceId(event.data.deviceId)
      const peer = deviceId === undefined ? undefined : this.#connections.of(deviceId)
      if (peer !== undefined && this.#isVoid(peer.principal)) peer.link.close('revoked')
      return
    }
    if (event.type === 'alarm') this.#hold(event.data)
    if (event.type !== 'snapshot' && event.type !== 'revocation') return
    for (const peer of this.#connections.all()) {
      if (this.#isVoid(peer.principal)) peer.link.close('revoked')
    }
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** By identifier, those after `after`, whose identifier begins with `search`; at most `limit`. */
  connections(page: { after?: string; search?: string; limit: number }): ConnectionView[] {
    const { after = '', search = '', limit } = page
    return this.#connections
      .all()
      .filter(({ deviceId }) => deviceId > after && deviceId.startsWith(search))
      .toSorted((one, other) => (one.deviceId < other.deviceId ? -1 : 1))
      .slice(0, limit)
      .map(viewOf)
  }

  connection(deviceId: DeviceId): ConnectionView | undefined {
    const peer = this.#connections.of(deviceId)
    return peer === undefined ? undefined : viewOf(peer)
  }

  /** @returns false when the device is not connected */
  kick(deviceId: DeviceId): boolean {
    const peer = this.#connections.of(deviceId)
    if (peer === undefined) return false
    this.#options.log.info('device.kicked', { deviceId })
    this.#tell({ type: 'kicked', device: deviceId, remoteAddress: peer.remoteAddress })
    peer.link.close('closed by an operator')
    return true
  }

  /** What was decided about connections of this name lately, newest first. */
  decisions(mqttClientId: string): readonly ConnectionDecision[] {
    return this.#decisions.of(mqttClientId)
  }

  #note(mqttClientId: string, decision: Omit<ConnectionDecision, 'atMs'>): void {
    this.#decisions.note(mqttClientId, { atMs: this.#options.now(), ...decision })
  }

  #tell(event: Omit<ConnectionEvent, 'atMs'>): void {
    this.#options.onEvent({ atMs: this.#options.now(), ...event })
  }

  #isVoid(principal: DevicePrincipal): boolean {
    return this.#options.revocations.isRevoked(principal) || this.#options.barred.has(principal.deviceId)
  }
}
