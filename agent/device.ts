/**
 * One device of this process, put together: who it is, its tokens, its connection, its outbox, and what it tells of
 * itself. Which sensor it has is chosen by the front door.
 */
import type { TokenSource } from '../core/auth/token-source.ts'
import type { Fetch } from '../core/auth/verifier.ts'
import type { Epoch } from '../core/contract/device.ts'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import type { StatusMessage } from '../core/contract/status.ts'
import type { Log } from '../core/runtime/log.ts'
import { type Agent, startAgent } from './agent.ts'
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'
import { openCommandLog } from './command-log.ts'
import type { AgentConfig } from './config.ts'
import { openControl, type Snapshot, socketOf } from './control.ts'
import { createDownlink } from './downlink.ts'
import { type Identity, readIdentity } from './identity.ts'
import { createLink } from './link.ts'
import { claimOutbox } from './outbox-owner.ts'
import { createOutboxFolder } from './outbox-salvage.ts'
import type { Remote } from './remote.ts'
import { rotateCredential } from './rotation.ts'
import { createTicks, isSchedule } from './schedule.ts'
import { noteSchedule, type ScheduleNote } from './schedule-note.ts'
import type { Sensor } from './sensors/sensor.ts'
import { createStatusReports, readHost, statusOf } from './status.ts'
import { lineOf, stepsOf } from './steps.ts'
import type { TimeSync } from './time-sync.ts'
import { createTokenFile } from './token-file.ts'
import { createTokens } from './tokens.ts'
import { createUplink } from './uplink.ts'

/** What all devices of this process share. */
export interface DeviceParts {
  readonly clock: Clock
  readonly boot: Boot
  readonly random: () => number
  readonly log: Log
  /** Of the agent. */
  readonly version: string
  readonly newEpoch: () => Epoch
  readonly fetchOf: (ca: string | undefined) => Fetch
}

export interface DeviceOptions {
  /** What was sent from afar, and the settings with it. */
  readonly remote: Remote
  readonly createSensor: (config: AgentConfig, log: Log) => Sensor
  /** Of the sensor, where it has one of its own. */
  readonly schedule: string | undefined
  /** When readings are taken; absent: by the schedule. */
  readonly ticks?: (signal: AbortSignal) => AsyncIterable<number>
  /** The device that the credential must be of; undefined: any. */
  readonly deviceId?: string
  /** Whether the time is known. */
  readonly sync: TimeSync
  /** A connection attempt waits here for its turn. */
  readonly inTurn?: <T>(attempt: () => Promise<T>) => Promise<T>
  /** Closes this device and opens it anew, now: another configuration has come. */
  readonly reopen: () => void
  /** The same, or the whole process, because an operator said so. */
  readonly restart: () => void
  /** The only one in this process: what the process does is its doing. */
  readonly isAlone: boolean
}

export interface Device extends Pick<Agent, 'progress' | 'done' | 'stop'> {
  readonly ready: Readonly<Record<string, unknown>>
  /** How it is, as it tells on this machine. */
  snapshot(): Promise<Snapshot>
  /** In one line. */
  line(): string
}

/** How often a credential is looked for, and whether it is another one; of one of many only now and then. */
const credentialLookMs = 2000
const credentialLookInFleetMs = 60_000
/** Other commands wait for a rotation; one that was cut off goes on when it is asked for again. */
const rotationMs = 60_000

