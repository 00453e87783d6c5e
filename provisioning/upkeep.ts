/**
 * What provisioning does by the clock, in UTC (node-cron): it retires credentials that nobody uses any more, makes
 * the next signing keys, and forgets what nobody can ask for any more.
 */
import { schedule } from 'node-cron'
import { presenceSilentMs } from '../core/contract/downlink.ts'
import type { Log } from '../core/runtime/log.ts'
import type { SigningKeys } from './oauth/keys.ts'
import type { Credentials } from './registry/credentials.ts'
import type { PresenceDesk } from './registry/presence.ts'
import type { RegistryRepository } from './repository/repository.ts'

export interface Upkeep {
  /** Stops the clock, and resolves when nothing is under way any more. */
  stop(): Promise<void>
}

export interface UpkeepOptions {
  readonly keys: Pick<SigningKeys, 'rotate' | 'refresh'>
  /** When the next signing key is made: a cron expression. */
  readonly keyRotation: string
  readonly credentials: Pick<Credentials, 'retireUnused'>
  readonly repository: Pick<RegistryRepository, 'prune'>
  readonly presence: Pick<PresenceDesk, 'sweep'>
  /** 0: credentials are not retired. */
  readonly credentialUnusedDays: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  readonly log: Log
  /** When, as cron expressions; by default at night, and at an odd minute of every hour. */
  readonly retireAt?: string
  readonly pruneAt?: string
}

const dayMs = 86_400_000

export function startUpkeep(options: UpkeepOptions): Upkeep {
  const { credentials, repository, credentialUnusedDays, now, log } = options
  const running = new Set<Promise<void>>()

  const at = (expression: string, name: string, task: () => Promise<void>) =>
    schedule(
      expression,
      async () => {
        const done = task().catch((error: unknown) => log.warn('upkeep.failed', { task: name, error }))
        running.add(done)
        await done
        running.delete(done)
      },
      { timezone: 'UTC', noOverlap: true, suppressMissedWarning: true },
    )

  async function retire(): Promise<void> {
    const beforeMs = now() - credentialUnusedDays * dayMs
    let count = 0
    for (;;) {
      const retired = await credentials.retireUnused(beforeMs)
      count += retired
      if (retired === 0) break
    }
    if (count > 0) log.info('credentials.retired', { count, unusedDays: credentialUnusedDays })
  }

  const startedAtMs = now()
  /** While nobody listened nobody could be heard: brokers have as long to speak up as they may be silent. */
  async function sweepPresence(): Promise<void> {
    if (now() - startedAtMs < presenceSilentMs) return
    for (const brokerId of await options.presence.sweep()) log.warn('broker.silent', { brokerId })
  }

  const tasks = [
    at('*/5 * * * * *', 'presence', sweepPresence),
    at(options.pruneAt ?? '41 * * * *', 'prune', () => repository.prune()),
    at('* * * * *', 'refresh_keys', () => options.keys.refresh()),
    at(options.keyRotation, 'rotate_keys', async () => void (await options.keys.rotate('provisioning'))),
    ...(credentialUnusedDays === 0 ? [] : [at(options.retireAt ?? '17 3 * * *', 'retire', retire)]),
  ]
  return {
    async stop() {
      await Promise.all(tasks.map((task) => task.destroy()))
      await Promise.all(running)
    },
  }
}
