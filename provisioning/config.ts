/** Settings of provisioning: section `provisioning` of the file, `LOTWATCH_PROVISIONING_…` in the environment. */
import { type Static, Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { readDataDir, readSettings, type SettingsSource, settingName } from '../core/runtime/env.ts'
import type { TlsFiles } from '../core/runtime/http.ts'
import { serverSettings, tlsFaults, tlsFilesOf } from '../core/runtime/settings.ts'
import { pepperPattern } from './oauth/pepper.ts'

const name = { section: 'provisioning', prefix: 'LOTWATCH_PROVISIONING' } as const

export const provisioningSettings = Type.Object({
  ...serverSettings(8081),
  caFile: Type.Optional(
    Type.String({ minLength: 1, description: 'private authority, PEM: handed out in credential files' }),
  ),
  issuerUrl: Type.Optional(
    Type.String({
      // RFC 8414 §2: no query, no fragment.
      pattern: '^https?://[^/?#\\s]+(/[^?#\\s]*)?$',
      description: 'the issuer as clients reach it and tokens name it; without it, this host and port',
    }),
  ),
  brokerUrl: Type.String({
    default: 'mqtt://127.0.0.1:1883',
    pattern: '^mqtts?://[^/?#\\s]+$',
    description: 'where devices connect: handed out in their credential files',
  }),
  deviceIssuer: Type.Enum(['own', 'auth0'], {
    default: 'own',
    description:
      'who gives tokens to devices that get a credential from now on: this program, or Auth0 (docs/auth0.md)',
  }),
  auth0Url: Type.Optional(
    Type.String({
      pattern: '^https?://[^/?#\\s]+/?$',
      description: 'the tenant of Auth0, such as https://your-tenant.eu.auth0.com',
    }),
  ),
  auth0ClientId: Type.Optional(
    Type.String({ minLength: 1, description: 'the application that may use its Management API' }),
  ),
  auth0ClientSecret: Type.Optional(Type.String({ minLength: 1, description: 'its secret' })),
  tokenLifeSec: Type.Integer({
    default: 3600,
    minimum: 1,
    maximum: 86_400,
    description: 'life of an access token in seconds',
  }),
  errors: Type.Enum(['rfc', 'auth0'], {
    default: 'rfc',
    description:
      'in whose words the token endpoint refuses: RFC 6749’s, or Auth0’s for clients that look at them',
  }),
  keyRotation: Type.String({
    default: '23 4 1 * *',
    description: 'when the next signing key is made: a cron expression, UTC',
  }),
  keyPublishedBeforeSec: Type.Integer({
    default: 3600,
    minimum: 0,
    maximum: 30 * 86_400,
    description:
      'how long a signing key is published before it signs; above the 300 s that verifiers keep the key set',
  }),
  rulesDir: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'folder of the rules that run at token time, read again when it changes; absent: rules/ in the data folder',
    }),
  ),
  ruleTimeMs: Type.Integer({
    default: 250,
    minimum: 10,
    maximum: 10_000,
    description: 'how long one rule may take over one token request, in milliseconds; beyond it, it denies',
  }),
  databaseUrl: Type.Optional(
    Type.String({
      pattern: '^postgres(ql)?://',
      description:
        'the registry in PostgreSQL, which several provisioning processes may share; absent: SQLite in the data folder',
    }),
  ),
  pepper: Type.Optional(
    Type.String({
      pattern: pepperPattern,
      description:
        '32 bytes, base64url, under which secrets are hashed and keys sealed; absent: made at first start, in keys/pepper.json',
    }),
  ),
  credentialUnusedDays: Type.Integer({
    default: 90,
    minimum: 0,
    maximum: 36_500,
    description:
      'a credential that was not used for so many days is revoked once its owner uses a newer one; 0: never',
  }),
})

export interface ProvisioningConfig extends Readonly<Static<typeof provisioningSettings>> {
  readonly dataDir: string
  readonly tls: TlsFiles | undefined
}

/** @throws FleetError `config.invalid` with every fault found */
export function readProvisioningConfig(source: SettingsSource): ProvisioningConfig {
  const settings = readSettings(provisioningSettings, { ...name, ...source })
  const faults = tlsFaults(name.prefix, settings)
  if (settings.issuerUrl === undefined && (settings.host === '0.0.0.0' || settings.host === '::'))
    faults.push(`${name.prefix}_ISSUER_URL: is required, since ${settings.host} is no place to reach us at`)
  if (settings.deviceIssuer === 'auth0')
    for (const key of ['auth0Url', 'auth0ClientId', 'auth0ClientSecret'] as const)
      if (settings[key] === undefined)
        faults.push(`${settingName(name.prefix, key)}: is required, since Auth0 is the issuer for devices`)
  if (faults.length > 0) throw new FleetError('config.invalid', 'settings do not fit together', { faults })
  return Object.freeze({ ...settings, dataDir: readDataDir(source), tls: tlsFilesOf(settings) })
}
