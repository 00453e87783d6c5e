/** The agent's settings. In a fleet each device has its credential, outbox and sensor from the fleet file instead. */
import { type Static, Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { type FleetDevice, replayColumnsDefault } from '../core/contract/fleet.ts'
import { isZone } from '../core/contract/zone.ts'
import { readSettings, type SettingsSource } from '../core/runtime/env.ts'
import { logLevelSetting } from '../core/runtime/settings.ts'
import { isSchedule } from './schedule.ts'

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
    'bytes of readings kept at most; beyond it the oldest are dropped, and reported',
    256 * 1024 * 1024,
    1024 * 1024,
    2 ** 40,
  ),
  brokerUrl: Type.Optional(
    Type.String({ description: 'mqtts://host:port; absent: as the credential file says' }),
  ),
  tokenEndpoint: Type.Optional(
    Type.String({ description: 'where tokens come from; absent: as the credential file says' }),
  ),
  insecure: Type.Boolean({ default: false, description: 'allow plaintext beyond loopback' }),
  schedule: Type.String({
    default: '* * * * *',
    description: 'when a reading is taken: cron expression in UTC, seconds allowed in front',
  }),
  sensorType: Type.Union([Type.Literal('simulated'), Type.Literal('replay')], {
    default: 'simulated',
    description: 'what counts: simulated or replay',
  }),
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
  stableMs: Millis('a connection that lasted this long starts over with the first wait', 60_000),
  ackTimeoutMs: Millis('a connection without PUBACK for this long is given up', 15_000, 100),
  logLevel: logLevelSetting,
})
export type AgentSettings = Static<typeof agentSettings>

export interface AgentConfig extends Readonly<AgentSettings> {
  /** The sensor that `run` reads. */
  readonly sensor: FleetDevice['sensor']
}

/** @throws FleetError `config.invalid` with every fault */
export function readAgentConfig(source: SettingsSource): AgentConfig {
  const settings = readSettings(agentSettings, { section: 'agent', prefix: 'LOT_AGENT', ...source })
  const faults: string[] = []
  if (!isSchedule(settings.schedule)) faults.push('LOT_AGENT_SCHEDULE: is not a cron expression')
  if (!isZone(settings.simulatedTz)) faults.push('LOT_AGENT_SIMULATED_TZ: is not a time zone')
  if (!isZone(settings.replayTz)) faults.push('LOT_AGENT_REPLAY_TZ: is not a time zone')
  if (settings.reconnectMinMs > settings.reconnectMaxMs)
    faults.push('LOT_AGENT_RECONNECT_MIN_MS: is larger than LOT_AGENT_RECONNECT_MAX_MS')
  if (settings.sensorType === 'replay') {
    if (settings.replayFile === undefined)
      faults.push('LOT_AGENT_REPLAY_FILE: is required by sensorType replay')
    if (settings.replayKey === undefined)
      faults.push('LOT_AGENT_REPLAY_KEY: is required by sensorType replay')
  }
  if (faults.length > 0) throw new FleetError('config.invalid', `${faults.length} wrong settings`, { faults })
  return Object.freeze({ ...settings, sensor: sensorOf(settings) })
}

function sensorOf(settings: AgentSettings): FleetDevice['sensor'] {
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
