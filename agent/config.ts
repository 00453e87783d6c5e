/** The agent's settings. In a fleet each device has its credential, outbox and sensor from the fleet file instead. */
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { FleetError } from '../core/contract/errors.ts'
import { type FleetDevice, replayColumnsDefault } from '../core/contract/fleet.ts'
import { isZone } from '../core/contract/zone.ts'
import { readSettings, type SettingsSource } from '../core/runtime/env.ts'
import { logLevelSetting } from '../core/runtime/settings.ts'
import { isSchedule } from './schedule.ts'
import { SensorRow, sensorFaults, sensorsMax, urlFaults } from './sensor-list.ts'

const Count = (description: string, byDefault: number, minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, default: byDefault, description })
const Millis = (description: string, byDefault: number, minimum = 1) =>
  Count(description, byDefault, minimum, 24 * 3600_000)
const column = replayColumnsDefault
export const agentSettings = Type.Object({
  credentialFile: Type.String({
    default: 'credentials.json',
    description: 'who the device is and where it proves it; mode 0600',
  }),
  outboxDir: Type.String({ default: 'outbox', description: 'folder of readings that are not settled yet' }),
  outboxBytesMax: Count(
    'bytes of readings kept at most; beyond it some are let go of, and reported',
    256 * 1024 * 1024,
    1024 * 1024,
    2 ** 40,
  ),
  outboxWhenFull: Type.Union(
    [Type.Literal('thin_oldest'), Type.Literal('drop_oldest'), Type.Literal('stop')],
    {
      default: 'thin_oldest',
      description:
        'which ones: thin_oldest (every second of the older half), drop_oldest, stop (the new ones)',
    },
  ),
  brokerUrl: Type.Optional(
    Type.String({ description: 'mqtts://host:port; absent: as the credential file says' }),
  ),
  tokenEndpoint: Type.Optional(
    Type.String({ description: 'where tokens come from; absent: as the credential file says' }),
  ),
  tokenAudience: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'for whom tokens are asked; absent: as the credential file says',
    }),
  ),
  tokenScope: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'scope that tokens are asked for; absent: all that was granted',
    }),
  ),
  tokenParameters: Type.String({
    default: '',
    description: 'more parameters of a token request, as some issuers want: `resource=a&tenant=b`',
  }),
  insecure: Type.Boolean({ default: false, description: 'allow plaintext beyond loopback' }),
  schedule: Type.String({
    default: '* * * * *',
    description: 'when a reading is taken: cron expression in UTC, seconds allowed in front',
  }),
  clockSource: Type.Union(
    [Type.Literal('auto'), Type.Literal('file'), Type.Literal('timedatectl'), Type.Literal('assume')],
    {
      default: 'auto',
      description:
        'who says that the clock is set: file, timedatectl, auto (either, where systemd runs; else assume), assume (it is)',
    },
  ),
  clockFile: Type.String({
    default: '/run/systemd/timesync/synchronized',
    description: 'file that is there once the clock is set',
  }),
  sensorType: Type.Union(
    [Type.Literal('simulated'), Type.Literal('replay'), Type.Literal('exec'), Type.Literal('http')],
    { default: 'simulated', description: 'what counts: simulated, replay, exec or http' },
  ),
  sensors: Type.Optional(
    Type.Array(SensorRow, {
      minItems: 1,
      maxItems: sensorsMax,
      description:
        'several sensors, merged into one reading per tick, instead of sensorType; JSON in a variable',
    }),
  ),
  sensorStartCount: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 1_000_000,
      description: 'spaces taken when gates begin to count; absent: not known until a count is set',
    }),
  ),
  execCommand: Type.Optional(
    Type.Array(Type.String(), {
      minItems: 1,
      description: 'program of the exec sensor and its arguments, without a shell',
    }),
  ),
  httpUrl: Type.Optional(Type.String({ description: 'what the http sensor asks with GET' })),
  httpPointer: Type.String({
    default: '',
    description: 'JSON pointer (RFC 6901) to the count in its answer; empty: the whole answer',
  }),
  httpInsecure: Type.Boolean({
    default: false,
    description: 'allow http:// beyond loopback for that sensor',
  }),
  sensorCapacity: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'spaces there are, where an exec or http sensor does not say so',
    }),
  ),
  sensorTimeoutMs: Millis('longest wait for an answer of an exec or http sensor', 5000),
  sensorSilentAfterMs: Millis('a count older than this is not told any more: the sensor is silent', 120_000),
  sensorStuckAfterSec: Count(
    'a count that has not changed for this long is told as stuck; 0: never',
    24 * 3600,
    0,
    366 * 24 * 3600,
  ),
  simulatedSeed: Count('the same seed makes the same lot', 1, 0, 2 ** 32 - 1),
  simulatedCapacity: Count('spaces of the simulated lot', 300, 1, 1_000_000),
  simulatedTz: Type.String({
    default: 'UTC',
    description: 'time zone whose days the simulated lot lives by',
  }),
  simulatedHistoryDays: Count('days of the past a simulated lot sends first', 7, 0, 366),
  simulatedHistoryEverySec: Count('seconds between readings of that past', 300, 1, 24 * 3600),
  replayFile: Type.Optional(Type.String({ description: 'recorded CSV file' })),
  replayKey: Type.Optional(Type.String({ description: 'the car park to play, as the file names it' })),
  replayColumnKey: Type.String({ default: column.key, description: 'column with the car park' }),
  replayColumnCapacity: Type.String({ default: column.capacity, description: 'column with its spaces' }),
  replayColumnOccupied: Type.String({
    default: column.occupied,
    description: 'column with the spaces taken',
  }),
  replayColumnTime: Type.String({ default: column.time, description: 'column with the time' }),
  replayTz: Type.String({ default: 'UTC', description: 'time zone of times in the file without an offset' }),
  replaySpeed: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      description: 'times real time; absent: as fast as the system takes it',
    }),
  ),
  replayShiftToNow: Type.Boolean({
    default: false,
    description: 'move the file by whole weeks so that now falls into its last week',
  }),
  windowMessages: Count('messages without PUBACK at a time', 50, 1, 1000),
  flushReadings: Count('readings made durable in one write', 64, 1, 10_000),
  flushEveryMs: Millis(
    'longest wait of a reading before that write, which a power cut can cost; 0: none',
    5000,
    0,
  ),
  reconnectMinMs: Millis(
    'first longest wait before connecting again; it doubles, and each wait is random',
    1000,
  ),
  reconnectMaxMs: Millis('where that doubling ends', 60_000),
  refusedMinMs: Millis('shortest wait after the issuer has refused the device; it doubles', 30_000),
  refusedMaxMs: Millis('where that doubling ends', 3600_000),
  stableMs: Millis('a connection that lasted this long starts over with the first wait', 60_000),
  ackTimeoutMs: Millis('a connection without PUBACK for this long is given up', 15_000, 100),
  configTrialMs: Millis(
    'a configuration sent from afar with which the device is not connected for this long is rolled back',
    120_000,
    1000,
  ),
  statusEveryMs: Millis('how often the device says how it is', 300_000, 1000),
  logLevel: logLevelSetting,
})
export type AgentSettings = Static<typeof agentSettings>

