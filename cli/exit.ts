/** How lotctl ends: an exit code by who must act, and what it says on standard error. Pure. */
import { isFleetError } from '../core/contract/errors.ts'

/** Scripts match on these. 78 is EX_CONFIG of sysexits.h. */
export const exits = {
  ok: 0,
  failed: 1,
  usage: 2,
  auth: 3,
  notFound: 4,
  conflict: 5,
  partial: 6,
  unreachable: 7,
  misconfigured: 78,
} as const
export type Exit = (typeof exits)[keyof typeof exits]

export function exitOf(error: unknown): Exit {
  if (!isFleetError(error)) return exits.failed
  if (error.kind === 'misconfigured') return exits.misconfigured
  if (error.kind === 'unavailable') return exits.unreachable
  if (error.kind === 'refused') return exits.auth
  switch (error.code) {
    case 'request.not_found':
      return exits.notFound
    case 'request.conflict':
    case 'request.precondition':
    case 'request.replay':
      return exits.conflict
    case 'request.invalid':
    case 'file.invalid':
      return exits.usage
    default:
      return exits.failed
  }
}

/** For a person: what is wrong and every fault; a stack only for what nobody expected. */
export function explain(error: unknown): string {
  if (!isFleetError(error)) return error instanceof Error ? (error.stack ?? error.message) : String(error)
  return [`${error.message} (${error.code})`, ...error.faults.map((fault) => `  ${fault}`)].join('\n')
}
