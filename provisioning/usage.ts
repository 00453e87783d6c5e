/**
 * What token requests tell about credentials and devices, gathered in memory and written now and then: a request costs
 * no commit. When a credential was last used is informational; that a device is active is an audited change.
 */
import { nextState } from './device.ts'
import type { Changes } from './registry/changes.ts'
import type { Change, RegistryRepository, RegistryView } from './repository/repository.ts'

export interface Usage {
  used(credentialId: string, atMs: number): void
  /** An enrolled device got a token: it is active from then on. */
  activated(deviceId: string): void
  /** Writes what was gathered. What cannot be written is dropped: the next token request says it again. */
  flush(): Promise<void>
}

/** Written in one go; a longer batch would hold up who waits for the repository. */
const writtenAtOnce = 500
/** A credential that is used all the time is written this often: when it was last used is for people, and by the day. */
const notedEveryMs = 10 * 60_000

export function createUsage({
  repository,
  changes,
}: {
  repository: Pick<RegistryRepository, 'noteUse'>
  changes: Changes
}): Usage {
  // Both are as large as the registry at most: one entry for each credential and device.
  let uses = new Map<string, number>()
  /** When each was last written. */
  const noted = new Map<string, number>()
  let active = new Set<string>()
  return {
    used(credentialId, atMs) {
      const notedAtMs = noted.get(credentialId)
      if (notedAtMs !== undefined && atMs - notedAtMs < notedEveryMs && atMs >= notedAtMs) return
      noted.set(credentialId, atMs)
      uses.set(credentialId, atMs)
    },
    activated(deviceId) {
      active.add(deviceId)
    },
    async flush() {
      const gathered = [...uses]
      const devices = [...active]
      uses = new Map()
      active = new Set()
      for (let i = 0; i < gathered.length; i += writtenAtOnce) {
        await repository.noteUse(new Map(gathered.slice(i, i + writtenAtOnce)))
        // Requests come in between.
        await new Promise((resolve) => setImmediate(resolve))
      }
      for (let i = 0; i < devices.length; i += writtenAtOnce) {
        const some = devices.slice(i, i + writtenAtOnce)
        await changes.make({ actor: 'provisioning' }, async (view) => ({
          changes: (await Promise.all(some.map((deviceId) => activation(view, deviceId)))).flat(),
          answer: undefined,
        }))
      }
    },
  }
}

async function activation(view: RegistryView, deviceId: string): Promise<readonly Change[]> {
  const before = await view.findDevice(deviceId)
  // Meanwhile it may be suspended, or activated by another process.
  if (before?.state !== 'enrolled') return []
  const state = nextState(before.state, 'activate')
  if (state === undefined) return []
  const after = { ...before, state }
  const audit = { actor: 'provisioning', verb: 'device.activated', subject: deviceId, before, after } as const
  return [{ audit, device: after }]
}
