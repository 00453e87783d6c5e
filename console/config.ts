/** Settings of the console: section `console` of the file, `LOTWATCH_CONSOLE_…` in the environment. */
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { FleetError } from '../core/contract/errors.ts'
import { readDataDir, readSettings, type SettingsSource, settingName } from '../core/runtime/env.ts'
import type { TlsFiles } from '../core/runtime/http.ts'
import { serverSettings, tlsFaults, tlsFilesOf } from '../core/runtime/settings.ts'
import { roles } from './roles.ts'

const name = { section: 'console', prefix: 'LOTWATCH_CONSOLE' } as const
const Url = (byDefault: string, description: string) =>
  Type.String({ default: byDefault, pattern: '^https?://[^?#\\s]+$', description })

export const consoleSettings = Type.Object({
  ...serverSettings(8080),
  publicUrl: Type.Optional(
    Type.String({
      pattern: '^https?://[^/?#\\s]+$',
      description: 'as browsers reach it, such as https://lots.example; absent: this host and port',
    }),
  ),
  provisioningUrl: Url('http://127.0.0.1:8081', 'provisioning'),
  ingestUrl: Url('http://127.0.0.1:8082', 'ingest'),
  brokerUrl: Url('http://127.0.0.1:8083', 'the broker’s HTTP face'),
  caFile: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'certificate authority of our programs that it calls, PEM; absent: the system’s. Servers of others are believed by public ones, too',
    }),
  ),
  credentialFile: Type.Optional(
    Type.String({ description: 'its own credential; absent: services/console.json in the data folder' }),
  ),
  signInIdleSec: Type.Integer({
    default: 12 * 3600,
    minimum: 60,
    maximum: 90 * 86_400,
    description: 'a person who has done nothing for so long has to sign in again',
  }),
  signInLifeSec: Type.Integer({
    default: 7 * 86_400,
    minimum: 60,
    maximum: 365 * 86_400,
    description: 'after that they have to, whatever they did',
  }),
  streamsMax: Type.Integer({
    default: 500,
    minimum: 1,
    maximum: 100_000,
    description: 'live streams at once, of all people; of one at most a tenth, and at least 8',
  }),
  oidcIssuer: Type.Optional(
    Type.String({
      pattern: '^https?://[^?#\\s]+$',
      description:
        'OpenID Connect provider whose people may sign in, as in iss; absent: local accounts alone',
    }),
  ),
  oidcClientId: Type.Optional(
    Type.String({ minLength: 1, description: 'as the provider knows the console' }),
  ),
  oidcClientSecret: Type.Optional(Type.String({ minLength: 1, description: 'its secret' })),
  oidcScope: Type.String({ default: 'openid profile email', description: 'what the provider is asked for' }),
  oidcRoleClaim: Type.String({
    default: 'lotwatch_role',
    minLength: 1,
    description: 'claim of the ID token with the role, text or a list: admin, operator or analyst',
  }),
  oidcLotsClaim: Type.String({
    default: 'lotwatch_lots',
    minLength: 1,
    description:
      'claim of the ID token with the lots an analyst is limited to; people without it see every lot',
  }),
  oidcRoleDefault: Type.Optional(
    Type.Enum(roles, { description: 'role of people without that claim; absent: they may not come in' }),
  ),
})

export interface ConsoleConfig extends Readonly<Static<typeof consoleSettings>> {
  readonly dataDir: string
  readonly credentialFile: string
  readonly databaseFile: string
  readonly tls: TlsFiles | undefined
}

/** @throws FleetError `config.invalid` with every fault found */
export function readConsoleConfig(source: SettingsSource): ConsoleConfig {
  const settings = readSettings(consoleSettings, { ...name, ...source })
  const faults = tlsFaults(name.prefix, settings)
  if (settings.oidcIssuer !== undefined)
    for (const key of ['oidcClientId', 'oidcClientSecret'] as const)
      if (settings[key] === undefined)
        faults.push(`${settingName(name.prefix, key)}: is required, since there is a provider`)
  if (faults.length > 0) throw new FleetError('config.invalid', 'settings do not fit together', { faults })
  const dataDir = readDataDir(source)
  return Object.freeze({
    ...settings,
    dataDir,
    credentialFile: settings.credentialFile ?? join(dataDir, 'services', 'console.json'),
    databaseFile: join(dataDir, 'console.db'),
    tls: tlsFilesOf(settings),
  })
}
