/** In the place of `broker/authenticate.ts`: every CONNECT is whom it says, with the rights of a device, for an hour. */
import type { Authenticator, DevicePrincipal } from '../../broker/authenticate.ts'
import { parseDeviceId } from '../../core/contract/device.ts'
import { FleetError } from '../../core/contract/errors.ts'

export function createAuthenticator(): Authenticator {
  const scopes = new Set(['publish:readings', 'receive:commands'])
  return {
    async authenticate({ mqttClientId }) {
      const deviceId = parseDeviceId(mqttClientId)
      if (deviceId === undefined) throw new FleetError('device.mismatch', 'no device')
      const nowSec = Math.floor(Date.now() / 1000)
      return {
        issuer: 'nobody',
        subject: mqttClientId,
        oauthClientId: mqttClientId,
        tokenId: mqttClientId,
        credentialId: mqttClientId,
        issuedAtSec: nowSec,
        expiresAtSec: nowSec + 3600,
        scopes,
        deviceId,
      } as unknown as DevicePrincipal // what only a token could say is left out
    },
    renew: (current) => Promise.resolve(current),
  }
}