/** @throws FleetError when it cannot begin: wrong settings, in a fleet a wrong credential, an outbox that another uses */
export async function openDevice(options: DeviceOptions, parts: DeviceParts): Promise<Device> {
  const { remote } = options
  const { config } = remote
  const { clock, boot, random } = parts
  const first = identityAtStart(options)
  const log = parts.log.child(first === undefined ? {} : { deviceId: first.deviceId }, config.logLevel)
  const cron = (Object.hasOwn(remote.settings, 'schedule') ? undefined : options.schedule) ?? config.schedule
  if (!isSchedule(cron)) throw new FleetError('config.invalid', `${cron} is not a cron expression`)
  const sensor = options.createSensor(config, log)
  const link = createLink({
    credentialFile: config.credentialFile,
    readIdentity: () => identityNow(options),
    createTokens: (identity) => tokensOf(identity, config, { ...parts, log }),
    createUplink: ({ deviceId, broker }, tokens, onFault) =>
      createUplink({
        ...config,
        deviceId,
        broker,
        tokens,
        clock,
        random,
        log,
        onFault,
        ...(options.inTurn === undefined ? {} : { inTurn: options.inTurn }),
        listener: {
          connected: () => {
            downlink.connected()
            void prove()
          },
          disconnected: () => undefined,
          received: (topic, payload) => downlink.received(topic, payload),
        },
      }),
    lookEveryMs: options.isAlone ? credentialLookMs : credentialLookInFleetMs,
    log,
  })
  const folder = createOutboxFolder(config.outboxDir, { newEpoch: parts.newEpoch, nowMs: clock.nowMs })
  const agent = startAgent({
    opened: await folder.open(),
    folder,
    uplink: link,
    sensor,
    ticks: options.ticks ?? ((signal) => createTicks(cron, signal)),
    clock,
    boot,
    sync: options.sync,
    random,
    log,
    limits: {
      windowMessages: config.windowMessages,
      bytesMax: config.outboxBytesMax,
      whenFull: config.outboxWhenFull,
    },
    flushReadings: config.flushReadings,
    flushEveryMs: config.flushEveryMs,
  })
  if (first === undefined) log.warn('credential.awaited', { path: config.credentialFile })

  const startedMs = clock.monotonicMs()
  let noted: ScheduleNote | undefined
  /** Written down when the time is known, which it may not be at the start. */
  function scheduleNow(): ScheduleNote {
    if (noted === undefined && options.sync.isSynced)
      noted = noteSchedule(config.outboxDir, cron, clock.nowMs())
    return noted ?? { cron, sinceMs: clock.nowMs() }
  }
  async function makeStatus(): Promise<StatusMessage> {
    const uptimeSec = Math.floor((clock.monotonicMs() - startedMs) / 1000)
    const [state, host] = await Promise.all([
      agent.state(),
      readHost(config.outboxDir, options.isAlone ? uptimeSec : undefined),
    ])
    const { identity, clockOffsetMs, credentialAtMs } = link.state()
    return statusOf({
      version: parts.version,
      uptimeSec,
      schedule: scheduleNow(),
      state,
      bytesMax: config.outboxBytesMax,
      lossWindowMs: config.flushEveryMs,
      nowMs: clock.nowMs(),
      clock: { state: clockState(), offsetMs: clockOffsetMs },
      sensorType: config.sensor.type,
      parts: sensor.parts?.(),
      host,
      credential: {
        credentialId: identity?.credential.credentialId,
        ageSec: ageSecOf(credentialAtMs, clock.nowMs()),
      },
      boot,
      config: remote.report(),
    })
  }
  // A recording has its own times: a schedule would say that readings are missing.
  const reports =
    config.sensor.type === 'replay'
      ? undefined
      : createStatusReports({
          everyMs: config.statusEveryMs,
          send: async () => link.isConnected && link.publish('status', JSON.stringify(await makeStatus())),
          log,
        })
  /** A status that was acknowledged proves a configuration; then there is more to say. */
  async function prove(): Promise<void> {
    const isHeard = (await reports?.now()) ?? link.isConnected
    if (!isHeard || !remote.isOnTrial) return
    clearTimeout(trial)
    remote.proved()
    await reports?.now()
  }
  const trial = remote.isOnTrial
    ? setTimeout(() => {
        remote.giveUp('the device was not connected with it')
        options.reopen()
      }, config.configTrialMs)
    : undefined

  const downlink = createDownlink({
    commands: openCommandLog(config.outboxDir),
    onConfig(message) {
      const verdict = remote.received(message)
      if (verdict === 'trial') options.reopen()
      if (verdict === 'rejected') void reports?.now()
    },
    reply: (payload) => link.publish('replies', payload),
    doings: {
      ping: () => ({
        version: parts.version,
        atMs: clock.nowMs(),
        uptimeSec: Math.floor((clock.monotonicMs() - startedMs) / 1000),
      }),
      report: async () => (await reports?.now()) ?? false,
      setCount: sensor.setCount?.bind(sensor),
      rotate: async () => {
        const credential = await rotateCredential(
          {
            identity: link.state().identity,
            config,
            signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(rotationMs)]),
          },
          { ...parts, log },
        )
        link.look()
        return { credentialId: credential.credentialId }
      },
      restart: options.restart,
    },
    nowMs: clock.nowMs,
    log,
  })
  const stopping = new AbortController()
  const clockState = () => (options.sync.isSynced ? 'synced' : 'unsynced')
  const steps = () =>
    stepsOf({
      link: link.state(),
      clock: clockState(),
      sensor: { type: config.sensor.type, state: agent.sensorState() },
    })
  async function snapshot(): Promise<Snapshot> {
    const { identity, acknowledged } = link.state()
    return {
      v: 1,
      pid: process.pid,
      ...(identity === undefined ? {} : { deviceId: identity.deviceId }),
      ...(identity?.credential.credentialId === undefined
        ? {}
        : { credentialId: identity.credential.credentialId }),
      steps: [...steps()],
      acknowledged,
      status: await makeStatus(),
    }
  }
  const control = options.isAlone ? openControl(socketOf(config.outboxDir), snapshot, log) : undefined

  return {
    ready: {
      ...(first === undefined ? {} : { deviceId: first.deviceId, brokerUrl: first.broker.url }),
      outboxDir: config.outboxDir,
    },
    progress: () => agent.progress(),
    done: agent.done,
    snapshot,
    line: () => lineOf(steps(), agent.progress().queued),
    stop() {
      stopping.abort()
      clearTimeout(trial)
      downlink.stop()
      reports?.stop()
      control?.close()
      return agent.stop()
    },
  }
}

