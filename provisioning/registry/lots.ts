/** Lots: where devices count, with their dated capacities. Which device counts where is in devices.ts. */
import { isDeepStrictEqual } from 'node:util'
import { parseOpeningHours } from '../../core/contract/opening-hours.ts'
import type { Lot, LotRequest } from '../../core/contract/registry.ts'
import { isZone } from '../../core/contract/zone.ts'
import { type By, type Changes, invalid, requireMatch } from './changes.ts'

export interface Lots {
  /**
   * Registers the lot or replaces what is known of it.
   * @throws FleetError `request.invalid` for an unknown time zone, and for opening hours that are not understood
   */
  set(by: By, lotId: string, request: LotRequest): Promise<Lot>
}

export function createLots({ changes }: { changes: Changes }): Lots {
  return {
    set(by, lotId, request) {
      return changes.make(by, async (view) => {
        if (request.zone !== undefined && !isZone(request.zone))
          throw invalid(`zone: ${request.zone} is not an IANA time zone`)
        checkHours(request)
        const capacities = request.capacities.toSorted((a, b) => a.fromMs - b.fromMs)
        const lot: Lot = { ...request, lotId, capacities }
        const before = await view.findLot(lotId)
        requireMatch(by, before)
        if (isDeepStrictEqual(before, lot)) return { answer: lot }
        const audit = { actor: by.actor, verb: 'lot.set', subject: lotId, before, after: lot } as const
        return { changes: [{ audit, lot }], answer: lot }
      })
    },
  }
}

/** Hours are of a place: without its zone nobody could say when they are. */
function checkHours({ openingHours, zone }: LotRequest): void {
  if (openingHours === undefined) return
  if (zone === undefined) throw invalid('openingHours: needs zone')
  try {
    parseOpeningHours(openingHours)
  } catch (error) {
    throw invalid(`openingHours: ${(error as Error).message}`)
  }
}
