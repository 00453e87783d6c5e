/** What every command stands on: settings, where the programs are, and where words go. */
import type { SettingsSource } from '../core/runtime/env.ts'
import type { CliConfig } from './config.ts'
import type { Places } from './places.ts'

export interface Home {
  readonly source: SettingsSource
  readonly config: CliConfig
  readonly places: Places
  /** Where the bundles of the other programs lie. */
  readonly programsDir: string
  readonly voice: Voice
}

/** Standard output carries only the answer; everything else goes to standard error. */
export interface Voice {
  readonly answer: (text: string) => void
  readonly note: (text: string) => void
}

/**
 * Resolves at SIGINT, SIGTERM or SIGHUP; another one a second later ends the process at once.
 * The second is there because npm sends on the Ctrl-C that the terminal has delivered already.
 */
export function untilInterrupted(): Promise<void> {
  let firstAtMs: number | undefined
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        firstAtMs ??= performance.now()
        if (performance.now() - firstAtMs > 1000) process.exit(1)
        resolve()
      })
    }
  })
}
