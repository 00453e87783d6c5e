/** Which URLs may be spoken to: TLS anywhere, plaintext on this machine alone unless asked for by name. */
import { FleetError } from '../contract/errors.ts'
import { isLoopback } from './loopback.ts'

/** @throws FleetError `config.invalid` for plaintext beyond loopback that nobody asked for */
export function requireTlsUrl(url: string, options: { setting: string; insecure: boolean }): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined)
    throw new FleetError('config.invalid', 'not a URL', { faults: [`${options.setting}: is not a URL`] })
  const isTls = parsed.protocol === 'https:' || parsed.protocol === 'mqtts:'
  if (!isTls && !options.insecure && !isLoopback(parsed.hostname.replace(/^\[|\]$/g, ''))) {
    throw new FleetError('config.invalid', 'plaintext beyond loopback', {
      faults: [
        `${options.setting}: ${parsed.protocol}//${parsed.host} is neither TLS nor loopback; set insecure: true to allow it`,
      ],
    })
  }
  return parsed
}
