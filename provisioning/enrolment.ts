/** Whether a board may become a device by what it shows. Pure; what is proved is proved elsewhere. */
import type { EnrolKey } from '../core/contract/enrolment.ts'
import type { Board, Device } from '../core/contract/registry.ts'

/**
 * Why an enrolment key does not let this board in.
 * @returns undefined when it does
 */
export function keyFault(
  key: EnrolKey,
  { nowMs, serial }: { readonly nowMs: number; readonly serial: string | undefined },
): string | undefined {
  if (key.revokedAtMs !== null) return 'the key was revoked'
  if (key.expiresAtMs <= nowMs) return 'the key has expired'
  if (key.uses >= key.usesMax) return 'the key is used up'
  if (key.serials !== undefined && (serial === undefined || !key.serials.includes(serial)))
    return 'the serial is not on the list of the key'
  return undefined
}

/**
 * Whether a device may enrol again because an operator opened a window: at once by the board that is known, by any
 * other, or when none is known, after an operator has compared the fingerprint.
 */
export function windowVerdict(
  { enrolWindowUntilMs, board: known }: Device,
  seen: Board | undefined,
  nowMs: number,
): 'closed' | 'enrol' | 'ask' | 'other_board' {
  if (enrolWindowUntilMs === undefined || enrolWindowUntilMs <= nowMs) return 'closed'
  if (known?.serial === undefined) return 'ask'
  return seen?.serial === known.serial ? 'enrol' : 'other_board'
}
