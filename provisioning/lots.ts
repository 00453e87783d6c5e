/**
 * Dated assignments: a device counts for one lot at a time, and moving it leaves its history where it was. Pure.
 * The assignments of a device are in order of `fromMs` and never overlap.
 */
import type { Assignment } from '../core/contract/registry.ts'

/**
 * Assigns the device to a lot from an instant on, until its next assignment, if one was made for later.
 * The one that held at that instant ends there; one that began at the very instant is replaced.
 * @param existing the device's assignments, ascending by `fromMs`
 * @returns those to write, oldest first, the new one last; each replaces what the device has at its `fromMs`
 */
export function assign(
  existing: readonly Assignment[],
  { deviceId, lotId, fromMs }: Pick<Assignment, 'deviceId' | 'lotId' | 'fromMs'>,
): readonly [...closed: Assignment[], assigned: Assignment] {
  const next = existing.find((assignment) => assignment.fromMs > fromMs)
  const assigned: Assignment = { deviceId, lotId, fromMs, toMs: next?.fromMs ?? null }
  const before = existing.findLast((assignment) => assignment.fromMs < fromMs)
  return before !== undefined && holdsAt(before, fromMs)
    ? [{ ...before, toMs: fromMs }, assigned]
    : [assigned]
}

/**
 * Ends the device's service in lots at an instant.
 * @returns the assignments to write; one that was still to come is closed before it began and never holds
 */
export function release(existing: readonly Assignment[], atMs: number): readonly Assignment[] {
  return existing
    .filter(({ toMs }) => toMs === null || toMs > atMs)
    .map((assignment) => ({ ...assignment, toMs: Math.max(assignment.fromMs, atMs) }))
}

/** @returns whether the assignment covers the instant: from inclusive, to exclusive */
export function holdsAt({ fromMs, toMs }: Assignment, atMs: number): boolean {
  return fromMs <= atMs && (toMs === null || atMs < toMs)
}
