/**
 * What a client says of the person it acts for: their name, and the lots they are limited to. The word is the client's own,
 * so it stands behind the client's name and never instead of it, and narrows what its token allows and never widens it. Pure.
 */
import { type LotId, parseLotId } from './device.ts'
import { FleetError } from './errors.ts'
import type { Principal } from './principal.ts'

/** Names the person. */
export const personHeader = 'lotwatch-person'

/**
 * Their lots, with commas between. Ingest sends it back as it came: who acts for somebody with a limit can tell an answer that was
 * narrowed from one of a program that knows no such header.
 */
export const lotsHeader = 'lotwatch-lots'

/** `console/maria`; the client alone when it names nobody, or nobody that fits into a log. */
export function actorOf(oauthClientId: string, person: string | undefined): string {
  return person !== undefined && /^[A-Za-z0-9][A-Za-z0-9._@:-]{0,63}$/.test(person)
    ? `${oauthClientId}/${person}`
    : oauthClientId
}

/**
 * @param header value of `lotsHeader`; undefined: no limit beside that of the token
 * @throws FleetError `request.invalid` for what is no list of lots: a limit that is not understood lets nothing through
 */
export function narrowed(principal: Principal, header: string | undefined): Principal {
  if (header === undefined) return principal
  const lots = header.split(',').map((text) => {
    const lotId = parseLotId(text.trim())
    if (lotId === undefined)
      throw new FleetError('request.invalid', `not a list of lots: ${header.slice(0, 100)}`, {
        safeDetail: `${lotsHeader}: identifiers of lots with commas between`,
      })
    return lotId
  })
  const may = (lotId: LotId) => principal.lots === undefined || principal.lots.has(lotId)
  return { ...principal, lots: new Set(lots.filter(may)) }
}