/** A program that counts. */
export interface ExecSensor {
  readonly type: 'exec'
  readonly command: readonly string[]
}

/** A device on the network that counts. */
export interface HttpSensor {
  readonly type: 'http'
  readonly url: string
  readonly pointer: string
}

/** Several, as one. */
export interface SeveralSensors {
  readonly type: 'several'
  readonly rows: readonly SensorRow[]
}

export interface AgentConfig extends Readonly<AgentSettings> {
  /** The sensor that `run` reads. */
  readonly sensor: FleetDevice['sensor'] | ExecSensor | HttpSensor | SeveralSensors
  /** `tokenParameters`, by name. */
  readonly parameters: Readonly<Record<string, string>>
}

/** What a token request says of the client is the credential file's alone. */
const parametersOfCredential = [
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
]

/** @throws FleetError `config.invalid` with every fault */
export function readAgentConfig(source: SettingsSource): AgentConfig {
  const settings = readSettings(agentSettings, { section: 'agent', prefix: 'LOT_AGENT', ...source })
  const faults = clashesOf(settings)
  const parameters = Object.fromEntries(new URLSearchParams(settings.tokenParameters))
  for (const name of Object.keys(parameters))
    if (name === '' || parametersOfCredential.includes(name))
      faults.push(`LOT_AGENT_TOKEN_PARAMETERS: ${JSON.stringify(name)} is not for settings to say`)
  if (settings.sensors !== undefined) faults.push(...sensorFaults(settings.sensors))
  if (settings.sensorType === 'replay') {
    if (settings.replayFile === undefined)
      faults.push('LOT_AGENT_REPLAY_FILE: is required by sensorType replay')
    if (settings.replayKey === undefined)
      faults.push('LOT_AGENT_REPLAY_KEY: is required by sensorType replay')
  }
  if (settings.sensorType === 'exec' && settings.execCommand === undefined)
    faults.push('LOT_AGENT_EXEC_COMMAND: is required by sensorType exec')
  if (settings.sensorType === 'http') faults.push(...httpFaults(settings))
  if (faults.length > 0) throw new FleetError('config.invalid', `${faults.length} wrong settings`, { faults })
  return Object.freeze({ ...settings, parameters, sensor: sensorOf(settings) })
}

