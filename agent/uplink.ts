/**
 * MQTT.js behind a few verbs: one connection at a time, each a new client with a fresh token, our own reconnect loop.
 * MQTT.js would reconnect at a fixed pace without jitter, never after a refusal, with the token of its birth, and
 * would resend on its own; so all of that is switched off. What to send and how much at a time is the outbox's part.
 *
 * CONNACK 3 means that the broker cannot decide now: come back with the same token. 4 and 5 refuse: get another first.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type MqttClient } from 'mqtt'
import { writeToStream } from 'mqtt-packet'
import type { AccessToken, TokenSource } from '../core/auth/token-source.ts'
import type { CredentialFile } from '../core/contract/credential.ts'
import type { DeviceId } from '../core/contract/device.ts'
import { isFleetError } from '../core/contract/errors.ts'
import { authzInfoTopic, parseTopic, type receivedTopics, topicOf } from '../core/contract/topic.ts'
import { createBackoff } from '../core/runtime/backoff.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Clock } from './clock.ts'

export interface UplinkEvents {
  /** Messages may be sent. */
  onConnected(): void
  /** PUBACK for this message: every reading in it is settled. */
  onSettled(id: number): void
  /** Nothing more will be heard of messages sent until now. */
  onDisconnected(): void
}

/** What goes up besides readings. */
export type SideTopic = 'status' | 'replies'
export type ReceivedTopic = (typeof receivedTopics)[number]

/** Who hears what comes down, and when there is somebody to talk to. */
export interface UplinkListener {
  /** `config` and `commands` are subscribed to, or refused by a broker that does not know them. */
  connected(): void
  disconnected(): void
  /** Acknowledged to the broker when it returns. */
  received(topic: ReceivedTopic, payload: string): void
}

export interface Uplink {
  readonly isConnected: boolean
  /** Connects, and goes on connecting until `stop`. */
  start(events: UplinkEvents): void
  /** Sends a message on `readings`; only while connected. */
  send(id: number, payload: string): void
  /** @returns whether PUBACK came; false as well when there is no connection */
  publish(topic: SideTopic, payload: string): Promise<boolean>
  /** Whether it was renewed or not: the next token is asked for and shown now. */
  renew(): void
  /** Disconnects; resolves when the socket is closed. */
  stop(): Promise<void>
}

export interface UplinkOptions {
  readonly deviceId: DeviceId
  readonly broker: NonNullable<CredentialFile['broker']>
  readonly tokens: TokenSource
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly random: () => number
  readonly log: Log
  /** A connection attempt waits here for its turn: many devices in one process do not all knock at once. */
  readonly inTurn?: <T>(attempt: () => Promise<T>) => Promise<T>
  readonly reconnectMinMs: number
  readonly reconnectMaxMs: number
  /** The wait after the issuer refused the device: what helps is an operator, and counting goes on meanwhile. */
  readonly refusedMinMs: number
  readonly refusedMaxMs: number
  /** A connection that lasted this long starts over with the shortest wait. */
  readonly stableMs: number
  /** No PUBACK for this long means that the connection is dead, whatever TCP thinks. */
  readonly ackTimeoutMs: number
  /** Hears why an attempt to connect failed; that there was no token is the token source's to say. */
  readonly onFault?: (reason: string) => void
  /** Absent: nothing is subscribed to. */
  readonly listener?: UplinkListener
}

const keepaliveSec = 30
const connectTimeoutMs = 10_000
const endTimeoutMs = 500
/** While the issuer is away, a renewal is tried again this often, until the token expires. */
const renewRetryMs = 10_000
/** setTimeout takes no more; a token's life does not reach it, a wrong `expires_in` might. */
const timerMsMax = 2 ** 31 - 1

