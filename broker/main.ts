/** The broker's front door: picks the parts, starts them, stops them. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { Revocations } from '../core/auth/revocations.ts'
import { createTokenSource } from '../core/auth/token-source.ts'
import { createVerifier } from '../core/auth/verifier.ts'
import { slugOf } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import { audiences } from '../core/contract/principal.ts'
import { awaitCredentialFile } from '../core/runtime/credential.ts'
import { createDoor } from '../core/runtime/door.ts'
import { followFeed } from '../core/runtime/feed.ts'
import { authoritiesOfOthers, createApi, createFetch } from '../core/runtime/fetch.ts'
import { createServer, listen, refusePlaintextBeyondLoopback } from '../core/runtime/http.ts'
import { openKeyCache } from '../core/runtime/key-cache.ts'
import { loadSettingsSource, type Running, runProgram } from '../core/runtime/lifecycle.ts'
import { createLog } from '../core/runtime/log.ts'
import { addMetrics } from '../core/runtime/metrics.ts'
import { tlsFilesOf } from '../core/runtime/settings.ts'
import { reloadTls } from '../core/runtime/tls-reload.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'
import { Attempts } from './attempts.ts'
import { createAuthenticator } from './authenticate.ts'
import { BarredDevices } from './barred.ts'
import { type BrokerConfig, readBrokerConfig } from './config.ts'
import { Downlink } from './downlink.ts'
import { createAedesEngine } from './engine/aedes.ts'
import { Events } from './events.ts'
import { Gate } from './gate.ts'
import { Handover } from './handover.ts'
import { createIngestLink } from './ingest-link.ts'
import { listenMqtt, parsePeers } from './listeners.ts'
import { createBrokerMetrics } from './metrics.ts'
import { createOutcomes } from './outcomes.ts'
import { Pending } from './pending.ts'
import { PresenceBook } from './presence.ts'
import { reportPresence } from './presence-report.ts'
import { addRoutes } from './routes.ts'

const credentialWaitMs = 60_000
const keysRefreshMs = 300_000
const settleMs = 2500
const farewellMs = 1000
const monotonic = () => performance.now()
/** Unix milliseconds that only grow, whatever is done to the clock meanwhile. */
const growing = () => Math.round(performance.timeOrigin + performance.now())

const log = createLog({ program: 'broker' })
runProgram(log, async () => start(readBrokerConfig(loadSettingsSource(process.env))))

