/**
 * Profiles: for each server that this person works with, a credential file (0600) and where the server is. They lie in
 * `$XDG_CONFIG_HOME/lotwatch/profiles`. Whether a credential is good is not asked here.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { identifierPattern } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'

/** Used when nothing says who lotctl is. */
export const profileDefault = 'default'

const Servers = Type.Object(
  {
    provisioningUrl: Type.Optional(Type.String({ pattern: '^https?://' })),
    ingestUrl: Type.Optional(Type.String({ pattern: '^https?://' })),
    brokerUrl: Type.Optional(Type.String({ pattern: '^https?://' })),
  },
  { additionalProperties: false },
)
export type ProfileServers = Static<typeof Servers>

export interface Profile {
  readonly name: string
  readonly credentialFile: string
  readonly servers: ProfileServers
}

/** @throws FleetError `credential.invalid` when the profile cannot be read */
export function findProfile(folder: string, name: string): Profile | undefined {
  const { credentialFile, serversFile } = filesOf(folder, name)
  if (!existsSync(credentialFile)) return undefined
  if (!existsSync(serversFile)) return { name, credentialFile, servers: {} }
  let servers: unknown
  try {
    servers = JSON.parse(readFileSync(serversFile, 'utf8'))
  } catch (cause) {
    throw new FleetError('credential.invalid', `${serversFile} is not JSON`, { cause })
  }
  if (!Value.Check(Servers, servers))
    throw new FleetError('credential.invalid', `${serversFile} does not name servers by URL`)
  return { name, credentialFile, servers }
}

/** Replaces what the profile was. */
export function writeProfile(
  folder: string,
  name: string,
  { credential, servers }: { credential: object; servers: ProfileServers },
): Profile {
  const { credentialFile, serversFile } = filesOf(folder, name)
  writePrivate(serversFile, servers)
  writePrivate(credentialFile, credential)
  return { name, credentialFile, servers }
}

/** @returns whether there was one */
export function removeProfile(folder: string, name: string): boolean {
  const { credentialFile, serversFile } = filesOf(folder, name)
  const was = existsSync(credentialFile)
  rmSync(credentialFile, { force: true })
  rmSync(serversFile, { force: true })
  return was
}

/** JSON, never readable by others, not for a moment, and never half written. */
export function writePrivate(path: string, value: object): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.new`
  writeFileSync(draft, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600, flush: true })
  chmodSync(draft, 0o600)
  renameSync(draft, path)
}

function filesOf(folder: string, name: string) {
  if (!new RegExp(identifierPattern).test(name))
    throw new FleetError('request.invalid', `"${name}" is no name for a profile: letters, digits, _ and -`)
  return {
    credentialFile: join(folder, `${name}.credential.json`),
    serversFile: join(folder, `${name}.servers.json`),
  }
}
