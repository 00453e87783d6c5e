/** CONNECT → Principal: the token is good, it is this device's, and nothing has been revoked. */
import type { Revocations } from '../core/auth/revocations.ts'
import type { Verifier } from '../core/auth/verifier.ts'
import { type DeviceId, parseDeviceId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { Principal } from '../core/contract/principal.ts'
import type { BarredDevices } from './barred.ts'
import type { ConnectRequest } from './engine/engine.ts'

export type DevicePrincipal = Principal & { readonly deviceId: DeviceId }

export interface Authenticator {
  /**
   * @throws FleetError `refused` when it is not this device or may not connect; `unavailable` when that cannot be decided now
   */
  authenticate(
    request: Pick<ConnectRequest, 'mqttClientId' | 'username' | 'password'>,
  ): Promise<DevicePrincipal>
  /** A new token for a device that is connected. @throws as `authenticate`; `token.claims` when it is not the same subject, or not later */
  renew(current: DevicePrincipal, token: string): Promise<DevicePrincipal>
}

export function createAuthenticator(options: {
  verifier: Verifier
  revocations: Revocations
  barred: BarredDevices
}): Authenticator {
  async function principalOf(token: string): Promise<DevicePrincipal> {
    const principal = await options.verifier.verify(token)
    if (principal.deviceId === undefined) throw new FleetError('token.claims', 'the token is no device’s')
    if (options.revocations.isRevoked(principal))
      throw new FleetError('token.revoked', 'token, credential or client was revoked')
    if (options.barred.has(principal.deviceId))
      throw new FleetError('device.held', 'device is suspended or retired')
    return { ...principal, deviceId: principal.deviceId }
  }

  return {
    async authenticate({ mqttClientId, username, password }) {
      const deviceId = parseDeviceId(mqttClientId)
      if (deviceId === undefined || username !== mqttClientId)
        throw new FleetError('device.mismatch', 'client identifier and user name differ')
      if (password === undefined || password === '')
        throw new FleetError('token.missing', 'no token in the password')
      const principal = await principalOf(password)
      if (principal.deviceId !== deviceId)
        throw new FleetError('device.mismatch', `the token is ${principal.deviceId}’s`)
      return principal
    },
    async renew(current, token) {
      const next = await principalOf(token)
      if (
        next.issuer !== current.issuer ||
        next.subject !== current.subject ||
        next.deviceId !== current.deviceId
      ) {
        throw new FleetError('token.claims', 'renewal with the token of another')
      }
      if (next.expiresAtSec <= current.expiresAtSec)
        throw new FleetError('token.claims', 'renewal with a token that ends no later')
      return next
    },
  }
}