async function start(config: BrokerConfig): Promise<Running> {
  const log = createLog({ program: 'broker', level: config.logLevel })
  const tls = tlsFilesOf(config)
  refusePlaintextBeyondLoopback(
    { host: config.mqttHost, insecure: config.insecure, setting: 'LOTWATCH_BROKER_MQTT_HOST' },
    undefined,
  )
  for (const [url, setting] of [
    [config.issuerUrl, 'LOTWATCH_BROKER_ISSUER_URL'],
    ...config.issuers.flatMap(({ issuer, jwksUri = issuer }) =>
      [issuer, jwksUri].map((url) => [url, 'LOTWATCH_BROKER_ISSUERS'] as const),
    ),
    [config.provisioningUrl, 'LOTWATCH_BROKER_PROVISIONING_URL'],
    [config.ingestUrl, 'LOTWATCH_BROKER_INGEST_URL'],
  ] as const) {
    requireTlsUrl(url, { setting, insecure: config.insecure })
  }
  const proxyPeers = parsePeers(config.proxyPeers, 'LOTWATCH_BROKER_PROXY_PEERS')
  const ca = config.caFile === undefined ? undefined : readFileSync(config.caFile, 'utf8')
  const fetch = createFetch({ ca })
  const fetchOthers = createFetch({ ca: authoritiesOfOthers(ca) })
  const ownOrigin = new URL(config.issuerUrl).origin

  const verifier = createVerifier({
    issuers: config.trustedIssuers,
    fetch: (url, init) => (new URL(url).origin === ownOrigin ? fetch : fetchOthers)(url, init),
    now: Date.now,
    clockToleranceSec: config.skewSec,
    cache: openKeyCache(config.keysFolder, log),
    keysAgeMaxMs: config.keysAgeMaxSec * 1000,
    onKeys({ issuer, ageMs, isKept }, error) {
      if (error === undefined) log.info('keys.back', { issuer })
      else log.warn(isKept ? 'keys.kept' : 'keys.missing', { issuer, ageMs, error: error as Error })
    },
  })
  const credential = await awaitCredentialFile(config.credentialFile, { log, waitMs: credentialWaitMs })
  const tokensFor = (audience: string) =>
    createTokenSource({ credential, audience, fetch, nowMs: monotonic, random: Math.random })

  const server = createServer({
    log,
    tls,
    async readiness() {
      // Others’ keys are missed by their devices alone: no reason to turn everybody away.
      await verifier.preload(config.issuerUrl)
      if (!feed.isKnown()) throw new FleetError('provisioning.unavailable', 'the feed has not been heard yet')
      if (!handover.isAvailable) throw new FleetError('ingest.unavailable', 'ingest is away')
    },
  })
  const pending = new Pending<Socket>({
    perAddressMax: config.pendingPerAddressMax,
    max: config.pendingMax,
  })
  const metrics = createBrokerMetrics(addMetrics(server), {
    connections: () => gate.connectionCount,
    pendingSockets: () => pending.size,
    bufferBytesHard: config.bufferBytesHard,
    bufferedBytes: () => handover.bufferedBytes,
    isIngestAvailable: () => handover.isAvailable,
    waitingCommands: () => downlink.waitingCount,
    waitingOutcomes: () => outcomes.waitingCount,
    keys: verifier.keys,
  })

  const revocations = new Revocations()
  const barred = new BarredDevices()
  const ingest = createIngestLink({
    url: config.ingestUrl,
    ca,
    tokens: tokensFor(audiences.ingest),
    connections: config.batchesInFlightMax,
  })
  const handover = new Handover({
    link: ingest,
    batchMessagesMax: config.batchMessagesMax,
    batchBytesMax: config.batchBytesMax,
    batchesInFlightMax: config.batchesInFlightMax,
    deadlineMs: config.handoverDeadlineMs,
    bufferBytesSoft: config.bufferBytesSoft,
    bufferBytesHard: config.bufferBytesHard,
    nowMs: monotonic,
    wait: delay,
    onPressure(isPressed) {
      log.warn(isPressed ? 'handover.pressed' : 'handover.relieved', {
        bufferedBytes: handover.bufferedBytes,
      })
      engine.setReading(!isPressed)
    },
    onBatch: metrics.handedOver,
    onSettled: metrics.acknowledged,
    onAvailability(isAvailable, error) {
      if (isAvailable) log.info('ingest.back')
      else log.warn('ingest.away', { error })
    },
  })
  const provisioning = createApi({
    baseUrl: config.provisioningUrl,
    tokens: tokensFor(audiences.provisioning),
    fetch,
    unavailable: 'provisioning.unavailable',
  })
  const outcomes = createOutcomes({
    api: provisioning,
    deadlineMs: config.handoverDeadlineMs,
    random: Math.random,
    nowMs: monotonic,
    onDropped(commandId) {
      metrics.droppedDown()
      log.warn('outcome.dropped', { commandId })
    },
  })
  const downlink = new Downlink({
    now: Date.now,
    onDelivered(deviceId, commandId) {
      log.info('command.delivered', { deviceId, commandId })
      outcomes.delivered(deviceId, commandId)
    },
    onSent: metrics.sentDown,
    onDropped(deviceId, commandId) {
      metrics.droppedDown()
      log.warn('command.dropped', { deviceId, commandId })
    },
  })
  const brokerId = `${slugOf(hostname())?.slice(0, 40) ?? 'broker'}-${randomBytes(8).toString('hex')}`
  const presence = new PresenceBook({
    brokerId,
    now: growing,
    onSuperseded: (deviceId, connectionId) => gate.superseded(deviceId, connectionId),
    onTakenOver: (between) => gate.takenOver(between),
    onNews: () => reporter.poke(),
  })
  const authenticator = createAuthenticator({ verifier, revocations, barred })
  const events = new Events()
  const gate = new Gate({
    authenticator,
    attempts: new Attempts({
      perAddressBurst: config.attemptsPerAddressBurst,
      perAddressPerSec: config.attemptsPerAddressPerSec,
      burst: config.attemptsBurst,
      perSec: config.attemptsPerSec,
    }),
    revocations,
    barred,
    handover,
    downlink,
    outcomes,
    presence,
    onEvent: (event) => events.tell(event),
    isFeedKnown: () => feed.isKnown(),
    skewSec: config.skewSec,
    log,
    metrics,
    now: Date.now,
    nowMs: monotonic,
  })
  const reporter = reportPresence({
    api: provisioning,
    brokerId,
    book: presence,
    now: growing,
    random: Math.random,
    onState(state) {
      if (state.arrives) log.info('presence.reported')
      else log.warn('presence.unreported', { error: state.error as Error })
    },
  })
  const engine = await createAedesEngine(gate, { ...config, random: Math.random })
  const feed = followFeed({
    api: provisioning,
    revocations,
    log,
    random: Math.random,
    nowMs: monotonic,
    ageMaxMs: config.feedAgeMaxSec * 1000,
    onEvent(event) {
      barred.hear(event)
      gate.heard(event)
      downlink.hear(event)
      presence.hear(event)
      if (event.type === 'revocation' || event.type === 'snapshot') events.sendAway()
      if (event.type === 'revocation') metrics.revoked(Date.now() - event.data.atMs)
    },
  })

  const door = createDoor({ verifier, revocations, isFeedKnown: feed.isKnown, now: Date.now })
  addRoutes(server, { gate, door, events, brokerId })
  const httpPort = await listen(server, { ...config, portSetting: 'LOTWATCH_BROKER_PORT' }, tls)
  const accept = {
    connectionsMax: config.connectionsMax,
    handshakeTimeoutMs: config.handshakeTimeoutMs,
    proxyPeers,
    pending,
    nowMs: monotonic,
    accept: engine.accept,
    turnedAway: (remoteAddress: string, code: 'request.too_many' | 'connect.refused') =>
      gate.refused({
        mqttClientId: undefined,
        remoteAddress,
        error: new FleetError(code, 'closed before its CONNECT was read'),
      }),
  }
  const mqtt = await listenMqtt({
    ...accept,
    host: config.mqttHost,
    port: config.mqttPort,
    portSetting: 'LOTWATCH_BROKER_MQTT_PORT',
  })
  const mqtts =
    tls === undefined
      ? undefined
      : await listenMqtt(
          {
            ...accept,
            host: config.mqttsHost,
            port: config.mqttsPort,
            portSetting: 'LOTWATCH_BROKER_MQTTS_PORT',
          },
          tls,
        )
  const certificate =
    tls === undefined
      ? undefined
      : reloadTls({
          files: tls,
          log,
          apply(renewed) {
            mqtts?.setCertificate(renewed)
            // With TLS set, the HTTP face has it too.
            ;(server.server as unknown as HttpsServer).setSecureContext(renewed)
          },
        })

  const sweep = setInterval(() => gate.sweep(), 1000)
  const refresh = setInterval(() => void verifier.refresh(), keysRefreshMs)
  verifier.preload().catch((error: unknown) => log.warn('keys.awaited', { error }))

  return {
    ready: {
      httpPort,
      brokerId,
      mqttPort: mqtt.port,
      ...(mqtts === undefined ? {} : { mqttsPort: mqtts.port }),
    },
    async stop() {
      clearInterval(sweep)
      clearInterval(refresh)
      certificate?.stop()
      mqtt.close()
      mqtts?.close()
      engine.setReading(false)
      // What takes longer stays in the devices' outboxes.
      await Promise.race([handover.idle(), delay(settleMs, undefined, { ref: false })])
      await engine.stop()
      await reporter.stop(farewellMs)
      feed.stop()
      outcomes.stop()
      events.stop()
      await Promise.all([server.close(), ingest.close()])
    },
  }
}
