/** When credentials were last used, gathered in memory and written now and then: a token request costs no commit. */
import type { RegistryRepository } from './repository/repository.ts'

export interface Usage {
  used(credentialId: string, atMs: number): void
  /** Writes what was gathered. */
  flush(): Promise<void>
}

export function createUsage(repository: Pick<RegistryRepository, 'noteUse'>): Usage {
  let uses = new Map<string, number>()
  return {
    used(credentialId, atMs) {
      uses.set(credentialId, atMs)
    },
    async flush() {
      if (uses.size === 0) return
      const gathered = uses
      uses = new Map()
      await repository.noteUse(gathered)
    },
  }
}
