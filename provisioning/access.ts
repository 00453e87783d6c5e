/**
 * The door of the operators' API: a bearer token of our own issuer, not revoked since, with the scope the route needs.
 * The token endpoint has its own door, `oauth/client-auth.ts`.
 */
import type { FastifyRequest } from 'fastify'
import type { Verifier } from '../core/auth/verifier.ts'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import { bearerToken, requireScope } from '../core/runtime/http.ts'
import { mayAuthenticate } from './device.ts'
import type { ClientAccess, RegistryRepository } from './repository/repository.ts'

export interface Access {
  /**
   * @param scope undefined: any token for this audience will do
   * @throws FleetError kind `refused`
   */
  admit(request: FastifyRequest, scope: string | undefined): Promise<Principal>
  /** Whether somebody who was admitted would be again: for connections that stay open. */
  isStillAdmitted(principal: Principal): Promise<boolean>
}

export function createAccess(options: {
  verifier: Verifier
  repository: Pick<RegistryRepository, 'findAccess' | 'findTokenRevocation'>
  /** Wall clock, Unix milliseconds. */
  now: () => number
}): Access {
  const { verifier, repository, now } = options

  async function isVoid(principal: Principal): Promise<boolean> {
    const [access, tokenRevokedAtMs] = await Promise.all([
      repository.findAccess(principal.oauthClientId),
      repository.findTokenRevocation(principal.tokenId),
    ])
    return tokenRevokedAtMs !== undefined || isRevoked(principal, access)
  }

  /** A signature nobody knows may be by a key made a moment ago, perhaps by another process. Our own are near to ask. */
  async function verify(token: string): Promise<Principal> {
    try {
      return await verifier.verify(token)
    } catch (error) {
      if (!isFleetError(error, 'token.signature')) throw error
      await verifier.refresh()
      return verifier.verify(token)
    }
  }

  return {
    async admit(request, scope) {
      const principal = await verify(bearerToken(request))
      if (await isVoid(principal))
        throw new FleetError('token.revoked', `${principal.oauthClientId} was revoked`)
      if (scope !== undefined) requireScope(principal, scope)
      return principal
    },
    async isStillAdmitted(principal) {
      return principal.expiresAtSec * 1000 > now() && !(await isVoid(principal))
    },
  }
}

/** Whether a token that is good in itself is void, as the registry stands. Pure. */
export function isRevoked(
  principal: Pick<Principal, 'issuedAtSec' | 'credentialId'>,
  access: ClientAccess | undefined,
): boolean {
  if (access === undefined) return true
  const { credentials, deviceState, revokedAtMs } = access
  if (deviceState !== undefined && !mayAuthenticate(deviceState)) return true
  if (revokedAtMs !== undefined && principal.issuedAtSec <= Math.floor(revokedAtMs / 1000)) return true
  return !credentials.some(({ credentialId }) => credentialId === principal.credentialId)
}
