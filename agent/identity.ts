/** Who the device is and where it proves it: the credential file, checked, with what the settings say otherwise. */
import type { CredentialFile } from '../core/contract/credential.ts'
import { type DeviceId, parseDeviceId } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import { readCredentialFile } from '../core/runtime/credential.ts'
import { requireTlsUrl } from '../core/runtime/tls-url.ts'

export interface Identity {
  readonly deviceId: DeviceId
  /** With the token endpoint to use. */
  readonly credential: CredentialFile
  /** With the authority that it is believed by. */
  readonly broker: NonNullable<CredentialFile['broker']>
}

export interface IdentityOverrides {
  readonly brokerUrl?: string
  readonly tokenEndpoint?: string
  readonly tokenAudience?: string
  /** Plaintext beyond loopback was asked for by name. */
  readonly insecure: boolean
}

/**
 * Reads a device's credential file.
 * @throws FleetError `credential.invalid` when it is missing, open to others or not a device's; `config.invalid` for plaintext
 */
export function readIdentity(path: string, overrides: IdentityOverrides): Identity {
  return identityOf(readCredentialFile(path), path, overrides)
}

/** @param path where it is, or will be */
export function identityOf(file: CredentialFile, path: string, overrides: IdentityOverrides): Identity {
  const deviceId = parseDeviceId(file.deviceId)
  if (deviceId === undefined || file.broker === undefined) {
    throw new FleetError('credential.invalid', `${path} is not the credential of a device`, {
      faults: ['deviceId', 'broker'].filter((key) => !(key in file)).map((key) => `${path}: lacks ${key}`),
    })
  }
  const credential = { ...file, token_endpoint: overrides.tokenEndpoint ?? file.token_endpoint }
  const ca = file.broker.ca ?? file.ca
  const broker = {
    ...file.broker,
    ...(ca === undefined ? {} : { ca }),
    url: overrides.brokerUrl ?? file.broker.url,
    audience: overrides.tokenAudience ?? file.broker.audience,
  }
  const { insecure } = overrides
  requireTlsUrl(credential.token_endpoint, { setting: 'LOT_AGENT_TOKEN_ENDPOINT', insecure })
  requireTlsUrl(broker.url, { setting: 'LOT_AGENT_BROKER_URL', insecure })
  return { deviceId, credential, broker }
}
