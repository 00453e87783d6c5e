/**
 * The registry: lots, devices, clients, APIs and credentials, and every change to them. A change is decided on the
 * present state and committed with its audit entry and its feed events as one. The parts are in the folder beside this;
 * here they are put together. Who may ask is decided at the door (access.ts); tokens are given out by `oauth/`.
 */
import type { CredentialFile } from '../core/contract/credential.ts'
import { audiences } from '../core/contract/principal.ts'
import { createEnrolProofs } from './enrol-proof.ts'
import type { Issuer } from './issuer/issuer.ts'
import { makeSecret, type SecretHasher } from './oauth/secret.ts'
import { type Apis, createApis } from './registry/apis.ts'
import { type Boards, createBoards } from './registry/boards.ts'
import { type Changes, createChanges } from './registry/changes.ts'
import { type Clients, createClients } from './registry/clients.ts'
import { type Credentials, createCredentials } from './registry/credentials.ts'
import { createDevices, type Devices } from './registry/devices.ts'
import { createDownlink, type Downlink } from './registry/downlink.ts'
import { createEnrolments, type Enrolments } from './registry/enrolment.ts'
import { createImports, type Imports } from './registry/import.ts'
import { createLots, type Lots } from './registry/lots.ts'
import { createPresenceDesk, type PresenceDesk } from './registry/presence.ts'
import type { RegistryRepository } from './repository/repository.ts'

export interface RegistryOptions {
  readonly repository: RegistryRepository
  readonly issuer: Issuer
  /** Opens and closes what is stored sealed. */
  readonly pepper: Uint8Array
  /** Keyed hash of what is kept as a digest only. */
  readonly hash: SecretHasher
  readonly randomBytes: (count: number) => Uint8Array
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** What devices are told about their broker. */
  readonly broker: NonNullable<CredentialFile['broker']>
  /** PEM, handed out in credential files. */
  readonly ca: string | undefined
  /** Clients that are there at every start, and stay. */
  readonly builtInClients: ReadonlySet<string>
}

/** Each verb takes first who asks; its promise resolves when the change is durable. */
export interface Registry {
  readonly changes: Changes
  readonly credentials: Credentials
  readonly clients: Clients
  readonly apis: Apis
  readonly lots: Lots
  readonly devices: Devices
  readonly boards: Boards
  readonly enrolments: Enrolments
  readonly imports: Imports
  readonly downlink: Downlink
  readonly presence: PresenceDesk
}

export function createRegistry(options: RegistryOptions): Registry {
  const { repository, builtInClients } = options
  const changes = createChanges(repository, options.pepper)
  const credentials = createCredentials({ ...options, changes })
  const { now, randomBytes, hash } = options
  const proofs = createEnrolProofs({ repository, issuer: options.issuer.issuer, hash, now })
  const made = {
    now,
    hash,
    makeKeyText: () => makeSecret(randomBytes(32), 'lotenr'),
    newId: (prefix: string) => `${prefix}-${Buffer.from(randomBytes(8)).toString('hex')}`,
  }
  return {
    changes,
    credentials,
    clients: createClients({
      repository,
      issuer: options.issuer,
      changes,
      credentials,
      builtIn: builtInClients,
    }),
    apis: createApis({ changes }),
    enrolments: createEnrolments({ ...made, repository, changes, credentials, proofs }),
    imports: createImports({ ...made, repository, changes, credentials }),
    downlink: createDownlink({ ...made, repository, changes }),
    presence: createPresenceDesk({ repository, now }),
    lots: createLots({ changes }),
    boards: createBoards({ changes, now: options.now }),
    devices: createDevices({
      repository,
      changes,
      credentials,
      directory: options.issuer.directory,
      now: options.now,
    }),
  }
}

/** Towards a broker of ours: it answers `authz-info`. */
export function brokerOf(url: string): NonNullable<CredentialFile['broker']> {
  return { url, audience: audiences.broker, renewal: 'in_band' }
}
