/** The broker's settings. */
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { readDataDir, readSettings, type SettingsSource } from '../core/runtime/env.ts'
import { followerSettings, portSetting, serverSettings, tlsFaults } from '../core/runtime/settings.ts'

const Bytes = (description: string, bytes: number) =>
  Type.Integer({ minimum: 128 * 1024, maximum: 2 ** 31, default: bytes, description })

export const brokerSettings = Type.Object({
  ...serverSettings(8083),
  ...followerSettings,
  mqttHost: Type.String({ default: '127.0.0.1', description: 'address devices connect to without TLS' }),
  mqttPort: portSetting(1883, 'port for MQTT without TLS'),
  mqttsHost: Type.String({ default: '0.0.0.0', description: 'address devices connect to over TLS' }),
  mqttsPort: portSetting(8883, 'port for MQTT over TLS, with a certificate'),
  ingestUrl: Type.String({ default: 'http://127.0.0.1:8082', description: 'where readings are handed over' }),
  connectionsMax: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 20_000,
    description: 'open sockets at most; more are turned away',
  }),
  connectTimeoutMs: Type.Integer({
    minimum: 100,
    maximum: 60_000,
    default: 5000,
    description: 'time for a CONNECT to arrive, and again to decide on it',
  }),
  batchMessagesMax: Type.Integer({
    minimum: 1,
    maximum: 20_000,
    default: 4000,
    description: 'messages in one handover at most',
  }),
  batchBytesMax: Bytes('bytes in one handover at most', 2 * 1024 * 1024),
  batchesInFlightMax: Type.Integer({
    minimum: 1,
    maximum: 8,
    default: 2,
    description: 'handovers under way at once',
  }),
  handoverDeadlineMs: Type.Integer({
    minimum: 500,
    maximum: 60_000,
    default: 7000,
    description:
      'how long a handover is tried again before its connections are closed; below half the shortest keep-alive',
  }),
  bufferBytesSoft: Bytes('bytes held at which sockets are read no more', 64 * 1024 * 1024),
  bufferBytesHard: Bytes('bytes held at which the newest connection is closed', 128 * 1024 * 1024),
})

export type BrokerConfig = Readonly<Static<typeof brokerSettings>> & { readonly credentialFile: string }

/** @throws FleetError `config.invalid` naming every fault */
export function readBrokerConfig(source: SettingsSource): BrokerConfig {
  const settings = readSettings(brokerSettings, { section: 'broker', prefix: 'LOTWATCH_BROKER', ...source })
  const faults = [
    ...tlsFaults('LOTWATCH_BROKER', settings),
    ...(settings.bufferBytesHard > settings.bufferBytesSoft
      ? []
      : ['LOTWATCH_BROKER_BUFFER_BYTES_HARD: must be greater than LOTWATCH_BROKER_BUFFER_BYTES_SOFT']),
  ]
  if (faults.length > 0) throw new FleetError('config.invalid', 'settings contradict each other', { faults })
  return Object.freeze({
    ...settings,
    credentialFile: settings.credentialFile ?? join(readDataDir(source), 'services', 'broker.json'),
  })
}
