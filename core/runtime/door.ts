/**
 * Who may come in to a program that follows the feed: token → principal, not revoked, with the scope; narrowed to the lots
 * of the person that the client says it acts for.
 */
import type { FastifyRequest } from 'fastify'
import type { Revocations } from '../auth/revocations.ts'
import type { Verifier } from '../auth/verifier.ts'
import { FleetError } from '../contract/errors.ts'
import { lotsHeader, narrowed } from '../contract/on-behalf.ts'
import type { Principal } from '../contract/principal.ts'
import { bearerToken, requireScope } from './http.ts'

export interface Door {
  /** @throws FleetError `token.…`, `keys.unavailable`, `provisioning.unavailable`, `request.invalid` */
  admit(request: FastifyRequest, scope: string): Promise<Principal>
  /** Whether somebody who was admitted would be again: for answers that stay open. */
  isStillAdmitted(principal: Principal): boolean
  /** Whom a request was admitted for; undefined when it was not. */
  admitted(request: FastifyRequest): Principal | undefined
}

export function createDoor(options: {
  verifier: Verifier
  revocations: Revocations
  /** Whether what the feed said is recent enough to let anybody in by. */
  isFeedKnown: () => boolean
  /** Unix milliseconds. */
  now: () => number
}): Door {
  const principals = new WeakMap<FastifyRequest, Principal>()
  return {
    admitted: (request) => principals.get(request),
    async admit(request, scope) {
      const verified = await options.verifier.verify(bearerToken(request))
      if (!options.isFeedKnown())
        throw new FleetError('provisioning.unavailable', 'what is revoked is not known now')
      if (options.revocations.isRevoked(verified)) {
        throw new FleetError('token.revoked', `${verified.oauthClientId} was revoked`)
      }
      requireScope(verified, scope)
      const principal = narrowed(verified, headerOf(request, lotsHeader))
      principals.set(request, principal)
      return principal
    },
    isStillAdmitted(principal) {
      const { revocations, isFeedKnown, now } = options
      return principal.expiresAtSec * 1000 > now() && isFeedKnown() && !revocations.isRevoked(principal)
    },
  }
}

/** Sent several times, it is one list. */
function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}
