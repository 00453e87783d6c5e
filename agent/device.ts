/**
 * One device of this process, put together: who it is, its tokens, its connection, its outbox, and what it tells of
 * itself. Which sensor it has is chosen by the front door.
 */
import { statSync } from 'node:fs'
import { createTokenSource } from '../core/auth/token-source.ts'
import type { Fetch } from '../core/auth/verifier.ts'
import type { Epoch } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import { type Agent, startAgent } from './agent.ts'
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'
import type { AgentConfig } from './config.ts'
import { type Identity, readIdentity } from './identity.ts'
import { openOutboxStore } from './outbox-store.ts'
import { createTicks, isSchedule } from './schedule.ts'
import { noteSchedule, type ScheduleNote } from './schedule-note.ts'
import type { Sensor } from './sensors/sensor.ts'
import { createStatusReports, readHost, statusOf } from './status.ts'
import type { TimeSync } from './time-sync.ts'
import { createTokenFile } from './token-file.ts'
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
  readonly config: AgentConfig
  readonly createSensor: (log: Log) => Sensor
  /** Of the sensor, where it has one of its own. */
  readonly schedule: string | undefined
  /** The device that the credential must be of; undefined: any. */
  readonly deviceId?: string
  /** Whether the time is known. */
  readonly sync: TimeSync
  /** A connection attempt waits here for its turn. */
  readonly inTurn?: <T>(attempt: () => Promise<T>) => Promise<T>
  /** The only one in this process: what the process does is its doing. */
  readonly isAlone: boolean
}

export interface Device extends Pick<Agent, 'progress' | 'done' | 'stop'> {
  readonly ready: Readonly<Record<string, unknown>>
}

/** @throws FleetError when it cannot begin: wrong settings, no credential, an outbox that another agent uses */
export async function openDevice(options: DeviceOptions, parts: DeviceParts): Promise<Device> {
  const { config } = options
  const { clock, boot, random } = parts
  const identity = readIdentity(config.credentialFile, config)
  const { deviceId, credential, broker } = identity
  if (options.deviceId !== undefined && options.deviceId !== deviceId)
    throw new FleetError('credential.invalid', `${config.credentialFile} is the credential of ${deviceId}`)
  const log = parts.log.child({ deviceId })
  const cron = options.schedule ?? config.schedule
  if (!isSchedule(cron)) throw new FleetError('config.invalid', `${cron} is not a cron expression`)
  const sensor = options.createSensor(log)
  const uplink = createUplink({
    ...config,
    deviceId,
    broker,
    ca: credential.ca,
    tokens: tokensOf(identity, config, { ...parts, log }),
    clock,
    random,
    log,
    ...(options.inTurn === undefined ? {} : { inTurn: options.inTurn }),
    listener: {
      connected: () => void reports?.now(),
      disconnected: () => undefined,
      received: () => undefined,
    },
  })
  const agent = startAgent({
    store: await openOutboxStore(config.outboxDir, { newEpoch: parts.newEpoch, nowMs: clock.nowMs }),
    uplink,
    sensor,
    ticks: (signal) => createTicks(cron, signal),
    clock,
    boot,
    sync: options.sync,
    random,
    log,
    limits: { windowMessages: config.windowMessages, bytesMax: config.outboxBytesMax },
    flushReadings: config.flushReadings,
    flushEveryMs: config.flushEveryMs,
  })

  const startedMs = clock.monotonicMs()
  let schedule: ScheduleNote | undefined
  async function makeStatus() {
    // Not at the start, when the clock may not be set yet.
    schedule ??= noteSchedule(config.outboxDir, cron, clock.nowMs())
    const uptimeSec = Math.floor((clock.monotonicMs() - startedMs) / 1000)
    const [state, host] = await Promise.all([
      agent.state(),
      readHost(config.outboxDir, options.isAlone ? uptimeSec : undefined),
    ])
    return statusOf({
      version: parts.version,
      uptimeSec,
      schedule,
      state,
      bytesMax: config.outboxBytesMax,
      lossWindowMs: config.flushEveryMs,
      nowMs: clock.nowMs(),
      clock: { state: options.sync.isSynced ? 'synced' : 'unsynced', offsetMs: undefined },
      sensorType: config.sensor.type,
      host,
      credential: { credentialId: credential.credentialId, ageSec: ageSecOf(config.credentialFile, clock) },
      boot,
      config: undefined,
    })
  }
  // A recording has its own times: a schedule would say that readings are missing.
  const reports =
    config.sensor.type === 'replay'
      ? undefined
      : createStatusReports({
          everyMs: config.statusEveryMs,
          send: async () =>
            uplink.isConnected && uplink.publish('status', JSON.stringify(await makeStatus())),
          log,
        })

  return {
    ready: { deviceId, brokerUrl: broker.url, outboxDir: config.outboxDir },
    progress: () => agent.progress(),
    done: agent.done,
    stop() {
      reports?.stop()
      return agent.stop()
    },
  }
}

function tokensOf(
  { credential, broker }: Identity,
  config: AgentConfig,
  { boot, clock, log, random, fetchOf }: DeviceParts,
) {
  return createTokenSource({
    credential,
    audience: broker.audience,
    fetch: fetchOf(credential.ca),
    nowMs: clock.monotonicMs,
    random,
    parameters: config.parameters,
    ...(config.tokenScope === undefined ? {} : { scope: config.tokenScope }),
    kept: createTokenFile({
      credentialFile: config.credentialFile,
      request: [
        credential.token_endpoint,
        credential.client_id,
        credential.credentialId,
        broker.audience,
        config.tokenScope,
        config.tokenParameters,
      ],
      clock,
      boot,
      log,
    }),
  })
}

/** Written when the credential was given, and not since. */
function ageSecOf(path: string, clock: Clock): number | undefined {
  const ageMs = clock.nowMs() - statSync(path).mtimeMs
  return ageMs < 0 ? undefined : Math.floor(ageMs / 1000)
}
