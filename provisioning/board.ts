/** Whether a board that shows itself for a device is the one that is known, or a second one. Pure. */
import type { Board } from '../core/contract/registry.ts'

/** same: nothing new; rebooted: the same board, or the first; conflict: another board with the same identity. */
export type BoardVerdict = 'same' | 'rebooted' | 'conflict'

/** A serial is of the board, a boot id of its latest start: when both differ, it is another machine. */
export function judgeBoard(known: Board | undefined, seen: Board): BoardVerdict {
  if (known?.serial === seen.serial && known?.bootId === seen.bootId) return 'same'
  if (known?.serial === undefined || known.serial === seen.serial || known.bootId === seen.bootId)
    return 'rebooted'
  return 'conflict'
}

/** Whether an alarm is about these two, whichever was seen first. */
export function areTheSame(
  detail: Readonly<Record<string, unknown>>,
  one: Board,
  other: Board | undefined,
): boolean {
  const { known, seen } = detail as { known?: Board; seen?: Board }
  const named = [known?.serial, seen?.serial].toSorted()
  const meant = [one.serial, other?.serial].toSorted()
  return named.every((serial, i) => serial === meant[i])
}
