/**
 * Settings of lotctl itself. Where the programs are is found in their own settings (`places.ts`);
 * these win over it, for a lotctl that talks to another machine.
 */
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { readDataDir, readSettings, type SettingsSource } from '../core/runtime/env.ts'

const Url = Type.String({ pattern: '^https?://' })

export const cliSettings = Type.Object({
  provisioningUrl: Type.Optional({
    ...Url,
    description: 'provisioning; absent: as provisioning’s own settings say',
  }),
  ingestUrl: Type.Optional({ ...Url, description: 'ingest; absent: as ingest’s own settings say' }),
  brokerUrl: Type.Optional({
    ...Url,
    description: 'the broker’s HTTP face; absent: as the broker’s own settings say',
  }),
  credentialFile: Type.Optional(
    Type.String({ description: 'who lotctl is; absent: operator.json in the data folder' }),
  ),
  timeoutSec: Type.Integer({ default: 30, minimum: 1, maximum: 3600, description: 'for one answer' }),
  insecure: Type.Boolean({ default: false, description: 'allow plaintext beyond loopback' }),
})

export type CliConfig = Readonly<Static<typeof cliSettings>> & {
  readonly dataDir: string
  /** Where `lotctl login` keeps what it was given. */
  readonly profilesDir: string
}

/** @throws FleetError `config.invalid` naming every fault */
export function readCliConfig(source: SettingsSource): CliConfig {
  const settings = readSettings(cliSettings, { section: 'cli', prefix: 'LOTWATCH_CLI', ...source })
  const dataDir = readDataDir(source)
  const { XDG_CONFIG_HOME: configHome, HOME: home } = source.env
  const configDir = configHome || (home ? join(home, '.config') : dataDir)
  return Object.freeze({ ...settings, dataDir, profilesDir: join(configDir, 'lotwatch', 'profiles') })
}
