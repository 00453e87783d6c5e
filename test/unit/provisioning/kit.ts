/** A registry over a real file for tests, with a clock that stands until it is moved. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { ClientDirectory, Issuer } from '../../../provisioning/issuer/issuer.ts'
import { createOwnIssuer } from '../../../provisioning/issuer/own.ts'
import { createSecretHasher, type SecretHasher } from '../../../provisioning/oauth/secret.ts'
import { brokerOf, createRegistry, type Registry } from '../../../provisioning/registry.ts'
import type { RegistryRepository } from '../../../provisioning/repository/repository.ts'
import { openSqliteRepository } from '../../../provisioning/repository/sqlite.ts'
import { makeDataDir } from '../../kit/program.ts'

export interface RegistryKit {
  readonly registry: Registry
  readonly repository: RegistryRepository
  readonly hash: SecretHasher
  readonly clock: { nowMs: number }
  /** Oldest first. */
  verbs(): Promise<readonly string[]>
  /** Types of the feed's events, oldest first. */
  events(): Promise<readonly string[]>
  close(): Promise<void>
}

/** Who asks, where nothing depends on it. */
export const operator = { actor: 'operator' } as const

/** With the APIs of Lotwatch in it, which leave one audit entry each. */
export async function openRegistry(
  options: { directory?: ClientDirectory; issuer?: Issuer; ca?: string } = {},
): Promise<RegistryKit> {
  const folder = makeDataDir()
  const clock = { nowMs: 1_700_000_000_000 }
  const now = () => clock.nowMs
  const repository = openSqliteRepository({ path: join(folder.path, 'registry.db'), now })
  const pepper = randomBytes(32)
  const hash = createSecretHasher(pepper)
  const registry = createRegistry({
    repository,
    issuer: options.issuer ?? {
      ...createOwnIssuer({ issuerUrl: 'https://issuer.example/', hash, randomBytes }),
      directory: options.directory,
    },
    pepper,
    hash,
    randomBytes,
    now,
    broker: brokerOf('mqtts://broker.example:8883'),
    ca: options.ca,
    builtInClients: new Set(['operator', 'broker', 'ingest']),
  })
  await registry.apis.ensureBuiltIn()
  const first = (await repository.auditEntries({ limit: 1 }))[0]?.auditId ?? 0
  return {
    registry,
    repository,
    hash,
    clock,
    async verbs() {
      const entries = await repository.auditEntries({ limit: 1000 })
      return entries
        .filter(({ auditId }) => auditId > first)
        .map(({ verb }) => verb)
        .reverse()
    },
    async events() {
      return ((await repository.feedAfter(0, 1000)) ?? []).map(({ type }) => type)
    },
    async close() {
      await repository.close()
      folder.remove()
    },
  }
}