export function createUplink(options: UplinkOptions): Uplink {
  // MQTT.js would make every message identifier there is at its first packet: 65,536 buffers, 6 MiB that stay.
  writeToStream.cacheNumbers = false
  const { clock, log, tokens } = options
  const backoff = createBackoff({
    minMs: options.reconnectMinMs,
    maxMs: options.reconnectMaxMs,
    random: options.random,
  })
  /** Doubles with each refusal in a row. */
  let refusedMs = options.refusedMinMs
  const stopped = new AbortController()
  let connection: Connection | undefined
  let running: Promise<void> = Promise.resolve()
  let hurry: () => void = () => undefined
  let reported: string | undefined

  /** The first failure of an outage is told, and each time its reason changes. */
  function reportFailure(error: unknown): void {
    const reason = reasonOf(error)
    if (error instanceof ConnectFailure) options.onFault?.(reason)
    if (reason === reported) return
    reported = reason
    const event = isFleetError(error, 'client.refused') ? 'token.refused' : 'device.unreachable'
    log.warn(event, { reason, ...(isFleetError(error) ? { message: error.message } : {}) })
  }

  async function dial(): Promise<Connection> {
    const token = await tokens.get()
    try {
      return await openConnection(options, token, stopped.signal)
    } catch (error) {
      if (isRefusal(error)) tokens.invalidate(token.token)
      throw error
    }
  }

  async function keepConnected(events: UplinkEvents): Promise<void> {
    const inTurn = options.inTurn ?? ((attempt) => attempt())
    while (!stopped.signal.aborted) {
      try {
        connection = await orAborted(inTurn(dial), stopped.signal)
      } catch (error) {
        if (stopped.signal.aborted) return
        reportFailure(error)
        await pause(isFleetError(error, 'client.refused') ? refusedWait() : backoff.next())
        continue
      }
      reported = undefined
      refusedMs = options.refusedMinMs
      const ending = await live(connection, events)
      // A renewal by reconnecting is not a failure: come back at once.
      if (ending !== 'renewal') await pause(backoff.next())
    }
  }

  async function live(current: Connection, events: UplinkEvents): Promise<string> {
    log.info('device.connected', { renewal: options.broker.renewal })
    const stable = setTimeout(() => {
      backoff.reset()
      log.debug('device.stable')
    }, options.stableMs)
    const renewal = new AbortController()
    current.onSettled = (id) => events.onSettled(id)
    if (stopped.signal.aborted) current.cut('stopped')
    else events.onConnected()
    if (options.listener !== undefined)
      void current.subscribe(options.listener).then((refused) => {
        if (current.isClosed) return
        if (refused !== undefined) log.warn('downlink.refused', { reason: refused })
        options.listener?.connected()
      })
    void renew(current, renewal.signal)
    const reason = await current.closed
    clearTimeout(stable)
    renewal.abort()
    connection = undefined
    log.info('device.disconnected', { reason })
    events.onDisconnected()
    options.listener?.disconnected()
    return reason
  }

  /** Keeps the connection on a living token: by `authz-info` where the credential file allows it, else by a new connection. */
  async function renew(current: Connection, signal: AbortSignal): Promise<void> {
    let { token, renewAtMs } = current.token
    for (;;) {
      const waitMs = Math.min(Math.max(Math.ceil(renewAtMs - clock.monotonicMs()), 0), timerMsMax)
      const early = new AbortController()
      hurry = () => early.abort()
      // Ended early when it is hurried, or when the connection ended, which is seen below.
      await delay(waitMs, undefined, { signal: AbortSignal.any([signal, early.signal]) }).catch(
        () => undefined,
      )
      if (signal.aborted) return
      // Before the question: a timer may be early by a fraction that has passed by the time of the answer.
      const askedAtMs = clock.monotonicMs()
      const next = await tokens.get().catch((error: unknown) => {
        log.warn('token.not_renewed', { reason: reasonOf(error) })
        return undefined
      })
      if (signal.aborted) return
      if (next === undefined || next.token === token) {
        // Either the timer was early, or the issuer is away and the token is still good.
        const isEarly = next !== undefined && next.renewAtMs > askedAtMs
        renewAtMs = isEarly ? next.renewAtMs : askedAtMs + renewRetryMs * (0.5 + options.random())
        continue
      }
      if (options.broker.renewal === 'reconnect') return current.cut('renewal')
      await current.present(next.token)
      log.debug('token.renewed')
      ;({ token, renewAtMs } = next)
    }
  }

  /** Never short, and not in step with others. */
  function refusedWait(): number {
    const waitMs = Math.round(refusedMs * (1 + options.random() / 2))
    refusedMs = Math.min(refusedMs * 2, options.refusedMaxMs)
    return waitMs
  }

  function pause(waitMs: number): Promise<void> {
    log.debug('device.waiting', { waitMs })
    return delay(waitMs, undefined, { signal: stopped.signal }).catch(() => undefined) // stopped: the loop ends
  }

  return {
    get isConnected() {
      return connection !== undefined && !connection.isClosed
    },
    start(events) {
      running = keepConnected(events)
    },
    send: (id, payload) => connection?.send(id, payload),
    publish: async (topic, payload) => connection?.publish(topic, payload) ?? false,
    renew: () => hurry(),
    async stop() {
      stopped.abort()
      connection?.cut('stopped')
      await running
    },
  }
}

/** One connection, from CONNACK to its end. */
interface Connection {
  readonly token: AccessToken
  readonly isClosed: boolean
  /** Resolves with the reason, a stable word, when it is over; nothing is settled after that. */
  readonly closed: Promise<string>
  onSettled: (id: number) => void
  send(id: number, payload: string): void
  /** @returns whether PUBACK came before the end of the connection */
  publish(topic: SideTopic, payload: string): Promise<boolean>
  /** @returns why it was refused; undefined when it was not */
  subscribe(listener: Pick<UplinkListener, 'received'>): Promise<string | undefined>
  /** Sends a new token to `authz-info`; resolves with its PUBACK, never when the connection ends first. */
  present(token: string): Promise<void>
  cut(reason: string): void
}

/** Why an attempt failed; never carries a packet, because CONNECT has the token in it. */
class ConnectFailure extends Error {
  readonly reason: string
  readonly isRefusal: boolean

  constructor(reason: string, isRefusal: boolean) {
    super(reason)
    this.reason = reason
    this.isRefusal = isRefusal
  }
}

