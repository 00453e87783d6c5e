/** The broker's settings. */
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import type { TrustedIssuer } from '../core/auth/verifier.ts'
import { FleetError } from '../core/contract/errors.ts'
import { audiences } from '../core/contract/principal.ts'
import { readDataDir, readSettings, type SettingsSource } from '../core/runtime/env.ts'
import { followerSettings, portSetting, serverSettings, tlsFaults } from '../core/runtime/settings.ts'

const Bytes = (description: string, bytes: number) =>
  Type.Integer({ minimum: 128 * 1024, maximum: 2 ** 31, default: bytes, description })

const Milliseconds = (description: string, ms: number) =>
  Type.Integer({ minimum: 100, maximum: 60_000, default: ms, description })

const Rate = (description: string, perSec: number) =>
  Type.Number({ minimum: 0.01, maximum: 1_000_000, default: perSec, description })

const Count = (description: string, count: number) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, default: count, description })

const ClaimPlace = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }))

/** One more issuer whose tokens are believed. What is absent is as its kind has it. */
const IssuerRow = Type.Object(
  {
    issuer: Type.String({ pattern: '^https?://', maxLength: 256 }),
    dialect: Type.Enum(['rfc9068', 'auth0', 'keycloak', 'entra', 'custom']),
    /** Absent: from the issuer's metadata. */
    jwksUri: Type.Optional(Type.String({ pattern: '^https?://' })),
    /** Absent: `urn:lotwatch:broker`. */
    audience: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    /** Absent: RS256. */
    algorithms: Type.Optional(
      Type.Array(
        Type.Enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']),
        { minItems: 1 },
      ),
    ),
    clientClaim: ClaimPlace,
    deviceClaim: ClaimPlace,
    scopeClaim: ClaimPlace,
  },
  { additionalProperties: false },
)

export const brokerSettings = Type.Object({
  ...serverSettings(8083),
  ...followerSettings,
  issuers: Type.Array(IssuerRow, {
    default: [],
    maxItems: 32,
    description:
      'more issuers whose tokens devices may bring, a row each (in the environment as JSON): see docs/issuers.md',
  }),
  keysAgeMaxSec: Type.Integer({
    default: 86_400,
    minimum: 60,
    maximum: 30 * 86_400,
    description: 'how long the keys of an issuer that does not answer are believed, also across a restart',
  }),
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
  handshakeTimeoutMs: Milliseconds('time for a PROXY header, and for a TLS handshake', 10_000),
  connectTimeoutMs: Milliseconds('time for a CONNECT to arrive', 5000),
  authenticationTimeoutMs: Milliseconds('time to decide on a CONNECT; beyond it the answer is 3', 5000),
  pendingPerAddressMax: Count('sockets of one address (in IPv6 of a /64) without a CONNECT at most', 1000),
  pendingMax: Count('sockets without a CONNECT at most, over all addresses', 10_000),
  attemptsPerAddressBurst: Count(
    'failed CONNECTs of one address that are looked at in one go; beyond them the answer is 3',
    1000,
  ),
  attemptsPerAddressPerSec: Rate('failed CONNECTs of one address that are looked at a second after that', 50),
  attemptsBurst: Count('failed CONNECTs that are looked at in one go, over all addresses', 5000),
  attemptsPerSec: Rate('failed CONNECTs that are looked at a second after that, over all addresses', 1000),
  proxyPeers: Type.Array(Type.String(), {
    default: [],
    description:
      'load balancers that send the header of PROXY protocol 2 before anything else: addresses and networks, such as 10.0.0.0/8',
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
    // A device that hears nothing for longer than that may take the connection for dead.
    maximum: 7500,
    default: 7000,
    description:
      'how long a handover is tried again before its connections are closed; below half the shortest keep-alive',
  }),
  bufferBytesSoft: Bytes('bytes held at which sockets are read no more', 64 * 1024 * 1024),
  bufferBytesHard: Bytes('bytes held at which the newest connection is closed', 128 * 1024 * 1024),
})

export type BrokerConfig = Readonly<Static<typeof brokerSettings>> & {
  readonly credentialFile: string
  /** Where the keys of issuers are kept. */
  readonly keysFolder: string
  /** Our own first. */
  readonly trustedIssuers: readonly TrustedIssuer[]
}

/** @throws FleetError `config.invalid` naming every fault */
export function readBrokerConfig(source: SettingsSource): BrokerConfig {
  const settings = readSettings(brokerSettings, { section: 'broker', prefix: 'LOTWATCH_BROKER', ...source })
  const faults = [
    ...tlsFaults('LOTWATCH_BROKER', settings),
    ...(settings.bufferBytesHard > settings.bufferBytesSoft
      ? []
      : ['LOTWATCH_BROKER_BUFFER_BYTES_HARD: must be greater than LOTWATCH_BROKER_BUFFER_BYTES_SOFT']),
    ...issuerFaults(settings),
  ]
  if (faults.length > 0) throw new FleetError('config.invalid', 'settings contradict each other', { faults })
  const dataDir = readDataDir(source)
  return Object.freeze({
    ...settings,
    credentialFile: settings.credentialFile ?? join(dataDir, 'services', 'broker.json'),
    keysFolder: join(dataDir, 'jwks-cache'),
    trustedIssuers: trustedIssuersOf(settings),
  })
}

function trustedIssuersOf({ issuerUrl, issuers }: Static<typeof brokerSettings>): TrustedIssuer[] {
  const audience = audiences.broker
  return [
    { issuer: issuerUrl, algorithms: ['ES256'], dialect: 'rfc9068', audience },
    ...issuers.map((row) => ({ audience, algorithms: ['RS256'], ...row })),
  ]
}

/** Tokens are matched by the exact `iss`: each may have one row. */
function issuerFaults({ issuerUrl, issuers }: Static<typeof brokerSettings>): string[] {
  const all = [issuerUrl, ...issuers.map(({ issuer }) => issuer)]
  return all
    .filter((issuer, i) => all.indexOf(issuer) !== i)
    .map((issuer) => `LOTWATCH_BROKER_ISSUERS: ${issuer} has two rows, or is LOTWATCH_BROKER_ISSUER_URL`)
}