/** What is wrong with settings that are right one by one. */
function clashesOf(settings: AgentSettings): string[] {
  const faults: string[] = []
  if (!isSchedule(settings.schedule)) faults.push('LOT_AGENT_SCHEDULE: is not a cron expression')
  if (!isZone(settings.simulatedTz)) faults.push('LOT_AGENT_SIMULATED_TZ: is not a time zone')
  if (!isZone(settings.replayTz)) faults.push('LOT_AGENT_REPLAY_TZ: is not a time zone')
  if (settings.reconnectMinMs > settings.reconnectMaxMs)
    faults.push('LOT_AGENT_RECONNECT_MIN_MS: is larger than LOT_AGENT_RECONNECT_MAX_MS')
  if (settings.refusedMinMs > settings.refusedMaxMs)
    faults.push('LOT_AGENT_REFUSED_MIN_MS: is larger than LOT_AGENT_REFUSED_MAX_MS')
  return faults
}

/**
 * The settings with some of them set from afar, which go over file and environment.
 * @throws FleetError `config.invalid` with every fault
 */
export function withRemote(config: AgentConfig, settings: Readonly<Record<string, unknown>>): AgentConfig {
  const merged: AgentConfig = { ...config, ...settings }
  const properties: Readonly<Record<string, TSchema>> = agentSettings.properties
  const faults = Object.entries(settings).flatMap(([name, value]) => {
    const schema = properties[name]
    if (schema === undefined) return [`${name}: unknown setting`]
    return Value.Errors(schema, value).map(({ message }) => `${name}: ${message}`)
  })
  if (faults.length === 0) faults.push(...clashesOf(merged))
  if (faults.length > 0) throw new FleetError('config.invalid', `${faults.length} wrong settings`, { faults })
  return Object.freeze(merged)
}

function httpFaults({ httpUrl, httpPointer, httpInsecure }: AgentSettings): string[] {
  // The same for a sensor that stands alone as for one in a list.
  const names = { url: 'LOT_AGENT_HTTP_URL', pointer: 'LOT_AGENT_HTTP_POINTER' }
  return urlFaults(httpUrl, httpPointer, httpInsecure).map((fault) =>
    fault
      .replace(/^(url|pointer) /, (_, name: 'url' | 'pointer') => `${names[name]}: `)
      .replace('insecure: true', 'httpInsecure: true'),
  )
}

function sensorOf(settings: AgentSettings): AgentConfig['sensor'] {
  if (settings.sensors !== undefined) return { type: 'several', rows: settings.sensors }
  if (settings.sensorType === 'exec') return { type: 'exec', command: settings.execCommand ?? [] }
  if (settings.sensorType === 'http')
    return { type: 'http', url: settings.httpUrl ?? '', pointer: settings.httpPointer }
  if (settings.sensorType === 'simulated') {
    return {
      type: 'simulated',
      seed: settings.simulatedSeed,
      capacity: settings.simulatedCapacity,
      tz: settings.simulatedTz,
      historyDays: settings.simulatedHistoryDays,
      historyEverySec: settings.simulatedHistoryEverySec,
    }
  }
  return {
    type: 'replay',
    file: settings.replayFile ?? '',
    key: settings.replayKey ?? '',
    columns: {
      key: settings.replayColumnKey,
      capacity: settings.replayColumnCapacity,
      occupied: settings.replayColumnOccupied,
      time: settings.replayColumnTime,
    },
    tz: settings.replayTz,
    shiftToNow: settings.replayShiftToNow,
    ...(settings.replaySpeed === undefined ? {} : { speed: settings.replaySpeed }),
  }
}