function openConnection(
  options: UplinkOptions,
  token: AccessToken,
  signal: AbortSignal,
): Promise<Connection> {
  if (signal.aborted) return Promise.reject(new ConnectFailure('stopped', false))
  const client = connect(options.broker.url, {
    protocolVersion: 4,
    clientId: options.deviceId,
    username: options.deviceId,
    password: token.token,
    clean: true,
    keepalive: keepaliveSec,
    connectTimeout: connectTimeoutMs,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    ...(options.broker.ca === undefined ? {} : { ca: options.broker.ca }),
  })
  return new Promise((resolve, reject) => {
    const fail = (failure: ConnectFailure) => {
      signal.removeEventListener('abort', onAbort)
      client.end(true)
      reject(failure)
    }
    const onAbort = () => fail(new ConnectFailure('stopped', false))
    signal.addEventListener('abort', onAbort)
    client.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      resolve(createConnection(client, options, token))
    })
    // Stays for good: an 'error' that nobody hears would end the process.
    client.on('error', (error) => fail(connectFailureOf(error)))
    client.once('close', () => fail(new ConnectFailure('closed', false)))
  })
}

function createConnection(client: MqttClient, options: UplinkOptions, token: AccessToken): Connection {
  const topic = topicOf(options.deviceId, 'readings')
  /** When each message without PUBACK was sent, oldest first. */
  const waiting = new Map<number, number>()
  /** Messages count up from 1, so numbers below are free for what is no reading. */
  let aside = 0
  /** Side messages without PUBACK. */
  const asking = new Set<(acknowledged: boolean) => void>()
  let isClosed = false
  let close: (reason: string) => void = () => undefined
  const closed = new Promise<string>((resolve) => {
    close = (reason) => {
      if (isClosed) return
      isClosed = true
      clearInterval(watch)
      for (const answer of asking) answer(false)
      endClient(client, reason === 'stopped' || reason === 'renewal').then(() => resolve(reason))
    }
  })
  // MQTT.js never calls back for a PUBACK that a half-open connection swallows.
  const watch = setInterval(() => {
    const [oldestMs] = waiting.values()
    if (oldestMs !== undefined && options.clock.monotonicMs() - oldestMs >= options.ackTimeoutMs)
      close('ack_timeout')
  }, options.ackTimeoutMs / 10)
  client.on('error', (error) => close(connectFailureOf(error).reason))
  client.once('close', () => close('closed'))

  function publish(name: string, payload: string, id: number, onAcknowledged: () => void): void {
    waiting.set(id, options.clock.monotonicMs())
    client.publish(name, payload, { qos: 1 }, (error) => {
      if (error != null || isClosed) return // the end of the connection says it all
      waiting.delete(id)
      onAcknowledged()
    })
  }

  const connection: Connection = {
    token,
    get isClosed() {
      return isClosed
    },
    closed,
    onSettled: () => undefined,
    send: (id, payload) => publish(topic, payload, id, () => connection.onSettled(id)),
    publish: (kind, payload) =>
      new Promise((resolve) => {
        const answer = (acknowledged: boolean) => {
          asking.delete(answer)
          resolve(acknowledged)
        }
        if (isClosed) return answer(false)
        asking.add(answer)
        publish(topicOf(options.deviceId, kind), payload, --aside, () => answer(true))
      }),
    subscribe: (listener) =>
      new Promise((resolve) => {
        client.on('message', (name, payload) => {
          const parsed = parseTopic(name)
          if (parsed?.kind === 'config' || parsed?.kind === 'commands')
            listener.received(parsed.kind, payload.toString('utf8'))
        })
        const filters = [topicOf(options.deviceId, 'config'), topicOf(options.deviceId, 'commands')]
        client.subscribe(filters, { qos: 1 }, (error) => resolve(error?.message))
      }),
    present: (next) => new Promise((resolve) => publish(authzInfoTopic, next, --aside, resolve)),
    cut: close,
  }
  return connection
}

/** @param gracefully with DISCONNECT, which a broker on the other end of a dead connection would never read */
async function endClient(client: MqttClient, gracefully: boolean): Promise<void> {
  if (gracefully && client.connected) {
    const ended = new Promise<void>((resolve) => client.end(false, {}, () => resolve()))
    await Promise.race([ended, delay(endTimeoutMs)])
  }
  client.end(true)
  client.stream.destroy()
}

function connectFailureOf(error: Error & { code?: unknown }): ConnectFailure {
  // A number is a CONNACK return code, a word comes from the socket.
  if (typeof error.code === 'number') return new ConnectFailure(`connack_${error.code}`, error.code !== 3)
  if (typeof error.code === 'string') return new ConnectFailure(error.code.toLowerCase(), false)
  return new ConnectFailure(error.message === 'connack timeout' ? 'connack_timeout' : 'protocol', false)
}

/** Not `Promise.race`: over years of attempts the losing side would remember each of them. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new ConnectFailure('stopped', false))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

function isRefusal(error: unknown): boolean {
  return error instanceof ConnectFailure && error.isRefusal
}

function reasonOf(error: unknown): string {
  if (error instanceof ConnectFailure) return error.reason
  return isFleetError(error) ? error.code : 'unknown'
}