/** Undefined: a device that is alone has none that is good, and counts until people have put that right. */
function identityAtStart(options: DeviceOptions): Identity | undefined {
  const { config } = options.remote
  try {
    if (options.isAlone) readIdentity(config.credentialFile, config)
  } catch (error) {
    if (isFleetError(error, 'credential.invalid')) return undefined
    throw error
  }
  return identityNow(options)
}

/** @throws FleetError when it is missing, wrong, or of another device */
function identityNow({ remote: { config }, deviceId, isAlone }: DeviceOptions): Identity {
  const identity = readIdentity(config.credentialFile, config)
  // In a fleet the file says which outbox is whose.
  if (isAlone) claimOutbox(config.outboxDir, identity.deviceId)
  if (deviceId !== undefined && deviceId !== identity.deviceId)
    throw new FleetError(
      'credential.invalid',
      `${config.credentialFile} is the credential of ${identity.deviceId}`,
    )
  return identity
}

function tokensOf(identity: Identity, config: AgentConfig, parts: DeviceParts): TokenSource {
  const { credential, broker } = identity
  const kept = createTokenFile({
    ...parts,
    credentialFile: config.credentialFile,
    request: [
      credential.token_endpoint,
      credential.client_id,
      credential.credentialId,
      broker.audience,
      config.tokenScope,
      config.tokenParameters,
    ],
  })
  return createTokens(identity, config, parts, kept)
}

/** Of a file that is written when the credential is given, and not since; a clock that was set back knows no age. */
function ageSecOf(writtenAtMs: number | undefined, nowMs: number): number | undefined {
  if (writtenAtMs === undefined || writtenAtMs > nowMs) return undefined
  return Math.floor((nowMs - writtenAtMs) / 1000)
}
