/** A registry over a real file for tests, with a clock that stands until it is moved. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
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
  /** How often a commit was announced. */
  readonly commits: { count: number; announce: () => void }
  close(): void
}

export function openRegistry(): RegistryKit {
  const folder = makeDataDir()
  const clock = { nowMs: 1_700_000_000_000 }
  const now = () => clock.nowMs
  const repository = openSqliteRepository({ path: join(folder.path, 'registry.db'), now })
  const hash = createSecretHasher(randomBytes(32))
  const commits = { count: 0, announce: () => {} }
  const registry = createRegistry({
    repository,
    issuer: createOwnIssuer({ issuerUrl: 'https://issuer.example/', hash, randomBytes }),
    now,
    broker: brokerOf('mqtts://broker.example:8883'),
    ca: undefined,
    committed() {
      commits.count++
      commits.announce()
    },
  })
  return {
    registry,
    repository,
    hash,
    clock,
    commits,
    close() {
      repository.close()
      folder.remove()
    },
  }
}
