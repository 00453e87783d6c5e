/**
 * The clients every system has: broker, ingest, console, and the operator at the terminal. At each start they are there, with
 * the grants of this version, and so are their credential files in the data folder.
 */
import { join } from 'node:path'
import { Value } from 'typebox/value'
import type { Client, ClientGrant } from '../core/contract/client.ts'
import { CredentialFile } from '../core/contract/credential.ts'
import { audiences } from '../core/contract/principal.ts'
import type { Log } from '../core/runtime/log.ts'
import { readFileIfAny, writePrivateFile } from './files.ts'
import type { Issuer } from './issuer/issuer.ts'
import { clientDefaults } from './registry/clients.ts'
import type { Registry } from './registry.ts'
import type { RegistryView } from './repository/repository.ts'

interface WellKnownClient {
  /** Below the data folder. */
  readonly file: string
  readonly client: Client
}

/** What people may do through a program that acts for them: lotctl and the console. */
const operatorGrants: readonly ClientGrant[] = [
  { audience: audiences.broker, scopes: ['read:connections', 'manage:connections'] },
  {
    audience: audiences.ingest,
    scopes: ['read:readings', 'query:sql', 'manage:quarantine', 'manage:store'],
  },
  {
    audience: audiences.provisioning,
    scopes: [
      'read:devices',
      'manage:devices',
      'manage:clients',
      'manage:apis',
      'manage:rules',
      'manage:keys',
      'read:audit',
    ],
  },
]

export const wellKnownClients: readonly WellKnownClient[] = [
  {
    file: 'services/broker.json',
    client: {
      ...clientDefaults(),
      oauthClientId: 'broker',
      name: 'Broker',
      kind: 'service',
      grants: [
        { audience: audiences.ingest, scopes: ['write:readings'] },
        { audience: audiences.provisioning, scopes: ['read:feed', 'report:presence'] },
      ],
    },
  },
  {
    file: 'services/ingest.json',
    client: {
      ...clientDefaults(),
      oauthClientId: 'ingest',
      name: 'Ingest',
      kind: 'service',
      grants: [{ audience: audiences.provisioning, scopes: ['read:feed'] }],
    },
  },
  {
    file: 'operator.json',
    client: {
      ...clientDefaults(),
      oauthClientId: 'operator',
      name: 'Operator',
      kind: 'command-line',
      grants: [...operatorGrants],
    },
  },
  {
    // It narrows them to what the role of each person allows (console/server/allowed.ts).
    file: 'services/console.json',
    client: {
      ...clientDefaults(),
      oauthClientId: 'console',
      name: 'Console',
      kind: 'service',
      grants: [...operatorGrants],
    },
  },
]

export interface ServicesOptions {
  readonly dataDir: string
  readonly registry: Pick<Registry, 'clients' | 'credentials'>
  readonly repository: Pick<RegistryView, 'findAccess'>
  readonly issuer: Issuer
  readonly ca: string | undefined
  readonly log: Log
}

export async function ensureServices(options: ServicesOptions): Promise<void> {
  for (const { file, client } of wellKnownClients) {
    await options.registry.clients.ensure(client)
    await ensureCredentialFile(join(options.dataDir, file), client.oauthClientId, options)
  }
}

/**
 * A file whose credential is live keeps its secret and gets today's addresses; any other is as good as missing. One that
 * ends by itself is on its way out: somebody has rotated it.
 */
async function ensureCredentialFile(
  path: string,
  oauthClientId: string,
  { registry, repository, issuer, ca, log }: ServicesOptions,
): Promise<void> {
  const text = readFileIfAny(path)
  const held = parseCredentialFile(text)
  const live = (await repository.findAccess(oauthClientId))?.credentials ?? []
  if (
    held?.client_id === oauthClientId &&
    live.some(({ credentialId, expiresAtMs }) => credentialId === held.credentialId && expiresAtMs === null)
  ) {
    const { ca: _, ...rest } = held
    const current = toText({
      ...rest,
      issuer: issuer.issuer,
      token_endpoint: issuer.tokenEndpoint,
      ...(ca === undefined ? {} : { ca }),
    })
    if (current === text) return
    writePrivateFile(path, current)
    log.info('credential_file.updated', { oauthClientId, path })
    return
  }
  const owner = { of: 'client', oauthClientId } as const
  const { credential } = await registry.credentials.issue({ actor: 'provisioning' }, owner, {})
  writePrivateFile(path, toText(credential))
  log.info('credential_file.written', { oauthClientId, path, credentialId: credential.credentialId })
}

function parseCredentialFile(text: string | undefined): CredentialFile | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(CredentialFile, value) ? value : undefined
  } catch {
    return undefined // no JSON: not ours, and replaced like a missing one
  }
}

function toText(credential: CredentialFile): string {
  return `${JSON.stringify(credential, null, 2)}\n`
}
