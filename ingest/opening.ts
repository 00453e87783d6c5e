/** When a lot is open, by its own clocks. Pure. */
import { openMinutesIn, parseOpeningHours } from '../core/contract/opening-hours.ts'
import type { Lot } from '../core/contract/registry.ts'
import { unitMs, Zone } from './zone.ts'

export interface Opening {
  /** Milliseconds of a stretch, of an hour at most, in which it is open; to the minute. */
  openMsIn(fromMs: number, toMs: number): number
}

const always: Opening = { openMsIn: (fromMs, toMs) => toMs - fromMs }

/** @throws RangeError, FleetError for hours or a zone that nobody understands: provisioning takes no such lot */
export function openingOf({ openingHours, zone }: Pick<Lot, 'openingHours' | 'zone'>): Opening {
  if (openingHours === undefined || zone === undefined) return always
  const open = parseOpeningHours(openingHours)
  const clocks = new Zone(zone)
  return {
    openMsIn: (fromMs, toMs) =>
      openMinutesIn(open, clocks.minuteOfWeek(fromMs), (toMs - fromMs) / unitMs.m) * unitMs.m,
  }
}

/** Whether it is open in the minute after an instant; what nobody understands counts as open. */
export function isOpenAt(lot: Pick<Lot, 'openingHours' | 'zone'>, atMs: number): boolean {
  try {
    return openingOf(lot).openMsIn(atMs, atMs + unitMs.m) > 0
  } catch {
    return true
  }
}
