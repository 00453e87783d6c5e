/** What the import of a list of devices answers, a line each: what became of every row, and at last how many of each. */
import type { CredentialFile } from './credential.ts'

export interface ImportVerdict {
  /** On which line of the list the row begins, from 1 on. */
  readonly line: number
  readonly deviceId?: string
  readonly verdict: 'created' | 'unchanged' | 'error'
  readonly faults?: readonly string[]
  /** The one time it is shown. */
  readonly credential?: CredentialFile
  readonly enrolKey?: string
}

export interface ImportSummary {
  readonly summary: { readonly created: number; readonly unchanged: number; readonly errors: number }
}
